//! Publish: one draft, filled with what the builds collected, verified against
//! GitHub, and made visible as the last write.
//!
//! Running it twice is safe: the draft is found before one is created, an asset
//! that is there with our digest is left alone, one of ours that differs is
//! uploaded anew, and a release that is published already is only checked again.

mod assets;
mod draft;
mod limits;
mod sight;

use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_runtime::{Stage, StageError};
use serde::{Deserialize, Serialize};

/// Which release.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Its key.
    pub release: ReleaseKey,
    /// The generation of the execution that asks.
    pub generation: u64,
}

/// Where the release goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// It is published.
    Published,
    /// Time is up, or GitHub cannot be seen: call again after the wait.
    Again,
}

/// The answer to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where to go.
    pub next: Next,
    /// Seconds to wait where `next` is `again`.
    pub wait_seconds: u64,
}

/// Publishes a release whose builds are all complete.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    let release = stage
        .store
        .own_release(&input.release, input.generation)
        .await?;
    if matches!(
        release.status,
        ReleaseStatus::Published | ReleaseStatus::Drafted
    ) {
        return Ok(Output {
            next: Next::Published,
            wait_seconds: 1,
        });
    }
    let builds: Vec<Build> = stage
        .store
        .builds(&input.release)
        .await?
        .into_iter()
        .filter(|build| build.generation == input.generation)
        .collect();
    refuse_incomplete(&builds)?;
    let release = if release.status == ReleaseStatus::Publishing {
        release
    } else {
        let publishing = Release {
            status: ReleaseStatus::Publishing,
            ..release.clone()
        };
        stage
            .store
            .change_release(&release, &publishing, "every build is complete")
            .await?;
        publishing
    };
    let mut writes = limits::Writes::new(&stage, &release);
    match publish(&stage, &release, &builds, &mut writes).await {
        Ok(()) => Ok(Output {
            next: Next::Published,
            wait_seconds: 1,
        }),
        Err(limits::Pause::Again { wait }) => Ok(Output {
            next: Next::Again,
            wait_seconds: stage.config.speed.wait_seconds(wait),
        }),
        Err(limits::Pause::Unseen { why, retry_after }) => {
            let progress = writes.has_progressed();
            let wait = sight::wait(&stage, &input, progress, &why).await?;
            let wait = wait.max(retry_after.unwrap_or_default());
            Ok(Output {
                next: Next::Again,
                wait_seconds: stage.config.speed.wait_seconds(wait),
            })
        }
        Err(limits::Pause::Stage(error)) => Err(error),
    }
}

fn refuse_incomplete(builds: &[Build]) -> Result<(), StageError> {
    let missing: Vec<&Build> = builds
        .iter()
        .filter(|build| build.status != BuildStatus::Collected)
        .collect();
    if missing.is_empty() && !builds.is_empty() {
        return Ok(());
    }
    // What ended by itself is the reason; what was blocked by it is not.
    let (blocked, failed): (Vec<&Build>, Vec<&Build>) = missing
        .into_iter()
        .partition(|build| build.status == BuildStatus::Blocked);
    let sentences: Vec<String> = failed
        .iter()
        .map(|build| {
            let why = build
                .error
                .as_deref()
                .map(|error| format!(": {error}"))
                .unwrap_or_default();
            format!("{} is {}{why}", build.component, build.status.as_str())
        })
        .collect();
    let names: Vec<&str> = blocked
        .iter()
        .map(|build| build.component.as_str())
        .collect();
    let tail = if names.is_empty() {
        String::new()
    } else {
        format!("; blocked: {}", names.join(", "))
    };
    Err(StageError::NotComplete(format!(
        "{}{tail}",
        sentences.join("; ")
    )))
}

async fn publish(
    stage: &Stage,
    release: &Release,
    builds: &[Build],
    writes: &mut limits::Writes<'_>,
) -> Result<(), limits::Pause> {
    let wanted = assets::wanted(stage, builds).await?;
    let before = release.github_release_id;
    let (release, draft) = draft::find_or_create(stage, release, writes).await?;
    let known = before == Some(draft.id);
    let uploaded = assets::upload(stage, &release, &draft, known, &wanted, writes).await?;
    let files = assets::verify(stage, draft.id, &uploaded).await?;
    let bytes: u64 = uploaded.iter().map(|file| file.size).sum();
    let why = format!(
        "{} assets, {bytes} bytes, are in release {} as they were collected: {}",
        uploaded.len(),
        draft.id,
        if release.stop_at_draft {
            "it is left as a draft"
        } else {
            "it is made visible"
        }
    );
    let told = stage.store.tell_of_release(&release, &why).await;
    told.map_err(StageError::from)?;
    let notes = draft::notes(stage, &release, builds, &files);
    let published = draft::publish(stage, &release, draft.id, &notes, writes).await?;
    assets::verify(stage, draft.id, &uploaded).await?;
    let (status, what) = if release.stop_at_draft {
        (ReleaseStatus::Drafted, "verified, and left as a draft")
    } else {
        (ReleaseStatus::Published, "published and verified")
    };
    let reason = format!("{what}: {}", published.html_url);
    let done = Release {
        status,
        html_url: Some(published.html_url),
        completed_at: Some(stage.now()),
        unseen_since: None,
        lease: None,
        ..release.clone()
    };
    stage
        .store
        .change_release(&release, &done, &reason)
        .await
        .map_err(StageError::from)?;
    Ok(())
}
