//! Poll: a run is found, claimed, looked at; what it does is written down.

use commons_domain::build::{BuildStatus, MatchedBy};
use commons_poll::Next;
use commons_store::{Claim, Claimed};
use github_simulator::{FaultKind, RunView};
use integration::{MANIFEST, RELEASE_REPOSITORY, StageWorld, fixture};
use jiff::Timestamp;
use serde_json::json;
use std::time::{Duration, Instant};

const RUN: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}";
const RUNS: &str = "/repos/{owner}/{repo}/actions/runs";

#[tokio::test]
async fn a_queued_run_is_claimed_and_recorded() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.script("bllvm-consensus", |s| s.queue_seconds = 1e6);
    world.dispatch("bllvm-consensus").await.unwrap();
    let nonce = world.build("bllvm-consensus").await.nonce.unwrap();
    let seq = world.build("bllvm-consensus").await.seq;
    let answer = world.poll("bllvm-consensus").await.unwrap();
    assert_eq!((answer.next, answer.seq), (Next::Soon, seq));
    let build = world.build("bllvm-consensus").await;
    assert_eq!(build.status, BuildStatus::Queued);
    let run = &world.runs("bllvm-consensus")[0];
    assert_eq!(build.workflow_run_id, Some(run.id));
    assert_eq!(build.run_attempt, Some(1));
    assert_eq!(
        (build.matched_by, build.started_at),
        (Some(MatchedBy::Nonce), None)
    );
    let store = &world.stage.store;
    let claim = store
        .claim_of(&build.repository, run.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((claim.release, claim.nonce), (world.key(), nonce));
    assert_eq!(store.lock(&build.repository).await.unwrap(), None);

    // Another look changes nothing.
    assert_eq!(
        world.poll("bllvm-consensus").await.unwrap().next,
        Next::Soon
    );
    assert_eq!(world.build("bllvm-consensus").await, build);
}

#[tokio::test]
async fn a_running_run_is_recorded_with_its_start() {
    let world = StageWorld::start().await;
    world.planned().await;
    // Two seconds in the queue, which count for nothing that runs.
    world.script("bllvm-sdk", |s| {
        (s.queue_seconds, s.run_seconds) = (240.0, 1e6);
    });
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", Next::Normal).await;
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::InProgress);
    let begun = world.runs("bllvm-sdk")[0]
        .started_at
        .map(Timestamp::as_second);
    assert_eq!(build.started_at.map(Timestamp::as_second), begun);
    let (queued, begun) = (build.dispatched_at.unwrap(), build.started_at.unwrap());
    assert!(begun.as_second() > queued.as_second(), "{build:?}");
    // Where webhooks come a look may wait for them.
    let store = &world.stage.store;
    store.wake(&world.key(), "bllvm-sdk", true).await.unwrap();
    let answer = world.poll("bllvm-sdk").await.unwrap();
    assert_eq!((answer.next, answer.seq), (Next::Long, build.seq + 1));
}

#[tokio::test]
async fn green_frees_the_dependents_however_often_it_is_told() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.quick_runs();
    world.built("bllvm-consensus").await;
    let green = world.build("bllvm-consensus").await;
    assert_eq!(green.status, BuildStatus::Success);
    assert!(green.completed_at.is_some() && green.error.is_none());
    assert!(world.build("bllvm-protocol").await.waiting_on.is_empty());
    let node = world.build("bllvm-node").await;
    assert_eq!(node.waiting_on, ["bllvm-protocol".to_owned()].into());
    let events = world.events().await.len();

    for _ in 0..2 {
        let answer = world.poll("bllvm-consensus").await.unwrap();
        assert_eq!(answer.next, Next::Green);
    }
    assert_eq!(world.build("bllvm-consensus").await, green);
    let again = world.build("bllvm-node").await;
    assert_eq!(again.waiting_on, node.waiting_on);
    assert_eq!(again.status, BuildStatus::Pending);
    assert_eq!(world.events().await.len(), events);

    // A Poll that died before it told them: the next one does.
    world
        .alter("bllvm-protocol", |b| {
            b.waiting_on = ["bllvm-consensus".to_owned()].into();
        })
        .await;
    world.poll("bllvm-consensus").await.unwrap();
    assert!(world.build("bllvm-protocol").await.waiting_on.is_empty());
}

