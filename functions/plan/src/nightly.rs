//! The nightly release: the schedule calls Plan with the time that is due, and Plan
//! starts an execution for the version of that day and commit.

use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use commons_domain::names::{ReleaseKey, Version, execution_name};
use commons_runtime::{Stage, StageError, aws_code};
use jiff::Timestamp;
use serde_json::json;

use crate::github_error;

/// Starts the release of the release repository's default branch as it is now; the
/// execution's name. Called again for the same day and commit it starts nothing.
pub async fn start(stage: &Stage, due: Timestamp) -> Result<String, StageError> {
    let repository = &stage.config.release_repository;
    let found = stage.github.repository(repository).await;
    let branch = found.map_err(|error| github_error(&error))?.default_branch;
    let head = stage.github.head(repository, &branch).await;
    let commit = head.map_err(|error| github_error(&error))?.sha;
    let short: String = commit.chars().take(12).collect();
    let version = Version::new(&format!("nightly-{}-{short}", due.strftime("%Y%m%d")))
        .map_err(|error| StageError::Internal(error.to_string()))?;
    let name = execution_name(&version, "schedule");
    let key = ReleaseKey::of(repository, &version);
    if let Some(release) = stage.store.release(&key).await?
        && !release.status.may_start_again()
    {
        return Ok(name);
    }
    let started = stage
        .states
        .start_execution()
        .state_machine_arn(&stage.config.state_machine_arn)
        .name(&name)
        .input(json!({ "version": version }).to_string())
        .send()
        .await;
    match started {
        Ok(_) => Ok(name),
        Err(error) => match error.as_service_error() {
            Some(StartExecutionError::ExecutionAlreadyExists(_)) => Ok(name),
            _ => Err(StageError::Unavailable(format!(
                "the execution {name} could not be started: {}",
                aws_code(&error)
            ))),
        },
    }
}
