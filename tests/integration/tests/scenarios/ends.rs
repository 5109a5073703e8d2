//! Ends that nobody wants, as they are deployed: whatever ends a release, soon nothing
//! of it is left but its reason.

use std::time::{Duration, Instant};

use github_simulator::{Fault, FaultKind, Script};
use integration::{RELEASE_REPOSITORY, World};
use local_cloud::Service;
use serde_json::json;

/// Waits until the release is settled; what is left must be nothing.
async fn settled(world: &World, status: &str, why: &str) {
    let began = Instant::now();
    let release = loop {
        let release = world.items("v0.1.0", "release").await.pop().unwrap();
        if release["lease"].is_null() && release["status"] == status {
            break release;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{release}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let error = release["error"].as_str().unwrap();
    assert!(error.contains(why), "{error}");
    let ended = [
        "collected",
        "success",
        "failure",
        "cancelled",
        "timed_out",
        "blocked",
    ];
    for build in world.items("v0.1.0", "build#").await {
        assert!(
            ended.contains(&build["status"].as_str().unwrap()),
            "{build}"
        );
        assert!(build["wait_token"].is_null(), "{build}");
        let repository = build["repository"].as_str().unwrap();
        for run in world.github.runs(repository) {
            assert_eq!(run.status, "completed", "{repository}: {run:?}");
        }
    }
    for item in world.table().await {
        let lock = item["pk"].as_str().unwrap().starts_with("lock#");
        assert!(!lock || item["orphaned"] == true, "{item}");
    }
    assert!(
        world
            .github
            .releases(RELEASE_REPOSITORY)
            .iter()
            .all(|r| r.draft)
    );
}

/// Waits until a build has this status.
async fn reaches(world: &World, component: &str, status: &str) {
    let began = Instant::now();
    while world
        .statuses("v0.1.0")
        .await
        .get(component)
        .map(String::as_str)
        != Some(status)
    {
        let elapsed = began.elapsed();
        assert!(
            elapsed < Duration::from_secs(60),
            "{component} is never {status}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Starts a release, and stops its execution when a build has this status. The sdk
/// runs until somebody cancels it.
async fn stop_when(world: &World, component: &str, status: &str, cause: &str) {
    let script = Script {
        run_seconds: 1e6,
        ..Script::default()
    };
    world.github.script("BTCDecoded/bllvm-sdk", script);
    let execution = world.release("v0.1.0").await;
    reaches(world, component, status).await;
    let body = json!({"executionArn": execution, "cause": cause});
    let stop = world.account.call(Service::States, "StopExecution", body);
    stop.await.unwrap();
}

#[tokio::test]
async fn a_stopped_execution_leaves_nothing_but_its_reason() {
    let world = World::start().await;
    stop_when(&world, "bllvm-sdk", "in_progress", "the wrong version").await;
    settled(&world, "cancelled", "the wrong version").await;
    world.stop().await;
}

#[tokio::test]
async fn one_that_is_stopped_while_everything_waits_leaves_no_token() {
    let world = World::start().await;
    stop_when(&world, "bllvm", "pending", "too early").await;
    settled(&world, "cancelled", "too early").await;
    world.stop().await;
}

#[tokio::test]
async fn a_lost_event_is_made_good_by_the_sweeper_within_its_period() {
    let world = World::start().await;
    let rules = world.account.call(Service::Events, "ListRules", json!({}));
    let rules = rules.await.unwrap();
    let rules = rules["Rules"].as_array().unwrap();
    let ended = rules
        .iter()
        .find(|r| r["EventPattern"].is_string())
        .unwrap();
    let sweep = rules.iter().find(|r| r["ScheduleExpression"].is_string());
    assert_eq!(sweep.unwrap()["ScheduleExpression"], "rate(2 minutes)");
    let lost = json!({"Name": ended["Name"]});
    let lost = world.account.call(Service::Events, "DisableRule", lost);
    lost.await.unwrap();

    stop_when(&world, "bllvm-sdk", "in_progress", "nobody hears this").await;
    let began = Instant::now();
    while world.items("v0.1.0", "release").await[0]["lease"].is_string() {
        let elapsed = began.elapsed();
        assert!(elapsed < Duration::from_secs(140), "nobody settles it");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    settled(&world, "cancelled", "nobody hears this").await;
    world.stop().await;
}

#[tokio::test]
async fn an_input_that_is_no_object_is_refused_in_a_sentence() {
    let world = World::start().await;
    let execution = world.execute(&json!("v0.1.0")).await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let cause = ended["cause"].as_str().unwrap();
    assert!(cause.contains("is no object such as"), "{cause}");
    assert!(world.table().await.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_plan_that_is_refused_leaves_its_sentence() {
    let world = World::start().await;
    let arn = world
        .execute(&json!({"version": "v0.1.0", "manifest_ref": "nowhere"}))
        .await;
    let ended = world.ended(&arn).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    settled(&world, "failed", "has no branch, tag or commit nowhere").await;
    world.stop().await;
}

/// A release that failed since GitHub refuses one thing for good.
async fn refused(method: &str, route: &str, why: &str) -> World {
    refused_in(World::start().await, method, route, why).await
}

/// The same, in this world.
async fn refused_in(world: World, method: &str, route: &str, why: &str) -> World {
    world.github.fault(Fault {
        method: method.into(),
        route: route.into(),
        repo: None,
        times: 1_000,
        kind: FaultKind::Status(403, None),
    });
    let execution = world.release("v0.1.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    settled(&world, "failed", why).await;
    world
}

#[tokio::test]
async fn a_dispatch_that_github_refuses_ends_the_release() {
    let route = "/repos/{owner}/{repo}/dispatches";
    let why = "bllvm-consensus is failure: the token may not POST";
    let world = refused("POST", route, why).await;
    let statuses = world.statuses("v0.1.0").await;
    assert_eq!(statuses["bllvm"], "blocked");
    world.stop().await;
}

#[tokio::test]
async fn a_run_that_may_not_be_read_ends_the_release() {
    let world = World::start().await;
    // They still run when the release ends, and are cancelled: of one that is over it
    // could not be read how it ended.
    for first in ["BTCDecoded/bllvm-consensus", "BTCDecoded/bllvm-sdk"] {
        let script = Script {
            run_seconds: 1e6,
            ..Script::default()
        };
        world.github.script(first, script);
    }
    let route = "/repos/{owner}/{repo}/actions/runs/{run_id}";
    let world = refused_in(world, "GET", route, "the token may not GET").await;
    world.stop().await;
}

#[tokio::test]
async fn artifacts_that_may_not_be_read_end_the_release() {
    let route = "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts";
    let world = refused("GET", route, "the token may not GET").await;
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_github_refuses_ends_the_release_and_shows_nothing() {
    let route = "/repos/{owner}/{repo}/releases/{release_id}/assets";
    let world = refused("POST", route, "POST the asset").await;
    world.stop().await;
}
