//! Ends that more than one stage brings about.

use std::collections::BTreeSet;

use commons_domain::build::{Build, BuildStatus};
use commons_domain::dispatch::blocked_by;
use commons_store::{Store, StoreError};
use jiff::Timestamp;

use crate::StageError;

/// Ends a build without success, marks everything that requires it, however far,
/// as blocked, and wakes what waits. Repeating it changes nothing.
pub async fn end_build(
    store: &Store,
    build: &Build,
    status: BuildStatus,
    why: String,
) -> Result<(), StageError> {
    let ended = build.ended(status, why.clone(), Timestamp::now());
    store.change_build(build, &ended, &why).await?;
    block_dependents(store, &ended).await
}

/// Marks the transitive dependents of an ended build that have not started.
pub async fn block_dependents(store: &Store, dead: &Build) -> Result<(), StageError> {
    let builds = store.builds(&dead.release).await?;
    let mut unbuildable = BTreeSet::from([dead.component.clone()]);
    // Each pass finds the dependents of the last; the graph has no cycles.
    loop {
        let more: Vec<&Build> = builds
            .iter()
            .filter(|b| {
                !unbuildable.contains(&b.component)
                    && b.requires.iter().any(|r| unbuildable.contains(r))
            })
            .collect();
        if more.is_empty() {
            return Ok(());
        }
        for dependent in more {
            unbuildable.insert(dependent.component.clone());
            if dependent.generation != dead.generation || dependent.status != BuildStatus::Pending {
                continue;
            }
            let why = blocked_by(dead);
            let blocked = dependent.ended(BuildStatus::Blocked, why.clone(), Timestamp::now());
            match store.change_build(dependent, &blocked, &why).await {
                // It moved on by itself: its own Dispatch sees the dead dependency.
                Ok(()) | Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            store
                .wake(&dependent.release, &dependent.component, false)
                .await?;
            if let Some(token) = &dependent.wait_token {
                store.complete_token(token).await?;
            }
        }
    }
}
