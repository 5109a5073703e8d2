//! Dispatch and Poll together: attempts that fail, are repeated, or are ended.

use commons_domain::build::{Build, BuildStatus};
use commons_poll::Next;
use commons_runtime::StageError;
use github_simulator::{FaultKind, Script};
use integration::StageWorld;
use jiff::Timestamp;
use std::time::Duration;

const SDK: &str = "bllvm-sdk";
const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";
const RERUN: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs";
const CANCEL: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel";

fn calls(world: &StageWorld, route: &str) -> u64 {
    let calls = world.github.calls();
    calls
        .get(&format!("POST {route}"))
        .copied()
        .unwrap_or_default()
}

/// A world whose sdk was dispatched once, with what its runs do.
async fn dispatched(change: impl FnOnce(&mut Script)) -> StageWorld {
    let world = StageWorld::start().await;
    world.planned().await;
    world.script(SDK, change);
    world.dispatch(SDK).await.unwrap();
    world
}

/// A world whose sdk failed once, and may be tried again now.
async fn failed_once() -> StageWorld {
    let world = dispatched(|script| {
        script.conclusions = vec!["failure".into(), "success".into()];
    })
    .await;
    world.polled(SDK, Next::Retry).await;
    world.alter(SDK, |b| b.retry_at = None).await;
    world
}

/// The sdk with its end, and what requires it blocked.
async fn ended(world: &StageWorld, status: BuildStatus) -> Build {
    let build = world.build(SDK).await;
    assert_eq!(build.status, status, "{:?}", build.error);
    let dependent = world.build("bllvm-commons").await;
    assert_eq!(dependent.status, BuildStatus::Blocked);
    build
}

#[tokio::test]
async fn a_run_that_failed_is_run_again_and_turns_green() {
    let world = failed_once().await;
    let first = world.build(SDK).await;
    world.dispatch(SDK).await.unwrap();
    let again = world.build(SDK).await;
    assert_eq!((again.attempt, again.run_attempt), (2, Some(2)));
    assert_eq!(again.nonce, first.nonce, "the run and its claim stay");
    world.polled(SDK, Next::Green).await;
    let runs = world.runs(SDK);
    assert_eq!((runs.len(), runs[0].run_attempt), (1, 2));
    assert_eq!((calls(&world, DISPATCHES), calls(&world, RERUN)), (1, 1));
    let green = world.build(SDK).await;
    assert_eq!((green.status, green.retry_count), (BuildStatus::Success, 1));
}

#[tokio::test]
async fn a_rerun_whose_answer_is_lost_is_asked_for_once() {
    let world = failed_once().await;
    world.fault("POST", RERUN, FaultKind::LostAnswer);
    for _ in 0..2 {
        let answer = world.dispatch(SDK).await.unwrap();
        assert_eq!(answer.next, commons_dispatch::Next::AwaitRun);
    }
    world.polled(SDK, Next::Green).await;
    assert_eq!(calls(&world, RERUN), 1);
    assert_eq!(world.runs(SDK)[0].run_attempt, 2);
}

#[tokio::test]
async fn a_rerun_that_never_happened_is_counted_and_asked_for_again() {
    let world = failed_once().await;
    world.fault("POST", RERUN, FaultKind::Status(502, None));
    world.dispatch(SDK).await.unwrap();
    // The failure of the first attempt is not the second's.
    assert_eq!(world.poll(SDK).await.unwrap().next, Next::Soon);
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    world.alter(SDK, |b| b.post_deadline = Some(long_ago)).await;
    assert_eq!(world.poll(SDK).await.unwrap().next, Next::Retry);
    assert_eq!(world.build(SDK).await.retry_count, 2);
    world.alter(SDK, |b| b.retry_at = None).await;
    world.dispatch(SDK).await.unwrap();
    world.polled(SDK, Next::Green).await;
    assert_eq!(world.runs(SDK)[0].run_attempt, 2);
}

