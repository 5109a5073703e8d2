//! What a run's state means for its build, and whether a failed attempt is repeated.

use std::time::Duration;

use jiff::Timestamp;

use crate::attempts::Outcome;
use crate::build::{Build, BuildStatus};
use crate::times::Speed;

/// What Poll saw of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// GitHub's status.
    pub status: String,
    /// GitHub's conclusion.
    pub conclusion: Option<String>,
    /// The attempt that these belong to.
    pub run_attempt: u32,
    /// The commit it builds.
    pub head_sha: String,
    /// When this attempt was started; a re-run sets it anew.
    pub run_started_at: Option<Timestamp>,
}

/// What a run's state means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not the attempt that is awaited, or a value that we do not know: look again.
    Unknown,
    /// Waits for a runner.
    Queued,
    /// Runs.
    InProgress,
    /// Succeeded.
    Green,
    /// Cancelled: by its concurrency group if it has no jobs, else by a person.
    Cancelled,
    /// Ended without success; the sentence says how.
    Ended(Outcome, String),
}

/// Reads a run for `build`.
pub fn progress(build: &Build, seen: &Seen) -> Progress {
    if seen.head_sha != build.pin {
        let error = format!(
            "the run builds commit {}, but the build is pinned at {}",
            seen.head_sha, build.pin
        );
        return Progress::Ended(Outcome::PinMoved, error);
    }
    if build
        .run_attempt
        .is_some_and(|awaited| seen.run_attempt < awaited)
    {
        return Progress::Unknown;
    }
    match (seen.status.as_str(), seen.conclusion.as_deref()) {
        ("queued" | "requested" | "pending" | "waiting", _) => Progress::Queued,
        ("in_progress", _) => Progress::InProgress,
        ("completed", Some("success")) => Progress::Green,
        ("completed", Some("cancelled")) => Progress::Cancelled,
        ("completed", Some(conclusion)) => {
            let outcome = match conclusion {
                "failure" | "timed_out" => Outcome::Failed,
                "startup_failure" => Outcome::StartupFailure,
                "action_required" => Outcome::ActionRequired,
                "neutral" | "skipped" | "stale" => Outcome::NothingBuilt,
                _ => return Progress::Unknown,
            };
            Progress::Ended(outcome, format!("the run ended as {conclusion}"))
        }
        _ => Progress::Unknown,
    }
}

/// Which of the manifest's limits a run has passed, as a sentence.
pub fn overdue(
    build: &Build,
    running_since: Option<Timestamp>,
    speed: Speed,
    now: Timestamp,
) -> Option<String> {
    let minutes = |n: u32| speed.real(Duration::from_secs(u64::from(n) * 60));
    match (running_since, build.dispatched_at) {
        (Some(since), _) if now > since + minutes(build.spec.timeout_minutes) => Some(format!(
            "the run was in progress for more than timeout_minutes = {}",
            build.spec.timeout_minutes
        )),
        (None, Some(since)) if now > since + minutes(build.spec.queue_timeout_minutes) => {
            Some(format!(
                "the run was queued for more than queue_timeout_minutes = {}",
                build.spec.queue_timeout_minutes
            ))
        }
        _ => None,
    }
}

/// Until then a look at a run that is queued follows soon.
const SOON_WHILE: Duration = Duration::from_secs(5 * 60);
/// Until then a look at a run that is in progress, and of which no webhook tells, follows
/// as usual.
const NORMAL_WHILE: Duration = Duration::from_secs(60 * 60);

/// Which of the three waits follows a look at a run. They grow with what was waited
/// already: a run may be queued for hours, and every look is in the history of its
/// execution, which holds 25,000 events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextWait {
    /// The run is not there yet, or was queued a moment ago.
    Soon,
    /// It is queued or runs, and no webhook has come.
    Normal,
    /// It is queued or runs, and webhooks come: they will tell. Or it has taken long already.
    Long,
}

/// The wait for a build as it now stands.
pub fn next_wait(build: &Build, speed: Speed, now: Timestamp) -> NextWait {
    let waited = |since: Option<Timestamp>| {
        let real = since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        speed.simulated(real.unwrap_or_default())
    };
    if build.status == BuildStatus::InProgress {
        let long = build.woken || waited(build.started_at) >= NORMAL_WHILE;
        return if long {
            NextWait::Long
        } else {
            NextWait::Normal
        };
    }
    if build.status == BuildStatus::Queued && build.woken {
        return NextWait::Long;
    }
    match waited(build.dispatched_at) {
        waited if waited >= NORMAL_WHILE => NextWait::Long,
        waited if waited >= SOON_WHILE => NextWait::Normal,
        _ => NextWait::Soon,
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
