//! Executions, as Step Functions describes them.

use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionError;
use aws_sdk_sfn::types::ExecutionStatus;
use commons_domain::names::ReleaseKey;
use commons_runtime::{Stage, StageError, aws_code};

/// An execution as Step Functions describes it.
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// The release that its input names.
    pub release: Option<ReleaseKey>,
    /// What ended it, if anybody said.
    pub cause: Option<String>,
}

impl Execution {
    /// Why it ended, as a sentence.
    pub fn why(&self) -> String {
        let said = self.cause.clone().filter(|cause| !cause.is_empty());
        said.unwrap_or_else(|| format!("the execution ended as {}", self.status.as_str()))
    }
}

/// The sweeper or an event asks again later.
pub fn cannot_see(what: &str, error: &impl ProvideErrorMetadata) -> StageError {
    StageError::Unavailable(format!("{what} cannot be seen: {}", aws_code(error)))
}

/// Describes an execution or the child of a Map; none where there is none.
pub async fn describe(stage: &Stage, arn: &str) -> Result<Option<Execution>, StageError> {
    let described = stage
        .states
        .describe_execution()
        .execution_arn(arn)
        .send()
        .await;
    match described {
        Ok(described) => {
            let input = described
                .input()
                .and_then(|text| serde_json::from_str(text).ok());
            Ok(Some(Execution {
                arn: arn.to_owned(),
                status: described.status().clone(),
                release: input
                    .as_ref()
                    .and_then(|input| crate::release_key(stage, input)),
                cause: described.cause().map(str::to_owned),
            }))
        }
        Err(error) => match error.as_service_error() {
            Some(DescribeExecutionError::ExecutionDoesNotExist(_)) => Ok(None),
            _ => Err(cannot_see(arn, &error)),
        },
    }
}
