//! Starting a release.

use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use commons_domain::names::{ReleaseKey, Version, execution_name};
use commons_runtime::{StageError, aws_code};
use serde_json::json;

use crate::Door;
use crate::events::Outcome;

/// Starts the release of a tag, unless it is on its way or done. The same `origin`
/// starts it once, however often it is asked.
pub async fn start(
    door: &Door,
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
    let key = ReleaseKey::of(&door.config.release_repository, &version);
    // Our own publishing creates tags and releases too: they are in the table.
    if let Some(release) = door.store.release(&key).await?
        && !release.status.may_start_again()
    {
        let sentence = format!("ignored: {key} is {}", release.status.as_str());
        return Ok(Outcome::new(202, sentence));
    }
    let mut input = json!({ "version": version });
    if prerelease {
        input["prerelease"] = true.into();
    }
    let started = door
        .states
        .start_execution()
        .state_machine_arn(&door.config.state_machine_arn)
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
            _ => Err(StageError::Unavailable(format!(
                "the execution could not be started: {}",
                aws_code(&error)
            ))),
        },
    }
}