#[tokio::test]
async fn green_is_told_though_a_component_has_left_the_manifest() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&["bllvm-sdk", "bllvm-commons"]).await;
    // The next owner reads a manifest without bllvm-commons, which required the sdk.
    let manifest: String = MANIFEST
        .lines()
        .filter(|line| !line.starts_with("bllvm-commons"))
        .map(|line| format!("{line}\n"))
        .collect();
    for repository in fixture(&manifest) {
        if repository.name == RELEASE_REPOSITORY {
            world.github.add_repository(repository);
        }
    }
    let generation = world.planned().await;
    let left = world.build("bllvm-commons").await;
    assert_eq!(left.generation, generation - 1);
    let answer = world.poll("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Green);
    assert_eq!(world.build("bllvm-commons").await, left);
}

#[tokio::test]
async fn a_failed_run_is_run_again_until_its_retries_are_used_up() {
    let manifest = MANIFEST.replace(
        "bllvm-protocol = { version",
        "bllvm-protocol = { max_retries = 1, version",
    );
    let world = StageWorld::with_manifest(&manifest).await;
    world.planned().await;
    world.green(&["bllvm-consensus"]).await;
    world.script("bllvm-protocol", |s| s.conclusions = vec!["failure".into()]);
    world.dispatch("bllvm-protocol").await.unwrap();
    world.polled("bllvm-protocol", Next::Retry).await;
    let first = world.build("bllvm-protocol").await;
    assert_eq!(
        (first.status, first.retry_count),
        (BuildStatus::Retrying, 1)
    );
    assert!(first.retry_at.is_some() && first.error.is_none());
    assert_eq!(world.build("bllvm-node").await.status, BuildStatus::Pending);
    // Looking once more counts nothing.
    assert_eq!(
        world.poll("bllvm-protocol").await.unwrap().next,
        Next::Retry
    );
    assert_eq!(world.build("bllvm-protocol").await, first);

    world.alter("bllvm-protocol", |b| b.retry_at = None).await;
    let answer = world.dispatch("bllvm-protocol").await.unwrap();
    assert_eq!(answer.next, commons_dispatch::Next::AwaitRun);
    world.polled("bllvm-protocol", Next::Over).await;
    let last = world.build("bllvm-protocol").await;
    assert_eq!(last.status, BuildStatus::Failure);
    let runs = world.runs("bllvm-protocol");
    assert_eq!(
        (runs.len(), runs[0].run_attempt),
        (1, 2),
        "run again, not anew"
    );
    assert_eq!(last.workflow_run_id, first.workflow_run_id);
    let error = last.error.unwrap();
    assert!(
        error.contains("failure") && error.contains("2 attempts"),
        "{error}"
    );
    for dependent in ["bllvm-node", "bllvm"] {
        let blocked = world.build(dependent).await;
        assert_eq!(blocked.status, BuildStatus::Blocked, "{dependent}");
        assert!(blocked.error.unwrap().contains("bllvm-protocol"));
    }
    assert_eq!(
        world.build("bllvm-commons").await.status,
        BuildStatus::Pending
    );
}

#[tokio::test]
async fn github_out_of_sight_leaves_the_build_as_it_is() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.dispatch("bllvm-consensus").await.unwrap();
    let dispatched = world.build("bllvm-consensus").await;
    // A read is tried three times.
    world.faults("GET", RUNS, FaultKind::Status(502, None), 3);
    let answer = world.poll("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    let mut after = world.build("bllvm-consensus").await;
    assert!(after.unseen_since.take().is_some());
    assert_eq!(after, dispatched);
    world.faults("GET", RUNS, FaultKind::Status(502, None), 3);
    world.poll("bllvm-consensus").await.unwrap();
    let told = world.times_told("bllvm-consensus", "out of sight: ").await;
    assert_eq!(told, 1, "once, however often it is not seen");
    world.poll("bllvm-consensus").await.unwrap();
    let told = world.told("bllvm-consensus").await;
    assert_eq!(told.last().unwrap(), "in sight again");

    world.script("bllvm-sdk", |s| s.run_seconds = 1e6);
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", Next::Normal).await;
    let running = world.build("bllvm-sdk").await;
    let limited = vec![("retry-after".to_owned(), "1".to_owned())];
    for fault in [
        FaultKind::Status(502, None),
        FaultKind::Status(429, Some(limited)),
    ] {
        world.faults("GET", RUN, fault.clone(), 3);
        let answer = world.poll("bllvm-sdk").await.unwrap();
        assert_eq!(answer.next, Next::Busy, "{fault:?}");
        let mut after = world.build("bllvm-sdk").await;
        assert!(after.unseen_since.take().is_some(), "{fault:?}");
        assert_eq!(after, running, "{fault:?}");
    }
}

