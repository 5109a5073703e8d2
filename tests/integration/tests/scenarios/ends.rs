//! Ends that nobody wants, as they are deployed: whatever ends a release, soon nothing
//! of it is left but its reason.

use std::time::{Duration, Instant};

use github_simulator::{Fault, FaultKind};
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
    assert!(
        world
            .github
            .releases(RELEASE_REPOSITORY)
            .iter()
            .all(|r| r.draft)
    );
}

#[tokio::test]
async fn a_stopped_execution_leaves_nothing_but_its_reason() {
    let world = World::start().await;
    let execution = world.release("v0.1.0").await;
    let began = Instant::now();
    while !world
        .statuses("v0.1.0")
        .await
        .values()
        .any(|s| s == "in_progress")
    {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "nothing is built"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body = json!({"executionArn": execution, "cause": "the wrong version"});
    let stop = world.account.call(Service::States, "StopExecution", body);
    stop.await.unwrap();
    settled(&world, "cancelled", "the wrong version").await;
    world.stop().await;
}

#[tokio::test]
async fn a_plan_that_is_refused_leaves_its_sentence() {
    let world = World::start().await;
    let body = json!({
        "stateMachineArn": world.stack.state_machine_arn,
        "input": json!({"version": "v0.1.0", "manifest_ref": "nowhere"}).to_string(),
    });
    let started = world.account.call(Service::States, "StartExecution", body);
    let arn = started.await.unwrap()["executionArn"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = world.ended(&arn).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    settled(&world, "failed", "has no branch, tag or commit nowhere").await;
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_github_refuses_ends_the_release_and_shows_nothing() {
    let world = World::start().await;
    world.github.fault(Fault {
        method: "POST".into(),
        route: "/repos/{owner}/{repo}/releases/{release_id}/assets".into(),
        repo: None,
        times: 1_000,
        kind: FaultKind::Status(403, None),
    });
    let execution = world.release("v0.1.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    settled(&world, "failed", "POST the asset").await;
    world.stop().await;
}
