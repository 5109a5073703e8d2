//! What cannot be seen is no news. The build keeps its state and is looked at again, ever
//! later; since when nothing is seen stands in the table, one look that sees clears it,
//! and after [`BLIND_AFTER`] the release gives up and leaves everything as it is.

use std::time::Duration;

use commons_domain::build::Build;
use commons_domain::times::{BLIND_AFTER, sight_wait};

use crate::{Stage, StageError};

/// Notes that a build cannot be seen, and for how long it has been so; in simulated time.
pub async fn out_of_sight(stage: &Stage, build: &Build, why: &str) -> Result<Duration, StageError> {
    let (release, component) = (&build.release, &build.component);
    tracing::warn!(why, %component, "it cannot be seen; the build keeps its state");
    // The look may have written before it went blind.
    let store = &stage.store;
    let build = store
        .own_build(release, component, build.generation)
        .await?;
    let Some(unseen) = unseen(stage, &build) else {
        let unseen = Build {
            unseen_since: Some(stage.now()),
            ..build.clone()
        };
        store.change_build(&build, &unseen, why).await?;
        return Ok(Duration::ZERO);
    };
    if unseen > BLIND_AFTER {
        let minutes = BLIND_AFTER.as_secs() / 60;
        return Err(StageError::Blind(format!(
            "nothing could be seen of {component} for {minutes} minutes: {why}"
        )));
    }
    Ok(unseen)
}

/// For how long it could not be seen how a build stands, in simulated time.
pub fn unseen(stage: &Stage, build: &Build) -> Option<Duration> {
    let since = build.unseen_since?;
    let unseen = Duration::try_from(stage.now() - since).unwrap_or_default();
    Some(stage.config.speed.simulated(unseen))
}

/// How long a build that cannot be seen waits, in simulated time.
pub async fn wait_out_of_sight(
    stage: &Stage,
    build: &Build,
    why: &str,
) -> Result<Duration, StageError> {
    out_of_sight(stage, build, why).await.map(sight_wait)
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
    store.change_build(&build, &seen, "seen again").await?;
    Ok(())
}
