//! What each event means.

use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use commons_domain::names::{ReleaseKey, RepoName, Version, execution_name};
use commons_runtime::StageError;
use serde_json::{Value, json};

use crate::Door;

/// What GitHub is told.
pub struct Outcome {
    /// HTTP status.
    pub status: i64,
    /// One sentence.
    pub sentence: String,
}

fn outcome(status: i64, sentence: impl Into<String>) -> Result<Outcome, StageError> {
    Ok(Outcome {
        status,
        sentence: sentence.into(),
    })
}

/// Acts on one verified delivery.
pub async fn handle(
    door: &Door,
    event: &str,
    delivery: &str,
    payload: &Value,
) -> Result<Outcome, StageError> {
    let text = |pointer: &str| {
        payload
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    if event == "ping" {
        return outcome(200, "pong");
    }
    let Ok(repository) = RepoName::new(text("/repository/full_name")) else {
        return outcome(400, "repository.full_name is missing");
    };
    let ours = repository == door.config.release_repository;
    match (event, text("/action")) {
        ("create", _) if ours && text("/ref_type") == "tag" => {
            start(door, text("/ref"), delivery).await
        }
        ("release", "published") if ours => start(door, text("/release/tag_name"), delivery).await,
        ("workflow_run", _) => match payload.pointer("/workflow_run/id").and_then(Value::as_u64) {
            Some(run) => wake(door, &repository, run).await,
            None => outcome(400, "workflow_run.id is missing"),
        },
        _ => outcome(202, "ignored"),
    }
}

/// Starts a release, unless it is on its way or done.
async fn start(door: &Door, tag: &str, delivery: &str) -> Result<Outcome, StageError> {
    let Ok(version) = Version::new(tag) else {
        return outcome(202, format!("ignored: the tag '{tag}' is no version"));
    };
    let key = ReleaseKey::of(&door.config.release_repository, &version);
    // Our own publishing creates tags and releases too: they are in the table.
    if let Some(release) = door.store.release(&key).await?
        && !release.status.may_start_again()
    {
        return outcome(
            202,
            format!("ignored: {key} is {}", release.status.as_str()),
        );
    }
    let started = door
        .states
        .start_execution()
        .state_machine_arn(&door.config.state_machine_arn)
        .name(execution_name(&version, delivery))
        .input(json!({"version": version}).to_string())
        .send()
        .await;
    match started {
        Ok(answer) => outcome(202, format!("started {}", answer.execution_arn())),
        Err(error) => match error.as_service_error() {
            // The same delivery again.
            Some(StartExecutionError::ExecutionAlreadyExists(_)) => outcome(202, "started before"),
            _ => Err(StageError::Unavailable(
                "the execution could not be started".into(),
            )),
        },
    }
}

/// Wakes the build that has claimed the run, or with no claim yet the one that
/// holds the repository's dispatch lock. What the event says is not believed: the
/// build's own Poll asks GitHub.
async fn wake(door: &Door, repository: &RepoName, run: u64) -> Result<Outcome, StageError> {
    let holder = match door.store.claim_of(repository, run).await? {
        Some(claim) => Some((claim.release, claim.component)),
        None => door
            .store
            .lock(repository)
            .await?
            .map(|lock| (lock.release, lock.component)),
    };
    match holder {
        Some((release, component)) => {
            door.store.wake(&release, &component, true).await?;
            outcome(202, format!("woke {component} of {release}"))
        }
        None => outcome(202, "ignored: no build waits for this run"),
    }
}
