//! Publish: one draft, filled with what the builds collected, verified against
//! GitHub, and made visible as the last write.
//!
//! The files come first, then what tells of them (`release-manifest.json`, the signed
//! provenance, the resolved `versions.toml`), then the sums over all of these and their
//! signature: whoever finds the last of them finds everything.
//!
//! Running it twice is safe: the draft is found before one is created, an asset
//! that is there with our digest is left alone, one of ours that differs is
//! uploaded anew, what was signed first is what is published, and a release that is
//! published already is only checked again.

mod documents;
mod draft;
mod files;
mod follow;
mod limits;
mod notes;
mod sight;
mod tags;
mod upload;
mod verify;

use std::time::Duration;

use commons_domain::build::{Build, BuildStatus};
use commons_domain::documents::{Asset, is_document};
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_domain::times::BUSY_WAIT;
use commons_runtime::{Stage, StageError};
use serde::{Deserialize, Serialize};

use crate::files::{Built, File};
use crate::limits::{Pause, Writes};
use crate::upload::Draft;

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

impl Output {
    fn published() -> Self {
        Self {
            next: Next::Published,
            wait_seconds: 1,
        }
    }

    fn again(stage: &Stage, wait: Duration) -> Self {
        Self {
            next: Next::Again,
            wait_seconds: stage.config.speed.wait_seconds(wait),
        }
    }
}

/// Publishes a release whose builds are all complete.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    let release = stage
        .store
        .own_release(&input.release, input.generation)
        .await?;
    let ended = [ReleaseStatus::Published, ReleaseStatus::Drafted];
    if ended.contains(&release.status) {
        return match follow::follow(&stage, release).await {
            Ok(()) => Ok(Output::published()),
            Err(Pause::Again { wait }) => Ok(Output::again(&stage, wait)),
            Err(Pause::Unseen { retry_after, .. }) => {
                Ok(Output::again(&stage, retry_after.unwrap_or(BUSY_WAIT)))
            }
            Err(Pause::Stage(error)) => Err(error),
        };
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
    let writes = Writes::new(&stage, &release);
    match publish(&stage, &release, &builds, &writes).await {
        // What follows it is a call of its own, with a time of its own.
        Ok(release) if release.next_dispatch().is_some() => {
            Ok(Output::again(&stage, Duration::from_secs(1)))
        }
        Ok(_) => Ok(Output::published()),
        Err(Pause::Again { wait }) => Ok(Output::again(&stage, wait)),
        Err(Pause::Unseen { why, retry_after }) => {
            let progress = writes.has_progressed();
            let wait = sight::wait(&stage, &input, progress, &why).await?;
            let wait = wait.max(retry_after.unwrap_or_default());
            Ok(Output::again(&stage, wait))
        }
        Err(Pause::Stage(error)) => Err(error),
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
    writes: &Writes<'_>,
) -> Result<Release, Pause> {
    let collected = files::collected(stage, builds).await?;
    let signing = documents::Signing::of(stage).await?;
    let known = release.github_release_id;
    let (release, at_github) = draft::find_or_create(stage, release, writes).await?;
    let draft = Draft::look(stage, &at_github).await?;
    if known == Some(at_github.id) && at_github.draft {
        let wanted = |name: &str| {
            is_document(name) || collected.iter().any(|built| built.asset.name == name)
        };
        draft.delete_left_over(&release, wanted, writes).await?;
    }
    let (mut ours, assets) = upload(&draft, collected, writes).await?;
    let documents =
        documents::put(&draft, &release, builds, &assets, signing.as_ref(), writes).await?;
    ours.extend(documents);
    verify::verify(stage, &release, at_github.id, &ours).await?;

    let bytes: u64 = ours.iter().map(|file| file.size).sum();
    let why = format!(
        "{} assets, {bytes} bytes, are in release {} as they were collected: {}",
        ours.len(),
        at_github.id,
        if release.stop_at_draft {
            "it is left as a draft"
        } else {
            "it is made visible"
        }
    );
    let told = stage.store.tell_of_release(&release, &why).await;
    told.map_err(StageError::from)?;
    tags::make(stage, &release, builds, writes).await?;
    let key = signing.as_ref().map(|signing| signing.key.pem());
    let notes = notes::render(stage, &release, builds, &assets, key.as_deref()).await?;
    let published = draft::publish(stage, &release, at_github.id, &notes, writes).await?;
    match verify::verify(stage, &release, at_github.id, &ours).await {
        Err(Pause::Stage(StageError::VerificationFailed(why))) if !published.draft => {
            let done = draft::take_back(stage, &published, writes).await?;
            return Err(StageError::VerificationFailed(format!("{why}; {done}")).into());
        }
        verified => verified?,
    }
    ended(stage, &release, published.html_url).await
}

/// Uploads what was built; answers the files, and where they came from, by the names that
/// GitHub gave them.
async fn upload(
    draft: &Draft<'_>,
    collected: Vec<Built>,
    writes: &Writes<'_>,
) -> Result<(Vec<File>, Vec<Asset>), Pause> {
    let files: Vec<File> = collected.iter().map(Built::file).collect();
    let names = draft.put_all(&files, writes).await?;
    let named = collected.into_iter().zip(names);
    let named = named.map(|(mut built, name)| {
        built.asset.name = name;
        (built.file(), built.asset)
    });
    Ok(named.unzip())
}

/// The last write: what became of it.
async fn ended(stage: &Stage, release: &Release, html_url: String) -> Result<Release, Pause> {
    let (status, what) = if release.stop_at_draft {
        (ReleaseStatus::Drafted, "verified, and left as a draft")
    } else {
        (ReleaseStatus::Published, "published and verified")
    };
    let reason = format!("{what}: {html_url}");
    let done = Release {
        status,
        html_url: Some(html_url),
        completed_at: Some(stage.now()),
        after_publish: if release.stop_at_draft {
            Vec::new()
        } else {
            release.after_publish.clone()
        },
        unseen_since: None,
        lease: None,
        ..release.clone()
    };
    let changed = stage.store.change_release(release, &done, &reason).await;
    changed.map_err(StageError::from)?;
    Ok(done)
}
