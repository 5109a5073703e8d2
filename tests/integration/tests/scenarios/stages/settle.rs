//! Settle: the end of a release that did not come to its end by itself.

use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;
use commons_runtime::StageError;
use commons_settle::Output;
use github_simulator::FaultKind;
use integration::{StageWorld, repository};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";
const CANCEL: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel";

/// What the state machine gives when the parent execution fails.
fn failed(execution: &str) -> Value {
    let cause = json!({"errorType": "NotComplete", "errorMessage": "bllvm is failure"});
    json!({
        "kind": "release",
        "execution": execution,
        "input": {"version": "v0.1.0"},
        "error": {"Error": "NotComplete", "Cause": cause.to_string()},
    })
}

fn child_failed(world: &StageWorld, component: &str, generation: u64) -> Value {
    json!({
        "kind": "build",
        "release": world.key(),
        "component": component,
        "generation": generation,
        "error": {"Error": "States.TaskFailed", "Cause": "it died"},
    })
}

/// The consensus is green, the sdk runs, the run of bllvm-commons is not there yet, the
/// rest waits; the execution that has the lease.
async fn on_the_way() -> (StageWorld, String) {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    world.plan_as(&me).await.unwrap();
    world.script("bllvm-sdk", |s| s.run_seconds = 1e6);
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
    world.green(&["bllvm-consensus"]).await;
    world
        .alter("bllvm-commons", |b| b.requires = Vec::new())
        .await;
    world.fault("POST", DISPATCHES, FaultKind::Status(502, None));
    world.dispatch("bllvm-commons").await.unwrap();
    (world, me)
}

async fn is_settled(world: &StageWorld) {
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Failed, None)
    );
    for (component, status) in [
        ("bllvm-consensus", BuildStatus::Success),
        ("bllvm-protocol", BuildStatus::Cancelled),
        ("bllvm-node", BuildStatus::Cancelled),
        ("bllvm", BuildStatus::Cancelled),
        ("bllvm-sdk", BuildStatus::Cancelled),
        ("bllvm-commons", BuildStatus::Cancelled),
    ] {
        let build = world.build(component).await;
        assert_eq!(build.status, status, "{component}");
        assert_eq!(build.generation, release.generation, "{component}");
        assert_eq!(build.error.is_some(), build.status.is_failed());
    }
    // The run of bllvm-commons may still come: others wait for it, but not forever.
    let store = &world.stage.store;
    let lock = store.lock(&repository("bllvm-commons")).await.unwrap();
    assert!(lock.unwrap().orphaned);
    assert_eq!(store.lock(&repository("bllvm-sdk")).await.unwrap(), None);
    let began = Instant::now();
    while world.runs("bllvm-sdk")[0].conclusion.as_deref() != Some("cancelled") {
        assert!(began.elapsed() < Duration::from_secs(5), "the run goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn unfinished_builds_end_and_the_lease_is_released_last() {
    let (world, me) = on_the_way().await;
    let output = world.settle(failed(&me)).await.unwrap();
    let expected = Output {
        error: "NotComplete".into(),
        cause: "bllvm is failure".into(),
    };
    assert_eq!(output, expected, "for the execution's own end");
    is_settled(&world).await;
    let release = world.release().await;
    assert_eq!(release.generation, 2);
    assert_eq!(release.error.as_deref(), Some("bllvm is failure"));
    assert!(release.completed_at.is_some());
    let events = world.events().await;
    let last = events.last().unwrap();
    assert_eq!(last["reason"], "the lease is released");
    let raised = events.iter().position(|e| e["generation"] == 2).unwrap();
    assert_eq!(
        events[raised]["what"], "release",
        "the generation comes first"
    );

    // Whatever still runs for it loses.
    let error = world.dispatch_as("bllvm-protocol", 1).await.unwrap_err();
    assert!(matches!(error, StageError::LeaseLost(_)), "{error:?}");
}

#[tokio::test]
async fn settling_twice_is_harmless() {
    let (world, me) = on_the_way().await;
    let first = world.settle(failed(&me)).await.unwrap();
    let release = world.release().await;
    let events = world.events().await;
    assert_eq!(world.settle(failed(&me)).await.unwrap(), first);
    assert_eq!(world.release().await, release);
    assert_eq!(world.events().await, events);
}

#[tokio::test]
async fn one_that_died_on_the_way_is_finished_by_the_next() {
    let (world, me) = on_the_way().await;
    // It is killed while it waits for GitHub to take the cancellation.
    world.fault("POST", CANCEL, FaultKind::Delay(1e5));
    let killed = tokio::time::timeout(Duration::from_secs(2), world.settle(failed(&me)));
    assert!(killed.await.is_err(), "it did not hang");
    assert_eq!(world.release().await.lease.as_deref(), Some(me.as_str()));
    world.settle(failed(&me)).await.unwrap();
    is_settled(&world).await;
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_finished_by_the_next() {
    let (world, me) = on_the_way().await;
    for milliseconds in [3, 8, 15, 25, 40] {
        let cut = Duration::from_millis(milliseconds);
        let _killed = tokio::time::timeout(cut, world.settle(failed(&me))).await;
    }
    world.settle(failed(&me)).await.unwrap();
    is_settled(&world).await;
}

#[tokio::test]
async fn a_release_of_another_execution_is_left_alone() {
    let (world, _) = on_the_way().await;
    let release = world.release().await;
    let builds = world.stage.store.builds(&world.key()).await.unwrap();
    let other = world.execution("another");
    world.settle(failed(&other)).await.unwrap();
    assert_eq!(world.release().await, release);
    assert_eq!(
        world.stage.store.builds(&world.key()).await.unwrap(),
        builds
    );
    assert!(!world.github.calls().contains_key(&format!("POST {CANCEL}")));

    // One whose input names no release, or one that nobody planned.
    let mut odd = failed(&other);
    odd["input"] = json!({"version": 3});
    world.settle(odd.clone()).await.unwrap();
    odd["input"] = json!({"version": "v7.0.0"});
    world.settle(odd).await.unwrap();
    assert_eq!(world.release().await, release);
}

#[tokio::test]
async fn an_aborted_execution_cancels_its_release() {
    let (world, me) = on_the_way().await;
    let event = json!({
        "source": "aws.states",
        "detail": {
            "executionArn": me,
            "status": "ABORTED",
            "input": "{\"version\": \"v0.1.0\"}",
            "cause": "a person stopped it",
        },
    });
    world.settle(event).await.unwrap();
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Cancelled, None)
    );
    assert_eq!(release.error.as_deref(), Some("a person stopped it"));
    let sdk = world.build("bllvm-sdk").await;
    assert_eq!(sdk.status, BuildStatus::Cancelled);
}

