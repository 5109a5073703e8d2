//! What follows an attempt that did not succeed. One function decides, and the README's
//! table is made from it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::build::{Build, BuildStatus};

/// GitHub runs a run again only so long after it was created.
const RERUN_WITHIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// GitHub runs a run again only so often, the first attempt included.
const MOST_ATTEMPTS: u32 = 50;

/// How an attempt came to nothing, or why nothing is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The run's conclusion is `failure` or `timed_out`.
    Failed,
    /// Its concurrency group dropped it: `cancelled`, and no job.
    Dropped,
    /// `cancelled`, and it had jobs.
    CancelledByPerson,
    /// `startup_failure`: its workflow file is broken.
    StartupFailure,
    /// `action_required`: somebody must approve it first.
    ActionRequired,
    /// `neutral`, `skipped` or `stale`: nothing was built.
    NothingBuilt,
    /// No run appeared in its time.
    NoRun,
    /// A re-run was asked for and did not start.
    NoRerun,
    /// It was green, and an artifact has expired before it was collected.
    Expired,
    /// It took longer than the manifest allows, and was cancelled.
    TooLong,
    /// The run builds another commit, or the branch has moved on.
    PinMoved,
    /// Two runs could be it, and nothing decides.
    Ambiguous,
    /// 401, 403 without a rate limit, 404, 422.
    Refused,
    /// What it built is not what was announced, or not there.
    VerificationFailed,
    /// 5xx, no connection, a time-out, a rate limit; of GitHub or of AWS.
    OutOfSight,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// Its failed jobs are run again, or it is dispatched again where GitHub does not.
    Rerun,
    /// It is dispatched again.
    Dispatch,
    /// It stands as it is, and is looked at again.
    Wait,
    /// The build ends so.
    End(BuildStatus),
}

impl Outcome {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 15] = [
        Self::Failed,
        Self::Dropped,
        Self::NoRun,
        Self::NoRerun,
        Self::Expired,
        Self::OutOfSight,
        Self::CancelledByPerson,
        Self::StartupFailure,
        Self::ActionRequired,
        Self::NothingBuilt,
        Self::TooLong,
        Self::PinMoved,
        Self::Ambiguous,
        Self::Refused,
        Self::VerificationFailed,
    ];

    /// What follows it, as long as there are retries left.
    pub fn follows(self) -> Follows {
        match self {
            Self::Failed | Self::NoRerun => Follows::Rerun,
            Self::Dropped | Self::NoRun | Self::Expired => Follows::Dispatch,
            Self::OutOfSight => Follows::Wait,
            Self::CancelledByPerson => Follows::End(BuildStatus::Cancelled),
            Self::TooLong => Follows::End(BuildStatus::TimedOut),
            Self::StartupFailure
            | Self::ActionRequired
            | Self::NothingBuilt
            | Self::PinMoved
            | Self::Ambiguous
            | Self::Refused
            | Self::VerificationFailed => Follows::End(BuildStatus::Failure),
        }
    }

    /// What happened, for the table.
    fn words(self) -> &'static str {
        match self {
            Self::Failed => "the run ends as `failure` or `timed_out`",
            Self::Dropped => {
                "the run is cancelled before any job: its concurrency group dropped it"
            }
            Self::NoRun => "no run appears within 10 minutes of the dispatch (`NoRun`)",
            Self::NoRerun => "a re-run does not start",
            Self::Expired => {
                "an artifact has expired, or is about to, before it was collected (`ArtifactExpired`)"
            }
            Self::OutOfSight => "GitHub or AWS answers 5xx, a rate limit, or nothing",
            Self::CancelledByPerson => "a person cancels the run",
            Self::StartupFailure => "the run ends as `startup_failure`",
            Self::ActionRequired => "the run ends as `action_required`",
            Self::NothingBuilt => "the run ends as `neutral`, `skipped` or `stale`",
            Self::TooLong => "the run is queued or runs longer than the manifest allows",
            Self::PinMoved => "the commit is not the pinned one (`PinMoved`)",
            Self::Ambiguous => "two runs could be the build's (`AmbiguousRun`)",
            Self::Refused => "GitHub answers 401, 403 without a rate limit, 404 or 422",
            Self::VerificationFailed => "what was built fails verification",
        }
    }
}

impl Follows {
    fn words(self) -> String {
        match self {
            Self::Rerun => "its failed jobs are run again, counted; dispatched again where GitHub runs nothing again: after 30 days, or 50 attempts".into(),
            Self::Dispatch => "it is dispatched again, counted".into(),
            Self::Wait => "the build stays as it is, and is looked at again ever later; after 30 minutes the release fails, and who resumes adopts the build".into(),
            Self::End(status) => format!("the build ends as `{}`", status.as_str()),
        }
    }
}

