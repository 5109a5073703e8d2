//! Publish where GitHub cannot be seen: the release stays as it is and is tried again,
//! ever later; since when nothing could be written stands in the table, a write that
//! GitHub takes begins it anew, and after half an hour the release gives up.

use std::time::Duration;

use commons_domain::release::Release;
use commons_domain::times::{BLIND_AFTER, sight_wait};
use commons_runtime::{Stage, StageError, ago, blind};

use crate::Input;

/// How long to wait, in simulated time. `progress`: GitHub has taken a write in this call.
pub async fn wait(
    stage: &Stage,
    input: &Input,
    progress: bool,
    why: &str,
) -> Result<Duration, StageError> {
    tracing::warn!(why, "GitHub cannot be seen");
    let (store, key) = (&stage.store, &input.release);
    // Publishing may have written before it went blind.
    let release = store.own_release(key, input.generation).await?;
    let unseen = match release.unseen_since.filter(|_| !progress) {
        Some(since) => ago(stage, since),
        None => {
            let now = Release {
                unseen_since: Some(stage.now()),
                ..release.clone()
            };
            let why = format!("out of sight: {why}");
            store.change_release(&release, &now, &why).await?;
            Duration::ZERO
        }
    };
    if unseen > BLIND_AFTER {
        return Err(blind(&format!("the release {key}"), why));
    }
    Ok(sight_wait(unseen))
}
