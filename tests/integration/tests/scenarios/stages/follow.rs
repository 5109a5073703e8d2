//! What follows a published release: each dispatch that the manifest lists, once.

use std::sync::Arc;
use std::time::Duration;

use commons_domain::after_publish::Dispatch;
use commons_domain::release::ReleaseStatus;
use commons_publish::Next;
use github_simulator::{FaultKind, Repository, Trigger, Workflow};
use integration::{MANIFEST, MovedClock, StageWorld, fixture};

use super::publish::completed;

const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";
const WEBSITE: &str = "BTCDecoded/website";

/// The organisation, and a website that hears of releases.
fn repositories() -> Vec<Repository> {
    let manifest = format!("{MANIFEST}\n[[after_publish]]\nrepository = \"website\"\n");
    let mut all = fixture(&manifest);
    all.push(Repository {
        name: WEBSITE.into(),
        workflows: vec![Workflow {
            on: vec![Trigger::RepositoryDispatch("release-published".into())],
            run_name: false,
            ..Workflow::default()
        }],
        ..Repository::default()
    });
    all
}

async fn published() -> (StageWorld, Arc<MovedClock>) {
    let clock = Arc::new(MovedClock::default());
    let world = StageWorld::by(clock.clone(), repositories()).await;
    let world = completed(world).await;
    assert_eq!(
        world.publish().await.unwrap().next,
        Next::Again,
        "it is to be told"
    );
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Published, None)
    );
    assert!(
        world.github.runs(WEBSITE).is_empty(),
        "not before it is published"
    );
    (world, clock)
}

async fn dispatch(world: &StageWorld) -> Dispatch {
    world.release().await.after_publish.remove(0)
}

#[tokio::test]
async fn what_is_listed_is_sent_once() {
    let (world, _) = published().await;
    for _ in 0..2 {
        assert_eq!(world.publish().await.unwrap().next, Next::Published);
    }
    let runs = world.github.runs(WEBSITE);
    assert_eq!(runs.len(), 1);
    let payload = &runs[0].client_payload;
    assert_eq!(payload["version"], "v0.1.0");
    assert_eq!(
        payload["html_url"],
        world.release().await.html_url.unwrap().as_str()
    );
    let told = world.times_told(
        "release",
        "release-published to BTCDecoded/website was sent",
    );
    assert_eq!(told.await, 1);
}

#[tokio::test]
async fn one_whose_answer_is_lost_is_found_by_its_run() {
    let (world, _) = published().await;
    world.fault("POST", DISPATCHES, FaultKind::LostAnswer);
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    assert_eq!(dispatch(&world).await.ended_at, None);
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    assert_eq!(world.github.runs(WEBSITE).len(), 1);
}

#[tokio::test]
async fn one_that_never_arrived_is_sent_again_when_its_run_had_its_time() {
    let (world, clock) = published().await;
    world.fault("POST", DISPATCHES, FaultKind::Status(502, None));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    assert_eq!(
        world.publish().await.unwrap().next,
        Next::Again,
        "it may still appear"
    );
    assert!(world.github.runs(WEBSITE).is_empty());
    clock.advance(Duration::from_secs(10));
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    assert_eq!(world.github.runs(WEBSITE).len(), 1);
}

#[tokio::test]
async fn one_that_is_refused_is_told_and_the_release_stays_published() {
    let (world, _) = published().await;
    world.fault("POST", DISPATCHES, FaultKind::Status(404, None));
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let dispatch = dispatch(&world).await;
    assert!(dispatch.error.unwrap().contains("GitHub finds nothing"));
    assert_eq!(world.release().await.status, ReleaseStatus::Published);
    assert!(world.github.runs(WEBSITE).is_empty());
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_told_in_plan() {
    let manifest = format!("{MANIFEST}\n[[after_publish]]\nrepository = \"website\"\n");
    let world = StageWorld::with_manifest(&manifest).await;
    let refused = world.plan_as(&world.execution("one")).await.unwrap_err();
    let told = refused.to_string();
    assert!(
        told.starts_with(
            "after_publish: BTCDecoded/website is not there, or the token may not see it"
        ),
        "{told}"
    );
}