/// The README's table.
pub fn table() -> String {
    let mut table = String::from("| what happens | what follows |\n| --- | --- |\n");
    for outcome in Outcome::ALL {
        let follows = outcome.follows().words();
        table.push_str(&format!("| {} | {follows} |\n", outcome.words()));
    }
    table
}

/// Whether GitHub would run the present attempt of a run again.
pub fn may_rerun(created_at: Timestamp, run_attempt: u32, now: Timestamp) -> bool {
    run_attempt < MOST_ATTEMPTS && now < created_at + RERUN_WITHIN
}

/// What an attempt that came to nothing makes of its build: another attempt after `wait`,
/// or the end. `rerun`: GitHub would run the run again.
pub fn after(
    build: &Build,
    outcome: Outcome,
    why: String,
    rerun: bool,
    wait: Duration,
    now: Timestamp,
) -> Build {
    let follows = match outcome.follows() {
        Follows::Rerun if !rerun => Follows::Dispatch,
        follows => follows,
    };
    match follows {
        Follows::End(status) => build.ended(status, why, now),
        Follows::Wait => build.clone(),
        Follows::Rerun | Follows::Dispatch if build.retry_count >= build.spec.max_retries => {
            let tries = build.retry_count + 1;
            let why = if tries > 1 {
                format!("{why}, in {tries} attempts")
            } else {
                why
            };
            build.ended(BuildStatus::Failure, why, now)
        }
        again => {
            let mut next = build.clone();
            next.status = BuildStatus::Retrying;
            next.retry_count += 1;
            next.retry_at = Some(now + wait);
            next.completed_at = None;
            next.error = None;
            if again == Follows::Dispatch {
                next.workflow_run_id = None;
                next.run_attempt = None;
            }
            next
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::build::MatchedBy;
    use crate::fixture;

    fn claimed() -> Build {
        let build = fixture::dispatched(", max_retries = 1", "bc-0123456789abcdef", 0);
        build.claimed(7, 1, MatchedBy::Nonce)
    }

    fn following(build: &Build, outcome: Outcome, rerun: bool) -> Build {
        let wait = Duration::from_secs(30);
        let now = Timestamp::from_second(10).unwrap();
        after(build, outcome, "why".into(), rerun, wait, now)
    }

    #[test]
    fn failures_are_counted_to_the_manifest_s_limit() {
        let again = following(&claimed(), Outcome::Failed, true);
        let at = Timestamp::from_second(40).unwrap();
        assert_eq!(
            (again.status, again.retry_count, again.retry_at),
            (BuildStatus::Retrying, 1, Some(at))
        );
        let over = following(&again, Outcome::Failed, true);
        assert_eq!(over.status, BuildStatus::Failure);
        assert_eq!(over.error.as_deref(), Some("why, in 2 attempts"));
    }

    #[test]
    fn a_rerun_keeps_the_run_and_a_dispatch_does_not() {
        let of = |outcome, rerun| following(&claimed(), outcome, rerun).workflow_run_id;
        assert_eq!(of(Outcome::Failed, true), Some(7));
        assert_eq!(of(Outcome::Failed, false), None);
        assert_eq!(of(Outcome::Dropped, true), None);
        assert_eq!(of(Outcome::NoRun, true), None);
    }

    #[test]
    fn an_end_is_one_whatever_retries_are_left() {
        for outcome in Outcome::ALL {
            let next = following(&claimed(), outcome, true);
            match outcome.follows() {
                Follows::End(status) => {
                    assert_eq!((next.status, next.retry_count), (status, 0), "{outcome:?}");
                }
                Follows::Wait => assert_eq!(next, claimed(), "{outcome:?}"),
                _ => assert_eq!(next.status, BuildStatus::Retrying, "{outcome:?}"),
            }
        }
    }

    #[test]
    fn github_runs_nothing_again_for_ever() {
        let created = Timestamp::UNIX_EPOCH;
        let later = |days: i64| created + SignedDuration::from_hours(24 * days);
        assert!(may_rerun(created, 49, later(29)));
        assert!(!may_rerun(created, 50, later(29)));
        assert!(!may_rerun(created, 1, later(30)));
    }

    #[test]
    fn all_are_told_once() {
        let all: BTreeSet<Outcome> = Outcome::ALL.into_iter().collect();
        assert_eq!(all.len(), Outcome::ALL.len());
        assert_eq!(table().lines().count(), 2 + Outcome::ALL.len());
    }
}
