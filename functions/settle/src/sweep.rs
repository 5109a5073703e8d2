//! The sweeper: finds what a lost event left. A release whose holder does not run
//! any more is settled as if its event had come; a build whose child is gone gets its
//! error.

use aws_sdk_sfn::types::ExecutionStatus;
use commons_domain::build::Build;
use commons_runtime::{Stage, StageError};
use jiff::{SignedDuration, Timestamp};

use crate::execution::{Execution, cannot_see, describe};
use crate::release::settle;

/// Executions that ended longer ago were looked at often enough.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);

/// Looks at the executions that ended lately and settles what they still own, and at
/// the children of those that run.
pub async fn sweep(stage: &Stage) -> Result<(), StageError> {
    for status in [
        ExecutionStatus::Aborted,
        ExecutionStatus::TimedOut,
        ExecutionStatus::Failed,
    ] {
        for arn in list(stage, &status).await? {
            let Some(ended) = describe(stage, &arn).await? else {
                continue;
            };
            let aborted = status == ExecutionStatus::Aborted;
            settle(stage, &arn, ended.release.clone(), &ended.why(), aborted).await?;
        }
    }
    for arn in list(stage, &ExecutionStatus::Running).await? {
        if let Some(running) = describe(stage, &arn).await? {
            dead_children(stage, &running).await?;
        }
    }
    Ok(())
}

/// Records the error of every build whose child does not run any more.
async fn dead_children(stage: &Stage, parent: &Execution) -> Result<(), StageError> {
    let Some(key) = &parent.release else {
        return Ok(());
    };
    let release = stage.store.release(key).await?;
    let Some(release) = release.filter(|r| r.lease.as_ref() == Some(&parent.arn)) else {
        return Ok(());
    };
    for build in stage.store.builds(key).await? {
        let Some(child) = carried_by(&build, release.generation) else {
            continue;
        };
        let child = describe(stage, child).await?;
        let status = child.map_or_else(|| "gone".into(), |c| c.status.as_str().to_owned());
        if status == ExecutionStatus::Running.as_str() {
            continue;
        }
        // It may have ended well between the two looks.
        let now = stage.store.build(key, &build.component).await?;
        if now
            .as_ref()
            .and_then(|now| carried_by(now, release.generation))
            .is_some()
        {
            let why = format!("its child execution is {status}");
            crate::build::record(stage, key, &build.component, release.generation, &why).await?;
        }
    }
    Ok(())
}

/// The child of an unfinished build of this generation, if it is known.
fn carried_by(build: &Build, generation: u64) -> Option<&str> {
    let unfinished =
        !build.status.is_failed() && build.collected.is_none() && build.error.is_none();
    build
        .child
        .as_deref()
        .filter(|_| unfinished && build.generation == generation)
}

/// ARNs of the machine's executions of a status, those that ended long ago left out.
async fn list(stage: &Stage, status: &ExecutionStatus) -> Result<Vec<String>, StageError> {
    let since = (Timestamp::now() - LOOK_BACK).as_second();
    let mut pages = stage
        .states
        .list_executions()
        .state_machine_arn(&stage.config.state_machine_arn)
        .status_filter(status.clone())
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(execution) = pages.next().await {
        let execution = execution.map_err(|_| cannot_see("the executions"))?;
        // The newest come first.
        if execution.start_date().secs() < since
            && execution.stop_date().is_some_and(|d| d.secs() < since)
        {
            break;
        }
        found.push(execution.execution_arn().to_owned());
    }
    Ok(found)
}
