//! Starting a release.

use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use commons_domain::names::{ReleaseKey, Version, execution_name};
use commons_runtime::{Stage, StageError};
use serde_json::json;

use crate::events::Outcome;

/// Starts the release of a tag, unless it is on its way or done. The same `origin`
/// starts it once, however often it is asked.
pub async fn start(
    stage: &Stage,
    tag: &str,
    prerelease: bool,
    origin: &str,
) -> Result<Outcome, StageError> {
    let Ok(version) = Version::new(tag) else {
        return Ok(Outcome::new(
            202,
            format!("ignored: the tag '{tag}' is no version"),
        ));
    };
    let key = ReleaseKey::of(&stage.config.release_repository, &version);
    // Our own publishing creates tags and releases too: they are in the table.
    if let Some(release) = stage.store.release(&key).await?
        && !release.status.may_start_again()
    {
        let sentence = format!("ignored: {key} is {}", release.status.as_str());
        return Ok(Outcome::new(202, sentence));
    }
    let mut input = json!({ "version": version });
    if prerelease {
        input["prerelease"] = true.into();
    }
    let started = stage
        .states
        .start_execution()
        .state_machine_arn(&stage.config.state_machine_arn)
        .name(execution_name(&version, origin))
        .input(input.to_string())
        .send()
        .await;
    match started {
        Ok(answer) => Ok(Outcome::new(
            202,
            format!("started {}", answer.execution_arn()),
        )),
        Err(error) => match error.as_service_error() {
            // The same delivery again.
            Some(StartExecutionError::ExecutionAlreadyExists(_)) => {
                Ok(Outcome::new(202, "started before"))
            }
            _ => Err(StageError::Unavailable(
                "the execution could not be started".into(),
            )),
        },
    }
}

/// Starts the nightly release of a day: the release repository's default branch as
/// it is now.
pub async fn nightly(stage: &Stage, day: jiff::Timestamp) -> Result<Outcome, StageError> {
    let repository = &stage.config.release_repository;
    let cannot_see = |error: commons_github::Error| StageError::Unavailable(error.to_string());
    let branch = stage.github.repository(repository).await;
    let branch = branch.map_err(cannot_see)?.default_branch;
    let head = stage.github.head(repository, &branch).await;
    let commit = head.map_err(cannot_see)?.sha;
    let short: String = commit.chars().take(12).collect();
    let date = day.strftime("%Y%m%d");
    start(stage, &format!("nightly-{date}-{short}"), true, "schedule").await
}