#[tokio::test]
async fn a_settled_release_starts_again_where_it_stood() {
    let (world, me) = on_the_way().await;
    world.settle(failed(&me)).await.unwrap();
    let generation = world.planned().await;
    assert_eq!(generation, 3);
    let release = world.release().await;
    assert_eq!(
        (release.status, release.error),
        (ReleaseStatus::Building, None)
    );
    let green = world.build("bllvm-consensus").await;
    assert_eq!(green.status, BuildStatus::Success);
    let sdk = world.build("bllvm-sdk").await;
    assert_eq!(
        (sdk.status, sdk.workflow_run_id),
        (BuildStatus::Pending, None)
    );
    // The run that never showed is known if it comes.
    let commons = world.build("bllvm-commons").await;
    assert_eq!(commons.abandoned.len(), 1);
}

#[tokio::test]
async fn a_dead_child_leaves_its_reason_and_wakes_what_waits_for_it() {
    let (world, _) = on_the_way().await;
    let output = world
        .settle(child_failed(&world, "bllvm-protocol", 1))
        .await;
    assert_eq!(output.unwrap().error, "States.TaskFailed");
    let dead = world.build("bllvm-protocol").await;
    assert_eq!(dead.status, BuildStatus::Pending, "the status stays");
    assert_eq!(dead.error.as_deref(), Some("States.TaskFailed: it died"));
    for dependent in ["bllvm-node", "bllvm"] {
        let blocked = world.build(dependent).await;
        assert_eq!(blocked.status, BuildStatus::Blocked, "{dependent}");
        assert!(blocked.error.unwrap().contains("bllvm-protocol"));
        assert!(blocked.seq > 0, "it is woken");
        let answer = world.dispatch(dependent).await.unwrap();
        assert_eq!(answer.next, commons_dispatch::Next::Over);
    }
    let release = world.release().await;
    assert_eq!(
        (release.status, release.generation),
        (ReleaseStatus::Building, 1)
    );

    // Green is green, though its child died before it was collected.
    let green = child_failed(&world, "bllvm-consensus", 1);
    world.settle(green).await.unwrap();
    let consensus = world.build("bllvm-consensus").await;
    assert_eq!(consensus.status, BuildStatus::Success);
    assert!(consensus.error.is_some());
    // One of an earlier generation is not asked.
    let old = world.settle(child_failed(&world, "bllvm-sdk", 0)).await;
    assert!(matches!(old, Err(StageError::LeaseLost(_))), "{old:?}");
    assert_eq!(world.build("bllvm-sdk").await.error, None);
}

