//! What cannot be seen is no news. The build keeps its state and is looked at again, ever
//! later; since when nothing is seen stands in the table, one look that sees clears it,
//! and after [`BLIND_AFTER`] the release gives up and leaves everything as it is.

use std::time::Duration;

use commons_domain::build::Build;
use commons_domain::times::{BLIND_AFTER, sight_wait};
use jiff::Timestamp;

use crate::{Stage, StageError};

/// Notes that a build cannot be seen, and for how long it has been so; in simulated time.
async fn out_of_sight(stage: &Stage, build: &Build, why: &str) -> Result<Duration, StageError> {
    let (release, component) = (&build.release, &build.component);
    tracing::warn!(why, %component, "it cannot be seen; the build keeps its state");
    // The look may have written before it went blind.
    let store = &stage.store;
    let build = store
        .own_build(release, component, build.generation)
        .await?;
    let Some(unseen) = build.unseen_since.map(|since| ago(stage, since)) else {
        let unseen = Build {
            unseen_since: Some(stage.now()),
            ..build.clone()
        };
        let why = format!("out of sight: {why}");
        store.change_build(&build, &unseen, &why).await?;
        return Ok(Duration::ZERO);
    };
    if unseen > BLIND_AFTER {
        return Err(blind(component, why));
    }
    Ok(unseen)
}

/// The end of who has seen nothing of something for too long.
pub fn blind(what: &str, why: &str) -> StageError {
    let minutes = BLIND_AFTER.as_secs() / 60;
    StageError::Blind(format!(
        "nothing could be seen of {what} for {minutes} minutes: {why}"
    ))
}

/// How long ago this was, in simulated time.
pub fn ago(stage: &Stage, since: Timestamp) -> Duration {
    let unseen = Duration::try_from(stage.now() - since).unwrap_or_default();
    stage.config.speed.simulated(unseen)
}

/// How long a build that cannot be seen waits, in simulated time; at least what GitHub
/// asks for.
pub async fn wait_out_of_sight(
    stage: &Stage,
    build: &Build,
    why: &str,
    retry_after: Option<Duration>,
) -> Result<Duration, StageError> {
    let unseen = out_of_sight(stage, build, why).await?;
    Ok(sight_wait(unseen).max(retry_after.unwrap_or_default()))
}

/// Notes that a build is seen again.
pub async fn in_sight(stage: &Stage, build: &Build) -> Result<(), StageError> {
    if build.unseen_since.is_none() {
        return Ok(());
    }
    let (release, component) = (&build.release, &build.component);
    let store = &stage.store;
    let build = store
        .own_build(release, component, build.generation)
        .await?;
    let seen = Build {
        unseen_since: None,
        ..build.clone()
    };
    store.change_build(&build, &seen, "in sight again").await?;
    Ok(())
}
