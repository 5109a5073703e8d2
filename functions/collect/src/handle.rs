//! The stage around [`collect_run`](crate::collect_run): reads the build, maps what
//! came of collecting to the build's next status.

use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_domain::release::Collected;
use commons_domain::times::BUSY_WAIT;
use commons_runtime::{Stage, StageError, end_build, wait_out_of_sight};
use serde::{Deserialize, Serialize};

use crate::{CollectError, Job, collect_run};

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
    /// Something could not be seen: call again after the wait.
    Again,
    /// It has its end.
    Over,
}

/// The answer to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where to go.
    pub next: Next,
    /// Seconds to wait where `next` is `again`.
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
    match collect_run(&stage.github, &stage.objects, &job).await {
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
        Err(error) => {
            end_build(&stage, &build, BuildStatus::Failure, error.to_string()).await?;
            Ok(answer(Next::Over))
        }
    }
}
