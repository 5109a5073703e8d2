//! The sweeper: finds what a lost event left. A release whose holder does not run
//! any more is settled as if its event had come; a build whose child is gone gets its
//! error; what came after a release had ended, runs and builds, is ended too.
//!
//! Running it twice is safe: each of these reads first, and repeats what is not done.

use aws_sdk_sfn::types::ExecutionStatus;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_runtime::{Stage, StageError, cancel_orphan};
use jiff::{SignedDuration, Timestamp};

use crate::execution::{Execution, cannot_see, describe};
use crate::release::settle;

/// Executions that ended longer ago were looked at often enough.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// What is still under way when its release ends has come by then: a call of Plan, a
/// dispatch whose run appears late.
const AFTERMATH: SignedDuration = SignedDuration::from_mins(30);

/// Looks at the executions that ended lately and settles what they still own, and at
/// the children of those that run. What goes wrong with one keeps nobody from the
/// others; the first such error is the sweep's.
pub async fn sweep(stage: &Stage) -> Result<(), StageError> {
    let mut swept = Ok(());
    let mut note = |outcome: Result<(), StageError>, execution: &str| {
        if let Err(error) = outcome {
            tracing::error!(execution, error_type = error.name(), %error, "not swept");
            if swept.is_ok() {
                swept = Err(error);
            }
        }
    };
    for status in [
        ExecutionStatus::Aborted,
        ExecutionStatus::TimedOut,
        ExecutionStatus::Failed,
    ] {
        for arn in list(stage, &status).await? {
            note(ended(stage, &arn, &status).await, &arn);
        }
    }
    for arn in list(stage, &ExecutionStatus::Running).await? {
        note(running(stage, &arn).await, &arn);
    }
    swept
}

async fn ended(stage: &Stage, arn: &str, status: &ExecutionStatus) -> Result<(), StageError> {
    let Some(ended) = describe(stage, arn).await? else {
        return Ok(());
    };
    let aborted = *status == ExecutionStatus::Aborted;
    settle(stage, arn, ended.release.clone(), &ended.why(), aborted).await?;
    match &ended.release {
        Some(key) => aftermath(stage, key).await,
        None => Ok(()),
    }
}

async fn running(stage: &Stage, arn: &str) -> Result<(), StageError> {
    match describe(stage, arn).await? {
        Some(running) => dead_children(stage, &running).await,
        None => Ok(()),
    }
}

/// Ends what came after a release had ended: a build that a Plan which still ran has
/// written, the run of a dispatch or re-run that was in flight.
async fn aftermath(stage: &Stage, key: &ReleaseKey) -> Result<(), StageError> {
    let since = Timestamp::now() - AFTERMATH;
    let release = stage.store.release(key).await?;
    let over = release.is_some_and(|r| {
        r.lease.is_none() && r.status.may_start_again() && r.completed_at > Some(since)
    });
    if !over {
        return Ok(());
    }
    for build in stage.store.builds(key).await? {
        if build.status == BuildStatus::Pending {
            let why = "the release ended before this build";
            let ended = build.ended(BuildStatus::Cancelled, why.into(), Timestamp::now());
            stage.store.change_build(&build, &ended, why).await?;
        }
        if build.status == BuildStatus::Cancelled {
            late_run(stage, &build).await?;
        }
    }
    Ok(())
}

/// Cancels the run of a cancelled build: its claimed one that a re-run in flight has
/// started again, or the one of its orphaned lock.
async fn late_run(stage: &Stage, build: &Build) -> Result<(), StageError> {
    let github = |error: commons_github::Error| {
        let component = &build.component;
        StageError::Unavailable(format!("the run of {component} was not cancelled: {error}"))
    };
    if let Some(run) = build.workflow_run_id {
        let found = stage.github.run(&build.repository, run).await;
        if found.map_err(github)?.status == "completed" {
            return Ok(());
        }
        let cancelled = stage.github.cancel(&build.repository, run).await;
        return match cancelled {
            Err(commons_github::Error::Conflict { .. }) => Ok(()),
            cancelled => cancelled.map_err(github),
        };
    }
    let lock = stage.store.lock(&build.repository).await?;
    let lock = lock.filter(|lock| lock.orphaned && build.nonce.as_ref() == Some(&lock.nonce));
    if let Some(lock) = lock {
        cancel_orphan(stage, &build.repository, &lock, Some(build)).await?;
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

/// The child of an unfinished build of this generation, if it is known. One whose error
/// is recorded is looked at again: whoever recorded it may have died before it woke
/// what waits.
fn carried_by(build: &Build, generation: u64) -> Option<&str> {
    let unfinished = !build.status.is_failed() && build.collected.is_none();
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
        .max_results(1_000)
        .into_paginator()
        .items()
        .send();
    let mut found = Vec::new();
    while let Some(execution) = pages.next().await {
        let execution = execution.map_err(|error| cannot_see("the executions", &error))?;
        // By their start the newest come first; one that started long ago may have
        // ended a moment ago.
        if execution.stop_date().is_none_or(|d| d.secs() >= since) {
            found.push(execution.execution_arn().to_owned());
        }
    }
    Ok(found)
}
