//! Poll: looks at the run of one build, records what it sees, and says how long to
//! wait before the next look.
//!
//! Running it twice is safe: it reads the build first, claims a run under a
//! condition, and changes the build only from the status and attempt that it read.
//! Green is recorded on the build before its dependents are told, and every run
//! of Poll on a green build tells them again.

mod claim;
mod green;
mod overdue;

use commons_domain::attempts::{Outcome, may_rerun};
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::ReleaseKey;
use commons_domain::run::{NextWait, Progress, next_wait, overdue, progress};
use commons_domain::times::BUSY_WAIT;
use commons_runtime::{
    FindError, Stage, StageError, after_attempt, block_dependents, end_build, in_sight, seen,
    wait_out_of_sight,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Look again soon: the run is not there yet, or queued.
    Soon,
    /// Look again: it runs.
    Normal,
    /// Webhooks will tell; look again late.
    Long,
    /// GitHub cannot be seen: look again after the wait.
    Busy,
    /// An attempt failed: Backoff, then Dispatch.
    Retry,
    /// The run succeeded.
    Green,
    /// The build has its end.
    Over,
}

/// The answer to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where to go.
    pub next: Next,
    /// The build's wake-up counter, read before GitHub was asked.
    pub seq: u64,
    /// Seconds to wait where `next` is `retry` or `busy`.
    pub wait_seconds: u64,
}

/// Looks once.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    // `seq` is read before GitHub is asked: a wake-up after this look grows it.
    let build = stage
        .store
        .own_build(&input.release, &input.component, input.generation)
        .await?;
    let mut wait = BUSY_WAIT;
    let next = match build.status {
        BuildStatus::Success | BuildStatus::Collected => {
            green::tell_dependents(&stage, &build).await?;
            if build.status == BuildStatus::Success {
                Next::Green
            } else {
                Next::Over
            }
        }
        status if status.is_failed() => {
            block_dependents(&stage, &build).await?;
            Next::Over
        }
        status if status.is_to_be_dispatched() => Next::Retry,
        _ => match look(&stage, &build).await {
            Ok(next) => {
                in_sight(&stage, &build).await?;
                next
            }
            Err(Look::CannotSee(error)) => {
                let (why, retry_after) = (error.to_string(), error.retry_after());
                wait = wait_out_of_sight(&stage, &build, &why, retry_after).await?;
                Next::Busy
            }
            Err(Look::Stage(error)) => return Err(error),
        },
    };
    let wait_seconds = match next {
        Next::Retry => {
            let retry_at = stage
                .store
                .own_build(&input.release, &input.component, input.generation)
                .await?
                .retry_at;
            retry_at.map_or(1, |at| stage.seconds_until(at))
        }
        _ => stage.config.speed.wait_seconds(wait),
    };
    Ok(Output {
        next,
        seq: build.seq,
        wait_seconds,
    })
}

/// Why a look ended early.
enum Look {
    /// GitHub could not be asked: no news, not bad news.
    CannotSee(commons_github::Error),
    /// Anything else.
    Stage(StageError),
}

impl From<commons_github::Error> for Look {
    fn from(error: commons_github::Error) -> Self {
        if error.is_cannot_see() {
            Self::CannotSee(error)
        } else {
            Self::Stage(StageError::Refused(error.to_string()))
        }
    }
}

impl From<FindError> for Look {
    fn from(error: FindError) -> Self {
        match error {
            FindError::GitHub(error) => error.into(),
            FindError::Store(error) => Self::Stage(error.into()),
        }
    }
}

impl<E: Into<StageError>> From<StoreOr<E>> for Look {
    fn from(error: StoreOr<E>) -> Self {
        Self::Stage(error.0.into())
    }
}

/// Marks an error as none of GitHub's.
struct StoreOr<E>(E);

async fn look(stage: &Stage, build: &Build) -> Result<Next, Look> {
    let Some(run_id) = build.workflow_run_id else {
        return claim::find_run(stage, build).await;
    };
    // A run of an earlier dispatch may come after this one has claimed its own.
    if !build.abandoned.is_empty() {
        let runs = claim::listed(stage, build).await?;
        claim::end_late(stage, build, &runs).await?;
    }
    look_at(stage, build, run_id).await
}