#[tokio::test]
async fn a_dead_child_that_was_recorded_before_still_wakes_what_waits_for_it() {
    let (world, _) = on_the_way().await;
    let dead = || child_failed(&world, "bllvm-protocol", 1);
    let first = world.settle(dead()).await.unwrap();
    // As if Settle had been killed after it wrote the reason.
    let waiting = world
        .alter("bllvm-node", |b| {
            b.status = BuildStatus::Pending;
            b.error = None;
        })
        .await;
    assert_eq!(waiting.status, BuildStatus::Pending);
    assert_eq!(world.settle(dead()).await.unwrap(), first);
    let node = world.build("bllvm-node").await;
    assert_eq!(node.status, BuildStatus::Blocked);
}

#[tokio::test]
async fn the_sweeper_settles_what_nobody_told_and_leaves_what_runs() {
    let mut world = StageWorld::start().await;
    let machine = world.waiting_machine().await;
    world.stage.config.state_machine_arn = machine.clone();
    let execution = world.execute(&machine).await;
    world.plan_as(&execution).await.unwrap();
    world.settle(json!({"kind": "sweep"})).await.unwrap();
    let release = world.release().await;
    assert_eq!(release.lease.as_deref(), Some(execution.as_str()));
    assert_eq!(release.status, ReleaseStatus::Building);

    world.abort(&execution).await;
    for _ in 0..2 {
        world.settle(json!({"kind": "sweep"})).await.unwrap();
        let release = world.release().await;
        assert_eq!(release.status, ReleaseStatus::Cancelled);
        assert_eq!((release.lease, release.generation), (None, 2));
        assert_eq!(release.error.as_deref(), Some("a person stopped it"));
    }
}

#[tokio::test]
async fn the_sweeper_gives_a_build_whose_child_is_gone_its_error() {
    let mut world = StageWorld::start().await;
    let machine = world.waiting_machine().await;
    world.stage.config.state_machine_arn = machine.clone();
    let parent = world.execute(&machine).await;
    let (alive, dead) = (world.execute(&machine).await, world.execute(&machine).await);
    world.abort(&dead).await;
    world.plan_as(&parent).await.unwrap();
    let gone = world.execution("never-was");
    for (component, child) in [
        ("bllvm-sdk", &alive),
        ("bllvm-consensus", &dead),
        ("bllvm-commons", &gone),
    ] {
        world
            .alter(component, |b| b.child = Some(child.clone()))
            .await;
    }
    for _ in 0..2 {
        world.settle(json!({"kind": "sweep"})).await.unwrap();
        let error = |build: commons_domain::build::Build| build.error.unwrap_or_default();
        assert_eq!(error(world.build("bllvm-sdk").await), "");
        let consensus = world.build("bllvm-consensus").await;
        assert_eq!(
            consensus.status,
            BuildStatus::Pending,
            "it keeps its status"
        );
        assert_eq!(error(consensus), "its child execution is ABORTED");
        assert_eq!(
            error(world.build("bllvm-commons").await),
            "its child execution is gone"
        );
        assert_eq!(world.build("bllvm").await.status, BuildStatus::Blocked);
    }
}

#[tokio::test]
async fn with_github_out_of_sight_what_is_on_its_way_is_left_for_who_resumes() {
    let (world, me) = on_the_way().await;
    let sdk = world.build("bllvm-sdk").await;
    world.faults("POST", CANCEL, FaultKind::Status(502, None), 9);
    world.settle(failed(&me)).await.unwrap();
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Failed, None)
    );
    let after = world.build("bllvm-sdk").await;
    assert_eq!(
        (after.status, after.workflow_run_id),
        (sdk.status, sdk.workflow_run_id)
    );
    assert_eq!(
        (after.generation, after.wait_token),
        (release.generation, None)
    );
    assert_eq!(
        world.build("bllvm-node").await.status,
        BuildStatus::Cancelled
    );
    assert_ne!(
        world.runs("bllvm-sdk")[0].conclusion.as_deref(),
        Some("cancelled")
    );

    world.plan_as(&world.execution("two")).await.unwrap();
    let adopted = world.build("bllvm-sdk").await;
    assert_eq!(
        (adopted.status, adopted.workflow_run_id),
        (sdk.status, sdk.workflow_run_id)
    );
}

