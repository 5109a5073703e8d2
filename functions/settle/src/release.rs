//! The end of a release without success.

use std::sync::atomic::{AtomicBool, Ordering};

use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_runtime::{Stage, StageError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::build::end;

/// Builds that are ended at a time.
const AT_A_TIME: usize = 8;

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
    if !stored.is_owned_by(execution) {
        tracing::info!(execution, release = %key, "the lease is not this execution's");
        return Ok(());
    }
    match end_release(stage, stored, why, aborted).await {
        // Who owns it now has taken over what is left.
        Err(StageError::LeaseLost(lost)) => {
            tracing::info!(execution, lost, "another execution has the release");
            Ok(())
        }
        ended => ended,
    }
}

async fn end_release(
    stage: &Stage,
    stored: Release,
    why: &str,
    aborted: bool,
) -> Result<(), StageError> {
    let settled = stored.settled(aborted, why, stage.now());
    stage.store.change_release(&stored, &settled, why).await?;
    let builds = stage.store.builds(&settled.key).await?;
    let out_of_sight = AtomicBool::new(false);
    let touching = stage.touching(builds.iter().map(|build| build.repository.clone()));
    stream::iter(builds)
        .map(|build| end(&touching, build, settled.generation, &out_of_sight))
        .buffer_unordered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    if out_of_sight.load(Ordering::Relaxed) {
        tracing::warn!(release = %settled.key, "GitHub could not be seen: runs may go on, and who resumes adopts them");
    }
    let released = Release {
        lease: None,
        ..settled.clone()
    };
    let last = "the lease is released";
    stage
        .store
        .change_release(&settled, &released, last)
        .await?;
    Ok(())
}
