//! What follows a published release: the dispatches that the manifest lists, each once.
//!
//! GitHub answers a `repository_dispatch` with nothing that names it. So the intent is
//! written first, and who finds one without an end looks for a run that it has started;
//! only when none has appeared in its time is it sent again. A repository where nothing
//! listens shows no run, and may be sent it twice: nobody hears it there.
//!
//! The release is published whatever becomes of these: one that cannot be sent is told.

use std::time::Duration;

use commons_domain::after_publish::Dispatch;
use commons_domain::budget::{Answer, Write};
use commons_domain::matching::NONCE_PREFIX;
use commons_domain::release::Release;
use commons_domain::times::{BLIND_AFTER, CLOCK_SKEW, DISPATCH_DEADLINE, RUN_APPEAR_TIMEOUT};
use commons_runtime::{Stage, StageError, ago};
use jiff::Timestamp;

use crate::limits::Pause;

/// Between two looks for a run.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Sends what was not sent yet.
pub async fn follow(stage: &Stage, mut release: Release) -> Result<(), Pause> {
    while let Some(place) = release.next_dispatch() {
        let begun = release.after_publish[place].begun_at;
        release = match one(stage, &release, place, begun).await {
            Err(Pause::Unseen { why, .. })
                if begun.is_some_and(|b| ago(stage, b) > BLIND_AFTER) =>
            {
                let why = format!("it is not known whether it was sent: {why}");
                ended(stage, &release, place, Some(why)).await?
            }
            other => other?,
        };
    }
    Ok(())
}

async fn one(
    stage: &Stage,
    release: &Release,
    place: usize,
    begun: Option<Timestamp>,
) -> Result<Release, Pause> {
    let dispatch = &release.after_publish[place];
    if let Some(begun) = begun {
        if has_arrived(stage, dispatch, begun).await? {
            return Ok(ended(stage, release, place, None).await?);
        }
        if ago(stage, begun) <= DISPATCH_DEADLINE + RUN_APPEAR_TIMEOUT {
            return Err(Pause::Again { wait: LOOK_AGAIN });
        }
    }
    let limits = &stage.config.write_limits;
    let asked = stage
        .store
        .ask_to_write(&release.key, Write::Dispatch, limits);
    if let Answer::AskAt(then) = asked.await.map_err(StageError::from)? {
        let wait = stage.config.speed.simulated(stage.until(then));
        return Err(Pause::Again { wait });
    }
    let now = stage.now();
    let intent = release.with_dispatch(place, |d| d.begun_at = Some(now));
    let why = format!("{} is sent to {}", dispatch.event_type, dispatch.repository);
    change(stage, release, &intent, &why).await?;
    let payload = release.after_publish_payload();
    let sent = stage
        .github
        .repository_dispatch(&dispatch.repository, &dispatch.event_type, &payload)
        .await;
    match sent {
        Ok(()) => Ok(ended(stage, &intent, place, None).await?),
        Err(error) if error.is_cannot_see() => {
            if error.definitely_not_done() {
                let none = intent.with_dispatch(place, |d| d.begun_at = None);
                change(stage, &intent, &none, &format!("it was not sent: {error}")).await?;
            }
            Err(error.into())
        }
        Err(error) => Ok(ended(stage, &intent, place, Some(error.to_string())).await?),
    }
}

/// Whether a run of ours has appeared since then that is no build's.
async fn has_arrived(stage: &Stage, dispatch: &Dispatch, begun: Timestamp) -> Result<bool, Pause> {
    let me = stage.github.login().await?;
    let runs = stage
        .github
        .runs_since(&dispatch.repository, begun - CLOCK_SKEW)
        .await?;
    Ok(runs.iter().any(|run| {
        run.event == "repository_dispatch"
            && run.actor.as_ref() == Some(&me)
            && !run.display_title.contains(NONCE_PREFIX)
    }))
}

async fn ended(
    stage: &Stage,
    release: &Release,
    place: usize,
    error: Option<String>,
) -> Result<Release, StageError> {
    let dispatch = &release.after_publish[place];
    let what = format!("{} to {}", dispatch.event_type, dispatch.repository);
    let why = match &error {
        None => format!("{what} was sent"),
        Some(error) => format!("{what} could not be sent: {error}"),
    };
    let now = stage.now();
    let after = release.with_dispatch(place, |d| {
        d.ended_at = Some(now);
        d.error = error;
    });
    change(stage, release, &after, &why).await?;
    Ok(after)
}

async fn change(
    stage: &Stage,
    before: &Release,
    after: &Release,
    why: &str,
) -> Result<(), StageError> {
    Ok(stage.store.change_release(before, after, why).await?)
}