#[tokio::test]
async fn a_run_that_nobody_claimed_yet_is_found_by_its_nonce_and_cancelled() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    world.plan_as(&me).await.unwrap();
    world.script("bllvm-sdk", |script| script.run_seconds = 6_000.0);
    world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(world.build("bllvm-sdk").await.workflow_run_id, None);
    world.settle(failed(&me)).await.unwrap();
    assert_eq!(
        world.build("bllvm-sdk").await.status,
        BuildStatus::Cancelled
    );
    let began = Instant::now();
    while world.runs("bllvm-sdk")[0].conclusion.as_deref() != Some("cancelled") {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            world.runs("bllvm-sdk")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_execution_that_ran_out_of_time_fails_its_release() {
    let (world, me) = on_the_way().await;
    let event = json!({
        "source": "aws.states",
        "detail": {"executionArn": me, "status": "TIMED_OUT", "input": "{\"version\":\"v0.1.0\"}"},
    });
    world.settle(event).await.unwrap();
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Failed, None)
    );
    assert_eq!(
        release.error.as_deref(),
        Some("the execution ended as TIMED_OUT")
    );
    is_settled(&world).await;
}

#[tokio::test]
async fn a_lock_that_a_build_never_acted_with_is_freed() {
    for blocked in [false, true] {
        a_lock_is_freed_that_was_never_acted_with(blocked).await;
    }
}

/// `blocked`: what the build requires has failed since.
async fn a_lock_is_freed_that_was_never_acted_with(blocked: bool) {
    let (world, me) = on_the_way().await;
    if blocked {
        let status = BuildStatus::Blocked;
        world
            .alter("bllvm-node", |build| build.status = status)
            .await;
    }
    let name = repository("bllvm-node");
    let left = commons_domain::lock::Lock {
        release: world.key(),
        component: "bllvm-node".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: jiff::Timestamp::now(),
        orphaned: false,
    };
    let store = &world.stage.store;
    assert!(store.take_lock(&name, None, &left).await.unwrap());
    world.settle(failed(&me)).await.unwrap();
    assert_eq!(store.lock(&name).await.unwrap(), None);
}

/// What Step Functions calls again where an execution is redriven that was settled.
#[tokio::test]
async fn a_redriven_execution_is_refused_with_a_sentence_and_changes_nothing() {
    let (world, me) = on_the_way().await;
    let before = world.release().await.generation;
    world.settle(failed(&me)).await.unwrap();
    let builds = world.stage.store.builds(&world.key()).await.unwrap();
    let release = world.release().await;
    let calls = world.github.calls();

    let stage = || world.stage.clone();
    let component = "bllvm-sdk".to_owned();
    let dispatch = commons_dispatch::Input {
        release: world.key(),
        component: component.clone(),
        generation: before,
        child: Some("a child".into()),
    };
    let poll = commons_poll::Input {
        release: world.key(),
        component: component.clone(),
        generation: before,
    };
    let collect = commons_collect::Input {
        release: world.key(),
        component,
        generation: before,
    };
    let publish = commons_publish::Input {
        release: world.key(),
        generation: before,
    };
    let errors = [
        commons_dispatch::handle(stage(), dispatch).await.err(),
        commons_poll::handle(stage(), poll).await.err(),
        commons_collect::handle(stage(), collect).await.err(),
        commons_publish::handle(stage(), publish).await.err(),
    ];
    for error in errors {
        let error = error.expect("a refusal");
        assert!(matches!(error, StageError::LeaseLost(_)), "{error:?}");
        let sentence = error.to_string();
        assert!(
            sentence.contains("starts it again, and redrives nothing"),
            "{sentence}"
        );
    }
    world.settle(failed(&me)).await.unwrap();
    assert_eq!(world.release().await, release);
    assert_eq!(
        world.stage.store.builds(&world.key()).await.unwrap(),
        builds
    );
    assert_eq!(world.github.calls(), calls, "GitHub is asked nothing");
}
