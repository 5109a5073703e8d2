use jiff::Timestamp;

use super::{NextWait, Progress, Seen, next_wait, overdue, progress};
use crate::attempts::Outcome;
use crate::build::{Build, BuildStatus, MatchedBy};
use crate::fixture;
use crate::times::Speed;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn claimed() -> Build {
    let build = fixture::dispatched(", max_retries = 1", "bc-0123456789abcdef", 0);
    build.claimed(7, 1, MatchedBy::Nonce)
}

fn seen(status: &str, conclusion: Option<&str>) -> Seen {
    Seen {
        status: status.into(),
        conclusion: conclusion.map(str::to_owned),
        run_attempt: 1,
        head_sha: "p".into(),
        run_started_at: None,
    }
}

#[test]
fn every_state_of_a_run_means_something() {
    let of = |status, conclusion| progress(&claimed(), &seen(status, conclusion));
    for waiting in ["queued", "requested", "pending", "waiting"] {
        assert_eq!(of(waiting, None), Progress::Queued);
    }
    assert_eq!(of("in_progress", None), Progress::InProgress);
    assert_eq!(of("completed", Some("success")), Progress::Green);
    assert_eq!(of("completed", Some("cancelled")), Progress::Cancelled);
    for (conclusion, outcome) in [
        ("failure", Outcome::Failed),
        ("timed_out", Outcome::Failed),
        ("startup_failure", Outcome::StartupFailure),
        ("action_required", Outcome::ActionRequired),
        ("neutral", Outcome::NothingBuilt),
        ("skipped", Outcome::NothingBuilt),
        ("stale", Outcome::NothingBuilt),
    ] {
        let why = format!("the run ended as {conclusion}");
        let ended = Progress::Ended(outcome, why);
        assert_eq!(of("completed", Some(conclusion)), ended);
    }
}

#[test]
fn what_we_do_not_know_is_no_failure() {
    assert_eq!(
        progress(&claimed(), &seen("completed", Some("new_word"))),
        Progress::Unknown
    );
    assert_eq!(
        progress(&claimed(), &seen("new_word", None)),
        Progress::Unknown
    );
}

#[test]
fn an_earlier_attempt_than_the_awaited_one_is_no_news() {
    let rerun = Build {
        status: BuildStatus::Retrying,
        ..claimed()
    }
    .rerun_intent(at(1));
    assert_eq!(
        progress(&rerun, &seen("completed", Some("failure"))),
        Progress::Unknown
    );
}

#[test]
fn a_run_of_another_commit_is_refused() {
    let other = Seen {
        head_sha: "q".into(),
        ..seen("completed", Some("success"))
    };
    assert!(
        matches!(progress(&claimed(), &other), Progress::Ended(Outcome::PinMoved, why) if why.contains("pinned at p"))
    );
}

#[test]
fn the_two_time_limits_are_apart() {
    let real = Speed(1.0);
    assert_eq!(overdue(&claimed(), Some(at(0)), real, at(3600)), None);
    assert!(
        overdue(&claimed(), Some(at(0)), real, at(3601))
            .unwrap()
            .contains("timeout_minutes = 60")
    );
    assert_eq!(overdue(&claimed(), None, real, at(14_400)), None);
    assert!(
        overdue(&claimed(), None, real, at(14_401))
            .unwrap()
            .contains("queue_timeout_minutes = 240")
    );
    assert!(overdue(&claimed(), Some(at(0)), Speed(60.0), at(61)).is_some());
}

#[test]
fn waits_are_long_where_webhooks_come_or_it_has_taken_long() {
    let wait = |status, woken, second| {
        let build = Build {
            status,
            woken,
            dispatched_at: Some(at(0)),
            started_at: (status == BuildStatus::InProgress).then(|| at(0)),
            ..claimed()
        };
        next_wait(&build, Speed(1.0), at(second))
    };
    use BuildStatus::{Dispatching, InProgress, Queued};
    assert_eq!(wait(InProgress, true, 1), NextWait::Long);
    assert_eq!(wait(InProgress, false, 3599), NextWait::Normal);
    assert_eq!(wait(InProgress, false, 3600), NextWait::Long);
    assert_eq!(wait(Queued, true, 1), NextWait::Long);
    assert_eq!(wait(Queued, false, 299), NextWait::Soon);
    assert_eq!(wait(Queued, false, 300), NextWait::Normal);
    assert_eq!(wait(Queued, false, 3600), NextWait::Long);
    assert_eq!(wait(Dispatching, true, 1), NextWait::Soon);
}

#[test]
fn the_waits_of_a_rehearsal_grow_as_fast_as_it_goes() {
    let build = Build {
        status: BuildStatus::InProgress,
        started_at: Some(at(0)),
        ..claimed()
    };
    assert_eq!(next_wait(&build, Speed(60.0), at(59)), NextWait::Normal);
    assert_eq!(next_wait(&build, Speed(60.0), at(60)), NextWait::Long);
}
