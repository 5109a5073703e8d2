//! The sweeper: finds what a lost event left. A release whose holder does not run
//! any more is settled as if its event had come.

use aws_sdk_sfn::types::ExecutionStatus;
use commons_runtime::{Stage, StageError};

use crate::release::settle;

/// Looks at the executions that ended lately, and settles what they still own.
pub async fn sweep(stage: &Stage) -> Result<(), StageError> {
    let cannot_see = |what: &str| StageError::Unavailable(format!("the sweeper cannot see {what}"));
    for status in [
        ExecutionStatus::Aborted,
        ExecutionStatus::TimedOut,
        ExecutionStatus::Failed,
    ] {
        let ended = stage
            .states
            .list_executions()
            .state_machine_arn(&stage.config.state_machine_arn)
            .status_filter(status.clone())
            .max_results(100)
            .send()
            .await
            .map_err(|_| cannot_see("which executions ended"))?;
        for execution in ended.executions() {
            let arn = execution.execution_arn();
            let described = stage
                .states
                .describe_execution()
                .execution_arn(arn)
                .send()
                .await
                .map_err(|_| cannot_see(arn))?;
            let input = described
                .input()
                .and_then(|text| serde_json::from_str(text).ok());
            let key = input
                .as_ref()
                .and_then(|input| crate::release_key(stage, input));
            let why = described.cause().map_or_else(
                || format!("the execution ended as {}", status.as_str()),
                str::to_owned,
            );
            settle(stage, arn, key, &why, status == ExecutionStatus::Aborted).await?;
        }
    }
    Ok(())
}
