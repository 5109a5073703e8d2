//! The audit: what a release engineer asks the next morning, the events tell.

use std::sync::Arc;
use std::time::Duration;

use commons_domain::build::{Build, BuildStatus};
use commons_domain::clock::{Clock, Sleep};
use commons_domain::timeline::{self, Event};
use commons_poll::Next;
use commons_store::{Store, StoreError};
use integration::StageWorld;
use jiff::Timestamp;
use serde_json::json;

const SDK: &str = "bllvm-sdk";

/// The reasons about `what` hold these, one after the other.
async fn tells(world: &StageWorld, what: &str, wanted: &[&str]) {
    let told = world.told(what).await;
    let mut left = told.iter();
    for words in wanted {
        let found = left.any(|reason| reason.contains(words));
        assert!(found, "'{words}' is not next in {told:#?}");
    }
}

#[tokio::test]
async fn a_build_is_told_from_its_pin_to_its_files() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.script(SDK, |script| {
        script.conclusions = vec!["failure".into(), "success".into()];
    });
    let planned = world.build(SDK).await;
    world.dispatch(SDK).await.unwrap();
    world.polled(SDK, Next::Retry).await;
    let failed = world.build(SDK).await;
    world.alter(SDK, |b| b.retry_at = None).await;
    world.dispatch(SDK).await.unwrap();
    world.polled(SDK, Next::Green).await;
    world.collect(SDK).await.unwrap();

    let built = world.build(SDK).await;
    let run = built.workflow_run_id.unwrap();
    let count = built.collected.unwrap().count;
    let wanted = [
        &format!(
            "planned at {}, which is main of BTCDecoded/{SDK}",
            planned.pin
        ),
        &format!(
            "attempt 1: build-chain is sent to BTCDecoded/{SDK} at main, with the nonce {}",
            failed.nonce.unwrap()
        ),
        "GitHub accepted the dispatch",
        &format!("claimed run {run}, known by its nonce"),
        "attempt 1: the run ended as failure (http",
        &format!("attempt 2: the failed jobs of run {run} are run again"),
        "GitHub accepted the re-run",
        &format!("run {run} succeeded in its attempt 2"),
        &format!("collected {count} assets, "),
    ];
    tells(&world, SDK, &wanted).await;
    let until = format!(
        "; its failed jobs are run again, retry 1 of 3, not before {:.0}",
        failed.retry_at.unwrap()
    );
    assert_eq!(world.times_told(SDK, &until).await, 1);
}

#[tokio::test]
async fn a_release_is_told_from_who_started_it_to_what_is_seen() {
    let world = StageWorld::start().await;
    let first = world.execution("first");
    let asked = json!({"version": "v0.1.0", "manifest_ref": "main"});
    world.plan_with(&first, asked).await.unwrap();
    // It ended, and nobody settled it.
    let second = world.execution("second");
    world.plan_as(&second).await.unwrap();
    world.quick_runs();
    for build in world.stage.store.builds(&world.key()).await.unwrap() {
        world.alter(&build.component, |b| b.requires.clear()).await;
        world.built(&build.component).await;
        world.collect(&build.component).await.unwrap();
    }
    world.publish().await.unwrap();

    let release = world.release().await;
    let id = release.github_release_id.unwrap();
    let commit = release.manifest_commit.unwrap();
    let taken_over = format!("taken over from {first}, which runs no more, and started with ");
    let planned = format!(
        "planned 6 builds, 6 of them not complete, by versions.toml at main, commit {commit}"
    );
    let wanted = [
        r#"started with {"manifest_ref":"main","version":"v0.1.0"}"#,
        &planned,
        &taken_over,
        &planned,
        "every build is complete",
        "a draft is created",
        &format!("release {id} at GitHub is created as its draft"),
        &format!("are in release {id} as they were collected: it is made visible"),
        &format!("published and verified: {}", release.html_url.unwrap()),
    ];
    tells(&world, "release", &wanted).await;

    let events = world.stage.store.events(&world.key()).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.at));
    let text = timeline::render(&events);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("generation 1: owner {first}"));
    assert!(lines.contains(&format!("generation 2: owner {second}").as_str()));
    assert_eq!(lines.len(), events.len() + 2, "a line each");
    assert!(
        lines[1].contains("  release          → planning "),
        "{text}"
    );
}

/// A clock that stands still.
#[derive(Debug)]
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, _: Duration) -> Sleep<'_> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn no_event_replaces_another_of_the_same_moment() {
    let world = StageWorld::start().await;
    world.planned().await;
    let store = Store::new(
        aws_sdk_dynamodb::Client::new(&world.aws),
        world.stage.states.clone(),
        &world.stage.config.table,
        Arc::new(Still(Timestamp::now())),
    );
    let before = world.told(SDK).await;
    let first = world.build(SDK).await;
    let second = Build {
        status: BuildStatus::Dispatching,
        ..first.clone()
    };
    store.tell_of_build(&first, "one").await.unwrap();
    store.change_build(&first, &second, "two").await.unwrap();
    let refused = store.change_build(&first, &second, "no").await;
    assert!(
        matches!(refused, Err(StoreError::Stale { .. })),
        "{refused:?}"
    );
    store.tell_of_build(&second, "three").await.unwrap();
    let told = world.told(SDK).await;
    assert_eq!(told[before.len()..], ["one", "two", "three"]);
    let events = store.events(&world.key()).await.unwrap();
    let last: Vec<&Event> = events.iter().rev().take(3).collect();
    assert!(last[2].at < last[1].at && last[1].at < last[0].at);
}
