//! The end of a release without success.

use commons_domain::build::{Build, BuildStatus};
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
        end(stage, &build, settled.generation).await?;
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

/// Gives an unfinished build its end; its run is cancelled. Green stays green.
async fn end(stage: &Stage, build: &Build, generation: u64) -> Result<(), StageError> {
    let unfinished = !build.status.is_failed() && !build.status.is_green();
    let mut ended = if unfinished {
        let why = build
            .error
            .clone()
            .unwrap_or_else(|| "the release ended before this build".into());
        build.ended(BuildStatus::Cancelled, why, Timestamp::now())
    } else {
        build.clone()
    };
    ended.generation = generation;
    ended.wait_token = None;
    match stage
        .store
        .change_build(build, &ended, "the release ended")
        .await
    {
        Ok(()) => {}
        // A stage was faster; the next run of Settle sees what it wrote.
        Err(error @ StoreError::Stale { .. }) => return Err(error.into()),
        Err(error) => return Err(error.into()),
    }
    if !unfinished {
        return Ok(());
    }
    if let Some(run) = build
        .workflow_run_id
        .filter(|_| build.status.is_on_its_way())
    {
        match stage.github.cancel(&build.repository, run).await {
            // 409: it has ended by itself.
            Ok(()) | Err(commons_github::Error::Conflict { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, run, "a run of an ended release could not be cancelled")
            }
        }
    }
    if let Some(nonce) = &build.nonce {
        stage.store.orphan_lock(&build.repository, nonce).await?;
    }
    if let Some(token) = &build.wait_token {
        stage.store.complete_token(token).await?;
    }
    Ok(())
}
