//! A child that ended without an end state for its build: the reason is written to
//! the build, which keeps its status, and what waits for it is woken.

use commons_domain::build::Build;
use commons_domain::names::ReleaseKey;
use commons_runtime::{Stage, StageError, block_dependents};

/// Records the error of a dead child.
pub async fn record(
    stage: &Stage,
    release: &ReleaseKey,
    component: &str,
    generation: u64,
    why: &str,
) -> Result<(), StageError> {
    let build = stage
        .store
        .own_build(release, component, generation)
        .await?;
    if build.status.is_failed() || build.collected.is_some() {
        return Ok(());
    }
    let dead = Build {
        error: Some(why.to_owned()),
        wait_token: None,
        ..build.clone()
    };
    stage.store.change_build(&build, &dead, why).await?;
    // Green is green: dependents of a build that was not collected still build.
    if dead.status.is_green() {
        Ok(())
    } else {
        block_dependents(&stage.store, &dead).await
    }
}