#[tokio::test]
async fn a_run_that_a_person_cancelled_ends_its_build() {
    let world = dispatched(|script| script.run_seconds = 1e6).await;
    world.polled(SDK, Next::Normal).await;
    let build = world.build(SDK).await;
    let run = build.workflow_run_id.unwrap();
    let cancelled = world.stage.github.cancel(&build.repository, run).await;
    cancelled.unwrap();
    world.polled(SDK, Next::Over).await;
    let build = ended(&world, BuildStatus::Cancelled).await;
    assert!(build.error.unwrap().contains("cancelled"));
    assert_eq!(world.runs(SDK).len(), 1, "nobody starts it again");
}

#[tokio::test]
async fn a_run_that_was_dropped_before_any_job_is_dispatched_anew() {
    let world = dispatched(|script| script.queue_seconds = 1e6).await;
    world.polled(SDK, Next::Soon).await;
    let first = world.build(SDK).await;
    let run = first.workflow_run_id.unwrap();
    let cancelled = world.stage.github.cancel(&first.repository, run).await;
    cancelled.unwrap();
    world.polled(SDK, Next::Retry).await;
    let waiting = world.build(SDK).await;
    assert_eq!((waiting.workflow_run_id, waiting.retry_count), (None, 1));
    world.alter(SDK, |b| b.retry_at = None).await;
    world.script(SDK, |_| {});
    world.dispatch(SDK).await.unwrap();
    world.polled(SDK, Next::Green).await;
    let green = world.build(SDK).await;
    assert_eq!(world.runs(SDK).len(), 2);
    assert_ne!(green.workflow_run_id, Some(run));
    assert_ne!(green.nonce, first.nonce);
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_cancelled_by_the_manifest_s_limit() {
    let world = dispatched(|script| script.run_seconds = 1e6).await;
    world.polled(SDK, Next::Normal).await;
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    world.alter(SDK, |b| b.started_at = Some(long_ago)).await;
    assert_eq!(world.poll(SDK).await.unwrap().next, Next::Soon);
    world.polled(SDK, Next::Over).await;
    let build = ended(&world, BuildStatus::TimedOut).await;
    assert!(build.error.unwrap().contains("timeout_minutes = 60"));
    assert_eq!(calls(&world, CANCEL), 1);
}

#[tokio::test]
async fn a_run_that_is_queued_too_long_is_cancelled_by_the_manifest_s_limit() {
    let world = dispatched(|script| script.queue_seconds = 1e6).await;
    world.polled(SDK, Next::Soon).await;
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    world.alter(SDK, |b| b.dispatched_at = Some(long_ago)).await;
    assert_eq!(world.poll(SDK).await.unwrap().next, Next::Soon);
    world.polled(SDK, Next::Over).await;
    let build = ended(&world, BuildStatus::TimedOut).await;
    assert!(build.error.unwrap().contains("queue_timeout_minutes = 240"));
    assert_eq!(calls(&world, CANCEL), 1);
}

#[tokio::test]
async fn a_run_that_does_not_heed_a_cancel_is_ended_by_force() {
    let world = dispatched(|script| {
        script.run_seconds = 1e6;
        script.ignores_cancel = true;
    })
    .await;
    world.polled(SDK, Next::Normal).await;
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    world.alter(SDK, |b| b.started_at = Some(long_ago)).await;
    for _ in 0..2 {
        assert_eq!(world.poll(SDK).await.unwrap().next, Next::Soon);
    }
    assert_eq!(calls(&world, CANCEL), 1, "it is asked once");
    let long_ago = Timestamp::now() - Duration::from_secs(60);
    world
        .alter(SDK, |b| b.cancel_asked_at = Some(long_ago))
        .await;
    world.polled(SDK, Next::Over).await;
    let force = "POST /repos/{owner}/{repo}/actions/runs/{run_id}/force-cancel";
    assert_eq!(world.github.calls().get(force), Some(&1));
    ended(&world, BuildStatus::TimedOut).await;
    for words in ["is asked to end: ", "is cancelled by force"] {
        assert_eq!(world.times_told(SDK, words).await, 1, "{words}");
    }
}

#[tokio::test]
async fn a_run_that_waits_for_an_approval_says_whose() {
    let world = dispatched(|script| script.approval = Some("production".into())).await;
    world.polled(SDK, Next::Soon).await;
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    world.alter(SDK, |b| b.dispatched_at = Some(long_ago)).await;
    world.polled(SDK, Next::Over).await;
    let build = ended(&world, BuildStatus::TimedOut).await;
    let error = build.error.unwrap();
    let approval = "waits for the approval of the environment production";
    assert!(error.contains(approval), "{error}");
}

#[tokio::test]
async fn a_run_that_cannot_be_seen_is_looked_at_ever_less_often_and_given_up() {
    let world = dispatched(|script| script.run_seconds = 1e6).await;
    world.polled(SDK, Next::Normal).await;
    let run = "/repos/{owner}/{repo}/actions/runs/{run_id}";
    world.faults("GET", run, FaultKind::Status(502, None), 1_000);
    let answer = world.poll(SDK).await.unwrap();
    assert_eq!((answer.next, answer.wait_seconds), (Next::Busy, 1));
    let blind = world.build(SDK).await;
    assert_eq!(blind.status, BuildStatus::InProgress, "it keeps its state");
    assert!(blind.unseen_since.is_some());
    // 120 simulated seconds pass in one.
    for (milliseconds, wait) in [(600, 1), (5_000, 2)] {
        let since = Timestamp::now() - Duration::from_millis(milliseconds);
        world.alter(SDK, |b| b.unseen_since = Some(since)).await;
        let answer = world.poll(SDK).await.unwrap();
        assert_eq!(answer.next, Next::Busy, "{milliseconds}");
        assert_eq!(answer.wait_seconds, wait, "{milliseconds}");
    }
    let since = Timestamp::now() - Duration::from_secs(16);
    world.alter(SDK, |b| b.unseen_since = Some(since)).await;
    let error = world.poll(SDK).await.unwrap_err();
    assert!(matches!(error, StageError::Blind(_)), "{error:?}");
    assert_eq!(world.build(SDK).await.status, BuildStatus::InProgress);
}

#[tokio::test]
async fn one_look_that_sees_begins_the_time_anew() {
    let world = dispatched(|script| script.run_seconds = 1e6).await;
    world.polled(SDK, Next::Normal).await;
    let run = "/repos/{owner}/{repo}/actions/runs/{run_id}";
    // As often as the client tries one look.
    world.faults("GET", run, FaultKind::Status(502, None), 3);
    world.poll(SDK).await.unwrap();
    assert!(world.build(SDK).await.unseen_since.is_some());
    world.polled(SDK, Next::Normal).await;
    assert_eq!(world.build(SDK).await.unseen_since, None);
}

#[tokio::test]
async fn an_end_that_another_attempt_does_not_mend_is_one() {
    for conclusion in ["startup_failure", "action_required"] {
        let world = dispatched(|script| script.conclusions = vec![conclusion.into()]).await;
        world.polled(SDK, Next::Over).await;
        let build = ended(&world, BuildStatus::Failure).await;
        let error = build.error.unwrap();
        assert!(error.contains(conclusion), "{error}");
        assert_eq!(build.retry_count, 0);
    }
}

#[tokio::test]
async fn dependents_are_blocked_by_the_next_look_if_the_last_one_died() {
    let world = StageWorld::start().await;
    world.planned().await;
    world
        .alter("bllvm-protocol", |b| {
            b.status = BuildStatus::Failure;
            b.error = Some("it broke".into());
        })
        .await;
    for _ in 0..2 {
        let answer = world.poll("bllvm-protocol").await.unwrap();
        assert_eq!(answer.next, Next::Over);
        for dependent in ["bllvm-node", "bllvm"] {
            let blocked = world.build(dependent).await;
            assert_eq!(blocked.status, BuildStatus::Blocked, "{dependent}");
        }
    }
    assert_eq!(world.build(SDK).await.status, BuildStatus::Pending);
}
