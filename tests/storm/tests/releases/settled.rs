//! Releases that end otherwise, and releases that meet.

use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;
use storm::{Driver, Execution, Status, Stuck};

use crate::{MANIFEST, RELEASE_REPOSITORY, VERSION, bounded, driver, repositories};

/// That nothing is published, and that Settle has given everything its end.
async fn settled(driver: &Driver, status: ReleaseStatus) {
    let published = driver.github.releases(RELEASE_REPOSITORY);
    assert!(
        published.iter().all(|release| release.draft),
        "{published:?}"
    );
    let (store, key) = (&driver.machine.stage.store, driver.key(VERSION));
    let release = store.release(&key).await.expect("the table");
    let release = release.expect("the release");
    assert_eq!((release.status, release.lease), (status, None));
    for build in store.builds(&key).await.expect("the table") {
        let ended = build.status.is_failed() || build.collected.is_some();
        assert!(ended, "{} is {:?}", build.component, build.status);
    }
}

async fn status_of(driver: &Driver, component: &str) -> BuildStatus {
    let build = driver
        .machine
        .stage
        .store
        .build(&driver.key(VERSION), component)
        .await;
    build.expect("the table").expect("the build").status
}

#[tokio::test]
async fn one_failed_build_ends_the_release_and_nothing_is_published() {
    let mut repositories = repositories(MANIFEST);
    let protocol = repositories
        .iter_mut()
        .find(|r| r.name.ends_with("/bllvm-protocol"));
    protocol.unwrap().script.conclusions = vec!["failure".into()];
    let driver = driver(repositories, true).await;
    let execution = driver.release(VERSION);
    driver.run().await.unwrap();
    let progress = execution.progress();
    assert_eq!(progress.status, Status::Failed);
    assert!(progress.failure.unwrap().cause.contains("bllvm-protocol"));
    settled(&driver, ReleaseStatus::Failed).await;
    assert_eq!(
        status_of(&driver, "bllvm-protocol").await,
        BuildStatus::Failure
    );
    assert_eq!(status_of(&driver, "bllvm-node").await, BuildStatus::Blocked);
    assert_eq!(
        status_of(&driver, "bllvm-commons").await,
        BuildStatus::Collected
    );
    bounded(&driver, "one failed build");
}

#[tokio::test]
async fn a_stopped_execution_is_settled_by_its_event() {
    let driver = driver(repositories(MANIFEST), true).await;
    let execution = driver.release(VERSION);
    let runs = |driver: &Driver| {
        let runs = driver.github.runs("BTCDecoded/bllvm-consensus");
        runs.iter().any(|run| run.status == "in_progress")
    };
    driver.run_until(runs).await.unwrap();
    driver.stop(&execution, "a person stopped it").await;
    driver.run().await.unwrap();
    assert_eq!(execution.status(), Status::Aborted);
    settled(&driver, ReleaseStatus::Cancelled).await;
    let release = driver
        .machine
        .stage
        .store
        .release(&driver.key(VERSION))
        .await;
    let why = release.unwrap().unwrap().error;
    assert_eq!(why.as_deref(), Some("a person stopped it"));
    let cancelled = |driver: &Driver| {
        let runs = driver.github.runs("BTCDecoded/bllvm-consensus");
        runs[0].conclusion.as_deref() == Some("cancelled")
    };
    driver.run_until(cancelled).await.unwrap();
    bounded(&driver, "a stopped execution");
}

#[tokio::test]
async fn two_releases_of_the_same_repositories_are_both_published() {
    let driver = driver(repositories(MANIFEST), true).await;
    let both = ["v0.1.0", "v0.2.0"].map(|version| driver.release(version));
    driver.run().await.unwrap();
    for execution in both {
        let progress = execution.progress();
        assert_eq!(progress.status, Status::Succeeded, "{:?}", progress.failure);
    }
    let releases = driver.github.releases(RELEASE_REPOSITORY);
    let published: Vec<&str> = releases
        .iter()
        .filter(|r| !r.draft)
        .map(|r| r.tag_name.as_str())
        .collect();
    assert_eq!(published.len(), 2, "{published:?}");
    bounded(&driver, "two releases at once");
}

#[tokio::test]
async fn a_deadlock_tells_where_everything_is_parked() {
    let driver = driver(repositories(MANIFEST), false).await;
    let machine = &driver.machine;
    let arn = format!(
        "{}:lonely",
        machine.arn.replace(":stateMachine:", ":execution:")
    );
    let lonely = Execution::new(
        arn,
        ().into(),
        false,
        "2026-01-01T00:00:00Z".parse().unwrap(),
    );
    machine.executions.add(&lonely);
    let clock = machine.clock.clone();
    machine.clock.spawn(async move {
        lonely
            .park(&clock, ("AwaitNobody", "waiting for its token"), None, drop)
            .await;
    });
    let stuck = driver.run().await.unwrap_err();
    assert!(matches!(stuck, Stuck::Deadlock(_)));
    let told = stuck.to_string();
    let expected = "lonely is in AwaitNobody, waiting for its token since 2026-01-01T00:00:00Z";
    assert!(told.contains(expected), "{told}");
}
