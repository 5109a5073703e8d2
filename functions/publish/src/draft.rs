//! The draft: found or created, and un-drafted at the end.

use commons_domain::notes;
use commons_domain::release::Release;
use commons_domain::times::{BUSY_WAIT, DISPATCH_BEGINS, DISPATCH_DEADLINE};
use commons_github::{NewRelease, Release as GitHubRelease, ReleaseUpdate};
use commons_runtime::{Stage, StageError};

use crate::limits::{Pause, Writes};

/// The release's draft, its id stored: by the stored id, else by tag among all
/// releases (a create whose answer was lost is found there), else a new one.
pub async fn find_or_create(
    stage: &Stage,
    release: &Release,
    writes: &Writes<'_>,
) -> Result<(Release, GitHubRelease), Pause> {
    let repository = &stage.config.release_repository;
    let tag = release.key.version();
    if let Some(id) = release.github_release_id {
        match stage.github.release(repository, id).await {
            Ok(found) => return Ok((release.clone(), found)),
            // Somebody deleted the draft: start over.
            Err(commons_github::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Looked at before the list: what is created meanwhile may be missing there.
    let in_flight = release.draft_deadline.map(|deadline| stage.until(deadline));
    let mut same_tag: Vec<GitHubRelease> = stage
        .github
        .releases(repository)
        .await?
        .into_iter()
        .filter(|r| r.tag_name == tag.as_str())
        .collect();
    let found = match (same_tag.pop(), same_tag.is_empty()) {
        (Some(found), true) => found,
        (Some(found), false) => {
            let ids: Vec<String> = same_tag
                .iter()
                .chain([&found])
                .map(|r| r.id.to_string())
                .collect();
            let why = format!(
                "{repository} has several releases of {tag}: ids {}",
                ids.join(", ")
            );
            return Err(StageError::Refused(why).into());
        }
        (None, _) => {
            return match in_flight.filter(|left| !left.is_zero()) {
                Some(left) => Err(Pause::Again {
                    wait: stage.config.speed.simulated(left),
                }),
                None => create(stage, release, writes).await,
            };
        }
    };
    if !found.draft && release.github_release_id != Some(found.id) {
        return Err(StageError::Refused(format!(
            "{tag} was published by somebody else: {}",
            found.html_url
        ))
        .into());
    }
    let why = format!("release {} at GitHub is its draft", found.id);
    let stored = store_id(stage, release, found.id, &why).await?;
    Ok((stored, found))
}

async fn store_id(
    stage: &Stage,
    release: &Release,
    id: u64,
    why: &str,
) -> Result<Release, StageError> {
    let stored = Release {
        github_release_id: Some(id),
        ..release.clone()
    };
    stage.store.change_release(release, &stored, why).await?;
    Ok(stored)
}

/// Creates the draft. The intent is written first, so that of two calls at once only
/// one creates it; the other comes again when the POST is over, and finds it. No deadline
/// comes twice: who stood still since before another's intent finds it changed, whatever
/// came of that one.
async fn create(
    stage: &Stage,
    release: &Release,
    writes: &Writes<'_>,
) -> Result<(Release, GitHubRelease), Pause> {
    writes.turn().await?;
    let deadline = stage.now() + DISPATCH_BEGINS + DISPATCH_DEADLINE;
    let intent = Release {
        draft_deadline: Some(deadline),
        ..release.clone()
    };
    let why = "a draft is created";
    let written = stage.store.change_release(release, &intent, why).await;
    written.map_err(StageError::from)?;
    if stage.now() + DISPATCH_DEADLINE > deadline {
        // Others count on the deadline: who looks after it creates the draft.
        tracing::warn!("too late to act on the intent");
        return Err(Pause::Again { wait: BUSY_WAIT });
    }
    let tag = release.key.version();
    let new = NewRelease {
        tag_name: tag.to_string(),
        target_commitish: release.target_commit.clone(),
        name: tag.to_string(),
        body: notes::unfinished(tag.as_str()),
        draft: true,
        prerelease: release.prerelease,
    };
    let created = stage
        .github
        .create_release(&stage.config.release_repository, &new)
        .await;
    match created {
        Ok(created) => {
            let why = format!("release {} at GitHub is created as its draft", created.id);
            let stored = store_id(stage, &intent, created.id, &why).await?;
            Ok((stored, created))
        }
        Err(error) => {
            // The POST is over: the next call looks whether it has happened.
            let over = Release {
                draft_deadline: Some(stage.now()),
                ..intent.clone()
            };
            let why = format!("no draft was created, as far as is known: {error}");
            let written = stage.store.change_release(&intent, &over, &why).await;
            written.map_err(StageError::from)?;
            Err(error.into())
        }
    }
}

/// The last write: everybody sees it, unless it was asked to stop at the draft.
pub async fn publish(
    stage: &Stage,
    release: &Release,
    id: u64,
    notes: &str,
    writes: &Writes<'_>,
) -> Result<GitHubRelease, Pause> {
    // A draft that is asked to be the latest is refused by GitHub: "Latest release cannot be
    // draft or prerelease."
    let make_latest = if release.stop_at_draft {
        None
    } else {
        Some(is_latest(stage, release).await?.to_string())
    };
    writes.turn().await?;
    let update = ReleaseUpdate {
        body: Some(notes.to_owned()),
        target_commitish: release.target_commit.clone(),
        // What stops at its draft says nothing of it: a later owner may have published it.
        draft: (!release.stop_at_draft).then_some(false),
        prerelease: Some(release.prerelease),
        make_latest,
    };
    Ok(stage
        .github
        .update_release(&stage.config.release_repository, id, &update)
        .await?)
}

/// Whether GitHub shall show this release as the latest: not a backport, nor a prerelease.
async fn is_latest(stage: &Stage, release: &Release) -> Result<bool, Pause> {
    let repository = &stage.config.release_repository;
    let all = stage.github.releases(repository).await?;
    let published = all.iter().filter(|r| !r.draft && !r.prerelease);
    let tags = published.map(|r| r.tag_name.as_str());
    Ok(!release.prerelease && release.key.version().is_latest_of(tags))
}

/// Turns a release that is not what it should be into a draft again, where GitHub lets
/// us; what was done, for who reads of it.
pub async fn take_back(
    stage: &Stage,
    published: &GitHubRelease,
    writes: &Writes<'_>,
) -> Result<&'static str, Pause> {
    if published.immutable {
        return Ok(
            "it is immutable and stays published: tell its users, and release another version",
        );
    }
    writes.turn().await?;
    let update = ReleaseUpdate {
        draft: Some(true),
        ..ReleaseUpdate::default()
    };
    let repository = &stage.config.release_repository;
    let taken_back = stage
        .github
        .update_release(repository, published.id, &update)
        .await?;
    Ok(if taken_back.draft {
        "it is a draft again"
    } else {
        "GitHub leaves it published: turn it into a draft by hand"
    })
}
