//! `adopt`: a person says which run is a build's.

use commons_domain::build::{Build, BuildStatus, MatchedBy};
use commons_domain::release::ReleaseStatus;
use commons_poll::Next;
use integration::{RELEASE_REPOSITORY, StageWorld, repository};
use serde_json::{Value, json};

const SDK: &str = "bllvm-sdk";
const THEIRS: &str = "BTCDecoded/bllvm-sdk";

/// A release that failed since two runs could be the SDK's; ours, and the other one.
async fn ambiguous() -> (StageWorld, u64, u64) {
    let world = StageWorld::without_nonces().await;
    world.quick_runs();
    let me = world.execution("first");
    world.plan_as(&me).await.unwrap();
    world.dispatch(SDK).await.unwrap();
    let other = world
        .github
        .dispatch_as("release-bot", THEIRS, "build-chain", json!({}));
    let ours = world.runs(SDK)[0].id;
    assert_eq!(world.poll(SDK).await.unwrap().next, Next::Over);
    let error = world.build(SDK).await.error.unwrap();
    assert!(error.contains(r#""adopt": {"bllvm-sdk":"#), "{error}");
    world
        .settle(json!({
            "kind": "release", "execution": me, "input": {"version": "v0.1.0"},
            "error": {"Error": "NotComplete", "Cause": error},
        }))
        .await
        .unwrap();
    assert_eq!(world.release().await.status, ReleaseStatus::Failed);
    (world, ours, other)
}

fn adopting(run: impl Into<Value>) -> Value {
    json!({"version": "v0.1.0", "adopt": {SDK: run.into()}})
}

#[tokio::test]
async fn the_run_that_a_person_names_is_the_build_s() {
    let (world, ours, other) = ambiguous().await;
    // What was built stays what it was.
    let pin = world.build(SDK).await.pin;
    world.github.push_commit(THEIRS);
    let me = world.execution("second");
    // Twice, as the state machine does where the first answer is lost.
    for _ in 0..2 {
        world.plan_with(&me, adopting(ours)).await.unwrap();
        let build = world.build(SDK).await;
        assert_eq!(
            (build.status, build.workflow_run_id, build.matched_by),
            (
                BuildStatus::Dispatched,
                Some(ours),
                Some(MatchedBy::Adopted)
            )
        );
        assert_eq!((&build.pin, build.error), (&pin, None));
    }
    let waits = world.build("bllvm-commons").await;
    assert_eq!(waits.status, BuildStatus::Pending);
    assert!(waits.waiting_on.contains(SDK), "{waits:?}");

    let dispatched = world.dispatch(SDK).await.unwrap();
    assert_eq!(dispatched.next, commons_dispatch::Next::AwaitRun);
    world.polled(SDK, Next::Green).await;
    assert_eq!(world.runs(SDK).len(), 2, "nothing was dispatched");
    let store = &world.stage.store;
    let sdk = repository(SDK);
    assert_eq!(store.lock(&sdk).await.unwrap(), None);
    assert_eq!(store.claim_of(&sdk, other).await.unwrap(), None);
    let collected = world.collect(SDK).await.unwrap();
    assert_eq!(collected.next, commons_collect::Next::Built);
    let events = world.events().await;
    let reason = format!("run {ours} is adopted");
    let told = |event: &Value| event["reason"] == reason;
    assert!(events.iter().any(told), "{events:?}");
}

#[tokio::test]
async fn a_run_that_cannot_be_the_build_s_is_refused_and_nothing_is_lost() {
    let (world, ours, _) = ambiguous().await;
    world.github.push_commit(THEIRS);
    let newer = world
        .github
        .dispatch_as("release-bot", THEIRS, "build-chain", json!({}));
    let node = json!({"version": "v0.1.0", "adopt": {"bllvm-node": ours}});
    let nobody = json!({"version": "v0.1.0", "adopt": {"nobody": ours}});
    let both = json!({"version": "v0.1.0", "adopt": {SDK: ours}, "only": [SDK]});
    for (input, why) in [
        (adopting(newer), "is pinned at"),
        (adopting(1), "BTCDecoded/bllvm-sdk has no run 1"),
        (node, "only a build that was dispatched and failed"),
        (nobody, "'nobody' is no component of v0.1.0"),
        (both, "is named by `only` too"),
    ] {
        let before = world.build(SDK).await;
        let me = world.execution("second");
        let refused = world.plan_with(&me, input.clone()).await;
        let error = refused.expect_err("a refusal").to_string();
        assert!(error.contains(why), "{input}: {error}");
        assert_eq!(world.build(SDK).await, before, "{input}");
    }
}

#[tokio::test]
async fn a_run_of_another_build_is_not_adopted() {
    let (world, ours, _) = ambiguous().await;
    let sdk = repository(SDK);
    let theirs = commons_store::Claim {
        release: world.key(),
        component: "bllvm-node".into(),
        nonce: "bc-fedcba9876543210".into(),
    };
    world.stage.store.claim(&sdk, ours, &theirs).await.unwrap();
    let me = world.execution("second");
    let error = world.plan_with(&me, adopting(ours)).await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("belongs to the dispatch bc-fedcba9876543210 of bllvm-node"),
        "{error}"
    );
    // It is no harm to the release, which is planned without.
    world.plan_as(&me).await.unwrap();
    assert_eq!(world.build(SDK).await.status, BuildStatus::Pending);
}

/// A person ran the failed jobs again and they are green: the hours are not lost.
#[tokio::test]
async fn a_run_that_failed_and_was_run_again_by_a_person_is_adopted() {
    let world = StageWorld::start().await;
    world.quick_runs();
    world.planned().await;
    world.built(SDK).await;
    let run = world.runs(SDK)[0].id;
    let failed = |build: &mut Build| {
        build.status = BuildStatus::Failure;
        build.error = Some("the tests are flaky".into());
    };
    world.alter(SDK, failed).await;
    let me = world.execution("second");
    world.plan_with(&me, adopting(run)).await.unwrap();
    world.polled(SDK, Next::Green).await;
    assert_eq!(world.runs(SDK).len(), 1);
    let release = world.github.releases(RELEASE_REPOSITORY);
    assert!(release.is_empty(), "nothing is published yet");
}