/// Looks at the claimed run.
async fn look_at(stage: &Stage, build: &Build, run_id: u64) -> Result<Next, Look> {
    let run = stage.github.run(&build.repository, run_id).await?;
    let seen = seen(&run);
    let now = stage.now();
    let seen_progress = progress(build, &seen);
    match seen_progress {
        Progress::Unknown => {
            if let Some(next) = lost_rerun(stage, build, now).await? {
                return Ok(next);
            }
            Ok(wait_of(stage, build))
        }
        Progress::Queued | Progress::InProgress => {
            let running = seen_progress == Progress::InProgress;
            let mut next = build.clone();
            next.status = if running {
                BuildStatus::InProgress
            } else {
                BuildStatus::Queued
            };
            if running && next.started_at.is_none() {
                next.started_at = first_job(stage, build, &run).await?.or(Some(now));
            }
            let since = next.started_at.filter(|_| running);
            if let Some(why) = overdue(&next, since, stage.config.speed, now) {
                return overdue::give_up(stage, build, &run, why).await;
            }
            if next != *build {
                stage
                    .store
                    .change_build(build, &next, &format!("GitHub says {}", seen.status))
                    .await
                    .map_err(StoreOr)?;
            }
            Ok(wait_of(stage, &next))
        }
        Progress::Green => {
            let next = build.green(&seen, now);
            let why = format!("run {run_id} succeeded in its attempt {}", seen.run_attempt);
            stage
                .store
                .change_build(build, &next, &why)
                .await
                .map_err(StoreOr)?;
            green::tell_dependents(stage, &next)
                .await
                .map_err(Look::Stage)?;
            Ok(Next::Green)
        }
        Progress::Cancelled => {
            let jobs = stage.github.jobs(&build.repository, run_id).await?;
            let (outcome, why) = if jobs.is_empty() {
                let why = "the run was cancelled before any job started";
                (Outcome::Dropped, why)
            } else {
                (Outcome::CancelledByPerson, "the run was cancelled")
            };
            run_over(stage, build, &run, outcome, why.into()).await
        }
        Progress::Ended(outcome, why) => run_over(stage, build, &run, outcome, why).await,
    }
}

/// When the first job of a run's attempt began: what a run says of its start is when the
/// attempt was asked for, and it may have been queued for hours since. Jobs that succeeded
/// in an attempt before are listed too.
async fn first_job(
    stage: &Stage,
    build: &Build,
    run: &commons_github::Run,
) -> Result<Option<Timestamp>, commons_github::Error> {
    let jobs = stage.github.jobs(&build.repository, run.id).await?;
    let begun = jobs
        .into_iter()
        .filter(|job| matches!(&*job.status, "in_progress" | "completed"))
        .filter_map(|job| job.started_at)
        .filter(|at| Some(*at) >= run.run_started_at);
    Ok(begun.min())
}

/// A run that ended without success: another attempt, or the end.
async fn run_over(
    stage: &Stage,
    build: &Build,
    run: &commons_github::Run,
    outcome: Outcome,
    why: String,
) -> Result<Next, Look> {
    // It was cancelled since it took too long, whatever it calls that.
    let (outcome, why) = match &build.overdue {
        Some(overdue) => (Outcome::TooLong, overdue.clone()),
        None => (outcome, why),
    };
    let why = format!("{why} ({})", run.html_url);
    let rerun = may_rerun(run.created_at, run.run_attempt, stage.now());
    let next = after_attempt(stage, build, outcome, &why, rerun);
    ended_or_retrying(stage, build, next, &why).await
}

fn wait_of(stage: &Stage, build: &Build) -> Next {
    // It is about to end.
    if build.overdue.is_some() {
        return Next::Soon;
    }
    match next_wait(build, stage.config.speed, stage.now()) {
        NextWait::Soon => Next::Soon,
        NextWait::Normal => Next::Normal,
        NextWait::Long => Next::Long,
    }
}

/// A re-run whose answer was lost and that never showed: counted, and tried again.
async fn lost_rerun(stage: &Stage, build: &Build, now: Timestamp) -> Result<Option<Next>, Look> {
    let appear = stage
        .config
        .speed
        .real(commons_domain::times::RUN_APPEAR_TIMEOUT);
    if !build.is_overdue_at_github(appear, now) {
        return Ok(None);
    }
    let before = build.without_rerun();
    let why = "NoRun: the re-run did not start";
    let next = after_attempt(stage, &before, Outcome::NoRerun, why, true);
    ended_or_retrying(stage, build, next, why).await.map(Some)
}

/// Writes what a failed attempt makes of its build.
async fn ended_or_retrying(
    stage: &Stage,
    build: &Build,
    next: Build,
    why: &str,
) -> Result<Next, Look> {
    if next.status == BuildStatus::Retrying {
        let again = match next.workflow_run_id {
            Some(_) => "its failed jobs are run again",
            None => "it is dispatched again",
        };
        let mut reason = format!(
            "attempt {}: {why}; {again}, retry {} of {}",
            build.attempt, next.retry_count, next.spec.max_retries
        );
        if let Some(at) = next.retry_at {
            reason.push_str(&format!(", not before {at:.0}"));
        }
        stage
            .store
            .change_build(build, &next, &reason)
            .await
            .map_err(StoreOr)?;
        return Ok(Next::Retry);
    }
    let why = next.error.clone().unwrap_or_default();
    end_build(stage, build, next.status, why)
        .await
        .map_err(Look::Stage)?;
    Ok(Next::Over)
}
