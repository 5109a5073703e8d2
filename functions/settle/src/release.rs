//! The end of a release without success.

use commons_domain::build::{Build, BuildStatus};
use commons_domain::matching::title_nonce;
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_runtime::{Stage, StageError};
use commons_store::StoreError;
use jiff::Timestamp;

/// Settles the release that `execution` owns. `aborted` by a person: cancelled.
pub async fn settle(
    stage: &Stage,
    execution: &str,
    key: Option<ReleaseKey>,
    why: &str,
    aborted: bool,
) -> Result<(), StageError> {
    let Some(key) = key else {
        tracing::info!(
            execution,
            "the execution's input names no release: it never had a lease"
        );
        return Ok(());
    };
    let Some(stored) = stage.store.release(&key).await? else {
        return Ok(());
    };
    if stored.lease.as_deref() != Some(execution) {
        tracing::info!(execution, release = %key, "the lease is not this execution's");
        return Ok(());
    }
    let status = if aborted {
        ReleaseStatus::Cancelled
    } else {
        ReleaseStatus::Failed
    };
    let settled = Release {
        status,
        generation: stored.generation + 1,
        completed_at: Some(Timestamp::now()),
        error: Some(why.to_owned()),
        ..stored.clone()
    };
    stage.store.change_release(&stored, &settled, why).await?;
    for build in stage.store.builds(&key).await? {
        end(stage, build, settled.generation).await?;
    }
    let released = Release {
        lease: None,
        ..settled.clone()
    };
    stage
        .store
        .change_release(&settled, &released, "the lease is released")
        .await?;
    Ok(())
}

/// How often a build is read again because another writer was faster.
const WRITERS: usize = 10;

/// Whether GitHub answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GitHub {
    Seen,
    OutOfSight,
}

/// Cancels the run of a build that is on its way: the one that it claimed, else the
/// one that shows its nonce.
async fn cancel_run(stage: &Stage, build: &Build) -> GitHub {
    if !build.status.is_on_its_way() {
        return GitHub::Seen;
    }
    let cancelled = async {
        match run_of(stage, build).await? {
            Some(run) => stage.github.cancel(&build.repository, run).await,
            None => Ok(()),
        }
    };
    match cancelled.await {
        Ok(()) => GitHub::Seen,
        // It has ended by itself, or is gone.
        Err(commons_github::Error::Conflict { .. } | commons_github::Error::NotFound { .. }) => {
            GitHub::Seen
        }
        Err(error) => {
            tracing::warn!(%error, build = build.component, "the run of an ended release was not cancelled");
            if error.is_cannot_see() {
                GitHub::OutOfSight
            } else {
                GitHub::Seen
            }
        }
    }
}

async fn run_of(stage: &Stage, build: &Build) -> Result<Option<u64>, commons_github::Error> {
    if build.workflow_run_id.is_some() {
        return Ok(build.workflow_run_id);
    }
    let (Some(nonce), Some(baseline)) = (&build.nonce, build.baseline) else {
        return Ok(None);
    };
    let runs = stage.github.runs_since(&build.repository, baseline).await?;
    let shows = |title: &str| title_nonce(title) == Some(nonce.as_str());
    Ok(runs
        .iter()
        .find(|run| run.status != "completed" && shows(&run.display_title))
        .map(|run| run.id))
}

/// Takes a build from the children that still run. One of them may write at the same
/// time: then it is read again. Each writes a few times at most.
async fn take(stage: &Stage, mut build: Build, generation: u64) -> Result<Build, StageError> {
    for _ in 0..WRITERS {
        let unfinished = !build.status.is_failed() && !build.status.is_green();
        let taken = Build {
            generation,
            wait_token: build.wait_token.clone().filter(|_| unfinished),
            ..build.clone()
        };
        let store = &stage.store;
        match store
            .change_build(&build, &taken, "the release ended")
            .await
        {
            Ok(()) => return Ok(taken),
            Err(StoreError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let component = &build.component;
        let read = store.build(&build.release, component).await?;
        build = read.ok_or_else(|| StageError::Internal(format!("build {component} is gone")))?;
    }
    Err(StageError::Unavailable(format!(
        "build {} changes all the time",
        build.component
    )))
}

/// The run of a dispatch that nobody claimed may still come: its lock is orphaned. A
/// lock that the build took and never acted with is freed.
async fn settle_lock(stage: &Stage, build: &Build) -> Result<(), StageError> {
    let Some(lock) = stage.store.lock(&build.repository).await? else {
        return Ok(());
    };
    if lock.release != build.release || lock.component != build.component {
        return Ok(());
    }
    if build.nonce.as_ref() == Some(&lock.nonce) {
        stage
            .store
            .orphan_lock(&build.repository, &lock.nonce)
            .await?;
    } else {
        stage
            .store
            .release_lock(&build.repository, &lock.nonce)
            .await?;
    }
    Ok(())
}

/// Gives an unfinished build its end; its run is cancelled. Green stays green, and
/// where GitHub cannot be seen what is on its way stays on its way.
///
/// The generation is the first thing written, so that whatever still works on the
/// build loses; the end is the last, so that a run of Settle that follows one which
/// died in between finds the build unfinished and does the rest.
async fn end(stage: &Stage, build: Build, generation: u64) -> Result<(), StageError> {
    let taken = take(stage, build, generation).await?;
    let build = &taken;
    if build.status.is_failed() || build.status.is_green() {
        return Ok(());
    }
    let seen = cancel_run(stage, build).await;
    settle_lock(stage, build).await?;
    if let Some(token) = &build.wait_token {
        stage.store.complete_token(token).await?;
    }
    if seen == GitHub::OutOfSight {
        // It may well go on: the build keeps its state, and who resumes adopts it.
        let parked = taken.wait_token.is_some();
        let left = Build {
            wait_token: None,
            ..taken.clone()
        };
        if parked {
            let why = "the release ended; GitHub could not be seen";
            stage.store.change_build(&taken, &left, why).await?;
        }
        return Ok(());
    }
    let why = build
        .error
        .clone()
        .unwrap_or_else(|| "the release ended before this build".into());
    let ended = taken.ended(BuildStatus::Cancelled, why, Timestamp::now());
    stage
        .store
        .change_build(&taken, &ended, "the release ended before this build")
        .await?;
    Ok(())
}
