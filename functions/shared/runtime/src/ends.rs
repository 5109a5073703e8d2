//! Ends that more than one stage brings about.

use commons_domain::attempts::{Outcome, after};
use commons_domain::build::{Build, BuildStatus};
use commons_domain::dispatch::blocked_by;
use commons_domain::times::backoff;
use commons_domain::wake::blocked;
use commons_store::StoreError;

use crate::{Stage, StageError};

/// Ends a build without success, marks everything that requires it, however far,
/// as blocked, and wakes what waits. Repeating it changes nothing.
pub async fn end_build(
    stage: &Stage,
    build: &Build,
    status: BuildStatus,
    why: String,
) -> Result<(), StageError> {
    let ended = build.ended(status, why.clone(), stage.now());
    stage.store.change_build(build, &ended, &why).await?;
    block_dependents(stage, &ended).await
}

/// Marks the transitive dependents of an ended build that have not started, and wakes
/// them; also those that were marked by who died before.
pub async fn block_dependents(stage: &Stage, dead: &Build) -> Result<(), StageError> {
    let store = &stage.store;
    let builds = store.builds(&dead.release).await?;
    for dependent in blocked(dead, &builds) {
        if dependent.status == BuildStatus::Pending {
            let why = blocked_by(dead);
            let ended = dependent.blocked(why.clone(), stage.now());
            match store.change_build(dependent, &ended, &why).await {
                // It moved on by itself: its own Dispatch sees the dead dependency.
                Ok(()) | Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        store
            .wake(&dependent.release, &dependent.component, false)
            .await?;
    }
    Ok(())
}

/// What an attempt that came to nothing makes of its build: another attempt after a wait,
/// of which chance takes a part, or the end. `rerun`: GitHub would run the run again.
pub fn after_attempt(
    stage: &Stage,
    build: &Build,
    outcome: Outcome,
    why: &str,
    rerun: bool,
) -> Build {
    let wait = backoff(build.retry_count + 1, fastrand::f64());
    let wait = stage.config.speed.real(wait);
    after(build, outcome, why.to_owned(), rerun, wait, stage.now())
}
