//! The one call that starts a run, and what its answers mean.

use std::collections::BTreeMap;

use commons_domain::build::{Build, BuildStatus, MatchedBy};
use commons_domain::dispatch::{client_payload, workflow_inputs};
use commons_domain::manifest::Trigger;
use commons_runtime::{Stage, StageError, claim_run, end_build, in_sight, wait_out_of_sight};

use crate::{Started, sent_away};

/// Sends the dispatch of a written intent.
pub async fn dispatch(stage: &Stage, build: &Build) -> Result<Started, StageError> {
    let nonce = build.nonce.as_deref().unwrap_or_default();
    let sent = match build.spec.trigger {
        Trigger::RepositoryDispatch => {
            let pins: BTreeMap<String, String> = stage
                .store
                .builds(&build.release)
                .await?
                .into_iter()
                .map(|b| (b.component, b.pin))
                .collect();
            let pins = serde_json::to_value(pins)
                .map_err(|error| StageError::Internal(error.to_string()))?;
            let payload = client_payload(build, nonce, &pins, stage.now());
            if !build.may_act(stage.now()) {
                return too_late(stage, build).await;
            }
            stage
                .github
                .repository_dispatch(&build.repository, &build.spec.event_type, &payload)
                .await
                .map(|()| None)
        }
        Trigger::WorkflowDispatch => {
            let workflow = build.workflow_path.rsplit('/').next().unwrap_or_default();
            let inputs = workflow_inputs(build, nonce);
            if !build.may_act(stage.now()) {
                return too_late(stage, build).await;
            }
            stage
                .github
                .workflow_dispatch(&build.repository, workflow, &build.git_ref, &inputs)
                .await
        }
    };
    match sent {
        Ok(None) => {
            stage
                .store
                .change_build(build, &build.accepted(), "GitHub accepted the dispatch")
                .await?;
            Ok(Started::AwaitRun)
        }
        Ok(Some(run)) => {
            let claimed = claim_run(stage, build, run, 1, MatchedBy::ReturnedId);
            if let Err(other) = claimed.await? {
                let why = format!(
                    "GitHub returned run {run}, which belongs to {} of {}",
                    other.component, other.release
                );
                stage.store.release_lock(&build.repository, nonce).await?;
                fail(stage, build, why).await?;
                return Ok(Started::Over);
            }
            Ok(Started::AwaitRun)
        }
        Err(error) if !error.definitely_not_done() => not_answered(stage, build, &error).await,
        Err(error) => {
            stage.store.release_lock(&build.repository, nonce).await?;
            refused_or_busy(stage, build, &error).await
        }
    }
}

/// The stage was held up between the intent and the call, and others count on its
/// deadline: nothing is sent, and Poll finds that no run appears.
async fn too_late(stage: &Stage, build: &Build) -> Result<Started, StageError> {
    let why = "nothing was sent: it was too late to act on the intent";
    tracing::warn!(component = build.component, why);
    stage.store.tell_of_build(build, why).await?;
    Ok(Started::AwaitRun)
}

/// Whether it was done is not known: the intent stands, Poll looks for the run.
async fn not_answered(
    stage: &Stage,
    build: &Build,
    error: &commons_github::Error,
) -> Result<Started, StageError> {
    tracing::warn!(%error, component = build.component, "the call was not answered");
    let why = format!("whether it was done is not known: {error}");
    stage.store.tell_of_build(build, &why).await?;
    Ok(Started::AwaitRun)
}

/// Re-runs the failed jobs of the claimed run: the commit, run and claim stay.
pub async fn rerun(stage: &Stage, build: &Build) -> Result<Started, StageError> {
    let Some(run) = build.workflow_run_id else {
        return Err(StageError::Internal(format!(
            "{} has no run to repeat",
            build.component
        )));
    };
    if let Some(wait) = sent_away(stage, build).await? {
        return Ok(Started::Busy { wait });
    }
    let intent = build.rerun_intent(stage.now());
    let why = format!(
        "attempt {}: the failed jobs of run {run} are run again",
        intent.attempt
    );
    stage
        .store
        .own_release(&build.release, build.generation)
        .await?;
    stage.store.change_build(build, &intent, &why).await?;
    if !intent.may_act(stage.now()) {
        return too_late(stage, &intent).await;
    }
    match stage.github.rerun_failed_jobs(&build.repository, run).await {
        Ok(()) => {
            stage
                .store
                .change_build(&intent, &intent.accepted(), "GitHub accepted the re-run")
                .await?;
            in_sight(stage, &intent).await?;
            Ok(Started::AwaitRun)
        }
        Err(error) if !error.definitely_not_done() => not_answered(stage, &intent, &error).await,
        Err(error) => refused_or_busy(stage, &intent, &error).await,
    }
}

/// Nothing was done. Where GitHub could not be seen the build keeps its place and
/// waits; where GitHub refused, it ends with what GitHub said.
pub async fn refused_or_busy(
    stage: &Stage,
    build: &Build,
    error: &commons_github::Error,
) -> Result<Started, StageError> {
    if !error.is_cannot_see() {
        fail(stage, build, error.to_string()).await?;
        return Ok(Started::Over);
    }
    let why = error.to_string();
    if build.status == BuildStatus::Dispatching {
        let waiting = build.not_sent();
        let nothing = format!("nothing was sent: {why}");
        stage.store.change_build(build, &waiting, &nothing).await?;
    }
    let wait = wait_out_of_sight(stage, build, &why, error.retry_after()).await?;
    Ok(Started::Busy { wait })
}

/// Ends the build, and with it what requires it.
pub async fn fail(stage: &Stage, build: &Build, why: String) -> Result<(), StageError> {
    end_build(stage, build, BuildStatus::Failure, why).await
}