#[tokio::test]
async fn two_runs_that_could_be_it_are_an_error_that_names_both() {
    let world = StageWorld::without_nonces().await;
    world.planned().await;
    world.dispatch("bllvm-consensus").await.unwrap();
    let repository = "BTCDecoded/bllvm-consensus";
    let other = world
        .github
        .dispatch_as("release-bot", repository, "build-chain", json!({}));
    let ours = world.runs("bllvm-consensus")[0].id;
    assert_ne!(ours, other);
    let answer = world.poll("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    let build = world.build("bllvm-consensus").await;
    assert_eq!(
        (build.status, build.workflow_run_id),
        (BuildStatus::Failure, None)
    );
    let error = build.error.unwrap();
    for named in [ours.to_string(), other.to_string()] {
        assert!(error.contains(&named), "{error}");
    }
    let store = &world.stage.store;
    for run in [ours, other] {
        assert_eq!(store.claim_of(&build.repository, run).await.unwrap(), None);
    }
    assert_eq!(world.build("bllvm").await.status, BuildStatus::Blocked);
    // Its run is unclaimed: others wait for it, but not forever.
    let lock = store.lock(&build.repository).await.unwrap().unwrap();
    assert!(lock.orphaned, "{lock:?}");
}

#[tokio::test]
async fn where_the_workflow_shows_the_nonce_no_other_run_of_our_user_is_claimed() {
    let world = StageWorld::start().await;
    world.planned().await;
    assert!(world.build("bllvm-consensus").await.shows_nonce);
    let repository = "BTCDecoded/bllvm-consensus";
    let route = "/repos/{owner}/{repo}/dispatches";
    world.fault("POST", route, FaultKind::Status(502, None));
    world.dispatch("bllvm-consensus").await.unwrap();
    // By hand, with our token, while ours is not there yet.
    let theirs = world
        .github
        .dispatch_as("release-bot", repository, "build-chain", json!({}));
    let answer = world.poll("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Soon);
    let build = world.build("bllvm-consensus").await;
    assert_eq!(build.workflow_run_id, None);
    let claim = world.stage.store.claim_of(&build.repository, theirs).await;
    assert_eq!(claim.unwrap(), None);
}

#[tokio::test]
async fn a_stranger_s_run_is_not_claimed() {
    let world = StageWorld::without_nonces().await;
    world.planned().await;
    assert!(!world.build("bllvm-consensus").await.shows_nonce);
    world.script("bllvm-consensus", |s| s.run_seconds = 1e6);
    let repository = "BTCDecoded/bllvm-consensus";
    world.fault(
        "POST",
        "/repos/{owner}/{repo}/dispatches",
        FaultKind::Status(502, None),
    );
    world.dispatch("bllvm-consensus").await.unwrap();
    let theirs = world
        .github
        .dispatch_as("somebody", repository, "build-chain", json!({}));
    let answer = world.poll("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Soon);
    let build = world.build("bllvm-consensus").await;
    assert_eq!(
        (build.status, build.workflow_run_id),
        (BuildStatus::Dispatching, None)
    );
    let store = &world.stage.store;
    assert_eq!(
        store.claim_of(&build.repository, theirs).await.unwrap(),
        None
    );

    // Ours, when it comes, is the only one that can be it.
    let ours = world
        .github
        .dispatch_as("release-bot", repository, "build-chain", json!({}));
    world.polled("bllvm-consensus", Next::Normal).await;
    let build = world.build("bllvm-consensus").await;
    assert_eq!(build.workflow_run_id, Some(ours));
    assert_eq!(build.matched_by, Some(MatchedBy::OnlyCandidate));
}

#[tokio::test]
async fn a_run_that_another_build_has_is_not_taken() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.dispatch("bllvm-consensus").await.unwrap();
    let run = world.runs("bllvm-consensus")[0].id;
    let build = world.build("bllvm-consensus").await;
    let theirs = Claim {
        release: world.key(),
        component: "bllvm-sdk".into(),
        nonce: "bc-fedcba9876543210".into(),
    };
    let claimed = world
        .stage
        .store
        .claim(&build.repository, run, &theirs)
        .await;
    assert_eq!(claimed.unwrap(), Claimed::Ours);
    assert_eq!(
        world.poll("bllvm-consensus").await.unwrap().next,
        Next::Soon
    );
    assert_eq!(world.build("bllvm-consensus").await, build);
}

#[tokio::test]
async fn a_run_that_never_appears_is_given_up_and_cancelled_if_it_comes_late() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.fault(
        "POST",
        "/repos/{owner}/{repo}/dispatches",
        FaultKind::Status(502, None),
    );
    world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(
        world.poll("bllvm-consensus").await.unwrap().next,
        Next::Soon
    );
    // An hour passes, for the build and for the lock that it took.
    let long_ago = Timestamp::now() - Duration::from_secs(3600);
    let lost = world
        .alter("bllvm-consensus", |b| b.post_deadline = Some(long_ago))
        .await;
    let store = &world.stage.store;
    let lock = store.lock(&lost.repository).await.unwrap().unwrap();
    let aged = commons_domain::lock::Lock {
        post_deadline: long_ago,
        ..lock.clone()
    };
    let aged = store.take_lock(&lost.repository, Some(&lock), &aged).await;
    assert!(aged.unwrap());
    assert_eq!(
        world.poll("bllvm-consensus").await.unwrap().next,
        Next::Retry
    );
    let given_up = world.build("bllvm-consensus").await;
    assert_eq!(given_up.status, BuildStatus::Retrying);
    assert_eq!(given_up.retry_count, 1);
    assert_eq!(given_up.abandoned, [lost.nonce.clone().unwrap()]);
    let lock = store.lock(&lost.repository).await.unwrap().unwrap();
    assert!(lock.orphaned, "its run may still come: {lock:?}");

    world.alter("bllvm-consensus", |b| b.retry_at = None).await;
    world.script("bllvm-consensus", |s| s.run_seconds = 1e6);
    world.dispatch("bllvm-consensus").await.unwrap();
    // The first one comes after all: GitHub was slow.
    let late = world.github.dispatch_as(
        "release-bot",
        "BTCDecoded/bllvm-consensus",
        "build-chain",
        json!({"nonce": lost.nonce, "component": "bllvm-consensus", "version": "v0.1.0"}),
    );
    world.polled("bllvm-consensus", Next::Normal).await;
    let build = world.build("bllvm-consensus").await;
    assert_ne!(build.workflow_run_id, Some(late));
    let claim = world.stage.store.claim_of(&build.repository, late).await;
    assert_eq!(Some(claim.unwrap().unwrap().nonce), lost.nonce);
    world.poll("bllvm-consensus").await.unwrap();
    let words = format!("run {late} of BTCDecoded/bllvm-consensus came late");
    let told = world.times_told("bllvm-consensus", &words).await;
    assert_eq!(told, 1, "once, however often it is seen");
    let words = "attempt 1: NoRun: no run of .github/workflows/build.yml appeared";
    assert_eq!(world.times_told("bllvm-consensus", words).await, 1);
    // Every look asks for it until it has ended.
    let began = Instant::now();
    let is_cancelled =
        |run: &RunView| run.id == late && run.conclusion.as_deref() == Some("cancelled");
    while !world.runs("bllvm-consensus").iter().any(is_cancelled) {
        assert!(began.elapsed() < Duration::from_secs(10));
        world.poll("bllvm-consensus").await.unwrap();
    }
}
