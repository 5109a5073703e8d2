//! The stage around [`collect_run`](crate::collect_run): reads the build, maps what
//! came of collecting to the build's next status.

use std::time::Duration;

use commons_artifacts::Verification;
use commons_domain::attempts::Outcome;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_domain::release::Collected;
use commons_domain::times::BUSY_WAIT;
use commons_runtime::{
    Stage, StageError, after_attempt, block_dependents, end_build, in_sight, wait_out_of_sight,
};
use serde::{Deserialize, Serialize};

use crate::{CollectError, Job, Means, collect_run};

/// A function has 15 minutes; after this it hands over to its next call.
const TIME: Duration = Duration::from_secs(14 * 60);

/// Which build.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Its release.
    pub release: ReleaseKey,
    /// Its component.
    pub component: String,
    /// The generation of the execution that asks.
    pub generation: u64,
}

/// Where the build goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// It is complete.
    Built,
    /// Something could not be seen, or the time was up: call again after the wait.
    Again,
    /// An artifact has expired: Backoff, then Dispatch.
    Retry,
    /// It has its end.
    Over,
}

/// The answer to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where to go.
    pub next: Next,
    /// Seconds to wait where `next` is `again` or `retry`.
    pub wait_seconds: u64,
}

/// Collects a green build.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    let build = stage
        .store
        .own_build(&input.release, &input.component, input.generation)
        .await?;
    let answer = |next| Output {
        next,
        wait_seconds: stage.config.speed.wait_seconds(BUSY_WAIT),
    };
    match build.status {
        BuildStatus::Success => {}
        BuildStatus::Collected => return Ok(answer(Next::Built)),
        // It has expired, and whoever wrote that died: Dispatch knows how long to wait.
        BuildStatus::Retrying => return Ok(answer(Next::Retry)),
        // Whoever ended it here may have died before it told what waits.
        BuildStatus::Failure => {
            block_dependents(&stage, &build).await?;
            return Ok(answer(Next::Over));
        }
        _ => return Ok(answer(Next::Over)),
    }
    let (Some(run_id), Some(run_attempt)) = (build.workflow_run_id, build.run_attempt) else {
        return Err(StageError::Internal(format!(
            "the green build {} names no run",
            build.component
        )));
    };
    let job = Job {
        release_key: build.release.clone(),
        component: build.component.clone(),
        repository: build.repository.clone(),
        run_id,
        run_attempt,
        artifacts: build.spec.artifacts.clone(),
        binaries: build.spec.binaries.clone(),
        asset_prefix: build.spec.asset_prefix.clone(),
        version: build.spec.version.clone(),
    };
    let means = Means::new(&stage.github, &stage.objects, stage.clock.as_ref(), TIME);
    let collected = collect_run(&means, &job).await;
    if means.received() > 0 {
        in_sight(&stage, &build).await?;
    }
    match collected {
        Ok((list, key, sha256)) => {
            let count = list.assets.len() as u64;
            let collected = Build {
                status: BuildStatus::Collected,
                collected: Some(Collected {
                    workflow_run_id: run_id,
                    run_attempt,
                    key,
                    sha256,
                    count,
                }),
                error: None,
                unseen_since: None,
                ..build.clone()
            };
            let bytes: u64 = list.assets.iter().map(|asset| asset.size).sum();
            let why = format!("collected {count} assets, {bytes} bytes, of run {run_id}");
            stage.store.change_build(&build, &collected, &why).await?;
            Ok(answer(Next::Built))
        }
        Err(CollectError::CannotSee { why, retry_after }) => {
            let wait = wait_out_of_sight(&stage, &build, &why, retry_after).await?;
            Ok(Output {
                next: Next::Again,
                wait_seconds: stage.config.speed.wait_seconds(wait),
            })
        }
        Err(CollectError::TimeUp) if means.received() > 0 => Ok(answer(Next::Again)),
        // As long as nothing comes whole, that is no better than seeing nothing.
        Err(error @ CollectError::TimeUp) => {
            let wait = wait_out_of_sight(&stage, &build, &error.to_string(), None).await?;
            Ok(Output {
                next: Next::Again,
                wait_seconds: stage.config.speed.wait_seconds(wait),
            })
        }
        Err(CollectError::Verification(expired @ Verification::Expired { .. }))
            if build.spec.rebuild_expired =>
        {
            build_again(&stage, &build, &expired.to_string()).await
        }
        Err(error) => {
            end_build(&stage, &build, BuildStatus::Failure, error.to_string()).await?;
            Ok(answer(Next::Over))
        }
    }
}

/// What was built is not there any more: another attempt, or the end.
async fn build_again(stage: &Stage, build: &Build, why: &str) -> Result<Output, StageError> {
    let next = after_attempt(stage, build, Outcome::Expired, why, false);
    if next.status != BuildStatus::Retrying {
        end_build(stage, build, next.status, next.error.unwrap_or_default()).await?;
        return Ok(Output {
            next: Next::Over,
            wait_seconds: 1,
        });
    }
    let (retry, of) = (next.retry_count, build.spec.max_retries);
    let reason = format!("{why}: it is dispatched again, retry {retry} of {of}");
    stage.store.change_build(build, &next, &reason).await?;
    Ok(Output {
        next: Next::Retry,
        wait_seconds: next.retry_at.map_or(1, |at| stage.seconds_until(at)),
    })
}
