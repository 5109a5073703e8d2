//! The sweeper: finds what a lost event left. A release whose holder does not run
//! any more is settled as if its event had come; a build whose child is gone gets its
//! error; what came after a release had ended, runs and builds, is ended too.
//!
//! Running it twice is safe: each of these reads first, and repeats what is not done.

use std::collections::BTreeSet;

use aws_sdk_sfn::types::ExecutionStatus;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_domain::times::CLOCK_SKEW;
use commons_runtime::{Stage, StageError, cancel_orphan};
use jiff::SignedDuration;

use crate::execution::{Execution, cannot_see, describe};
use crate::release::settle;

/// Executions that ended longer ago were looked at often enough.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(24);
/// What is still under way when its release ends has come by then: a call of Plan, a
/// dispatch whose run appears late.
const AFTERMATH: SignedDuration = SignedDuration::from_mins(30);

/// Settles what executions that ended lately still own, looks at the children of those
/// that run, then at what came after the end of a release. What goes wrong with one
/// keeps nobody from the others; the first such error is the sweep's.
pub async fn sweep(stage: &Stage) -> Result<(), StageError> {
    let mut swept = Swept(Ok(()));
    let mut over = BTreeSet::new();
    for status in [
        ExecutionStatus::Aborted,
        ExecutionStatus::TimedOut,
        ExecutionStatus::Failed,
    ] {
        for arn in list(stage, &status).await? {
            match ended(stage, &arn, &status).await {
                Ok(key) => over.extend(key),
                Err(error) => swept.note(&arn, error),
            }
        }
    }
    for arn in list(stage, &ExecutionStatus::Running).await? {
        if let Err(error) = running(stage, &arn).await {
            swept.note(&arn, error);
        }
    }
    // Last, since it asks GitHub, which may be slow.
    for key in over {
        aftermath(stage, &key, &mut swept).await;
    }
    swept.0
}

/// The first error of a sweep.
struct Swept(Result<(), StageError>);

impl Swept {
    fn note(&mut self, what: &str, error: StageError) {
        tracing::error!(what, error_type = error.name(), %error, "not swept");
        if self.0.is_ok() {
            self.0 = Err(error);
        }
    }
}

/// Settles what the execution still owns; the release that its input names.
async fn ended(
    stage: &Stage,
    arn: &str,
    status: &ExecutionStatus,
) -> Result<Option<ReleaseKey>, StageError> {
    let Some(ended) = describe(stage, arn).await? else {
        return Ok(None);
    };
    let aborted = *status == ExecutionStatus::Aborted;
    settle(stage, arn, ended.release.clone(), &ended.why(), aborted).await?;
    Ok(ended.release)
}

async fn running(stage: &Stage, arn: &str) -> Result<(), StageError> {
    match describe(stage, arn).await? {
        Some(running) => dead_children(stage, &running).await,
        None => Ok(()),
    }
}

/// Ends what came after a release had ended: a build that a Plan which still ran has
/// written, the run of a dispatch or re-run that was in flight.
async fn aftermath(stage: &Stage, key: &ReleaseKey, swept: &mut Swept) {
    let builds = match left_of(stage, key).await {
        Ok(builds) => builds,
        Err(error) => return swept.note(key.as_str(), error),
    };
    for build in builds {
        if let Err(error) = end_late(stage, &build).await {
            swept.note(&build.component, error);
        }
    }
}

/// The builds of a release that ended a while ago at most, and that nobody owns.
async fn left_of(stage: &Stage, key: &ReleaseKey) -> Result<Vec<Build>, StageError> {
    let since = stage.now() - AFTERMATH;
    let release = stage.store.release(key).await?;
    let over = release.filter(|release| release.is_over(since));
    let Some(over) = over else {
        return Ok(Vec::new());
    };
    let mut builds = stage.store.builds(key).await?;
    // Those of a later generation have a new owner since.
    builds.retain(|build| build.generation <= over.generation);
    Ok(builds)
}

async fn end_late(stage: &Stage, build: &Build) -> Result<(), StageError> {
    if build.status == BuildStatus::Pending {
        let why = "the release ended before this build";
        let ended = build.ended(BuildStatus::Cancelled, why.into(), stage.now());
        stage.store.change_build(build, &ended, why).await?;
    }
    if build.status.is_failed() {
        late_run(stage, build).await?;
    }
    Ok(())
}

/// Cancels the run of a build that ended: its claimed one that a re-run in flight has
/// started again, or the one of its orphaned lock.
async fn late_run(stage: &Stage, build: &Build) -> Result<(), StageError> {
    let github = |error: commons_github::Error| {
        let component = &build.component;
        StageError::Unavailable(format!("the run of {component} was not cancelled: {error}"))
    };
    if let Some(run) = build.workflow_run_id {
        match stage.github.run(&build.repository, run).await {
            Ok(found) if found.status != "completed" && is_ours(build, &found) => {}
            // It has ended, a person runs it again, or somebody has deleted it.
            Ok(_) | Err(commons_github::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(github(error)),
        }
        return match stage.github.cancel(&build.repository, run).await {
            Ok(()) => {
                let why = format!("run {run} had been started again: it is cancelled");
                Ok(stage.store.tell_of_build(build, &why).await?)
            }
            Err(commons_github::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(github(error)),
        };
    }
    let lock = stage.store.lock(&build.repository).await?;
    let ours =
        |nonce: &String| build.nonce.as_ref() == Some(nonce) || build.abandoned.contains(nonce);
    let lock = lock.filter(|lock| lock.orphaned && ours(&lock.nonce));
    if let Some(lock) = lock {
        cancel_orphan(stage, &build.repository, &lock, Some(build)).await?;
    }
    Ok(())
}

/// Whether what runs is the attempt that the build has asked for, and none that a person
/// started since.
fn is_ours(build: &Build, run: &commons_github::Run) -> bool {
    let by = build.post_deadline.map(|deadline| deadline + CLOCK_SKEW);
    Some(run.run_attempt) <= build.run_attempt && run.run_started_at <= by
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
    let since = (stage.now() - LOOK_BACK).as_second();
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
