//! The release at GitHub: one, whole, of the right commit, started by nobody twice.

use std::time::Duration;

use github_simulator::{FaultKind, ForeignRelease};
use integration::{RELEASE_REPOSITORY, World};
use serde_json::json;
use tokio::time::sleep;

use super::*;

/// Two executions at once, a draft whose creation is not answered, and then so many
/// drafts of others that it is on no first page any more.
#[tokio::test]
async fn mode_09_releases_are_duplicated_or_split() {
    let world = world_with(CHAIN, |_| {}).await;
    let home = RELEASE_REPOSITORY;
    fault(&world, "POST", RELEASES, home, FaultKind::LostAnswer, 1);
    let (one, two) = tokio::join!(world.release(VERSION), world.release(VERSION));
    until("the draft is there", async || {
        !world.github.releases(home).is_empty()
    })
    .await;
    for n in 0..150 {
        let other = ForeignRelease {
            tag: format!("v7.0.{n}"),
            draft: true,
            ..ForeignRelease::default()
        };
        world.github.release_as("somebody", home, other);
    }
    // One of them stepped aside.
    assert_eq!(world.ended(&one).await["status"], "SUCCEEDED");
    has_arrived(&world, &two).await;
    assert_eq!(calls(&world, &format!("POST {RELEASES}")), 1);
    let pages = world.github.requests().into_iter();
    let listed = pages.filter(|r| r.path.ends_with("/releases") && r.method == "GET");
    let second: Vec<_> = listed.filter(|r| r.query.ends_with("page=2")).collect();
    assert!(!second.is_empty(), "it was found on the second page");
    let releases = world.github.releases(home);
    let others = releases.iter().filter(|release| release.draft);
    assert_eq!((releases.len(), others.count()), (151, 150));
    for repository in [CONSENSUS, home] {
        assert_eq!(ours(&world, repository).len(), 1, "{repository}");
    }
    let lease = world.items(VERSION, "release").await.remove(0);
    assert_eq!(lease["generation"], 1, "one owner: {lease}");
    world.stop().await;
}

/// Where releases are immutable, what is published first is empty for ever: it is
/// published last, after everything went wrong that can. About one that somebody published
/// empty by hand nothing can be done, and nothing is.
#[tokio::test]
async fn mode_10_an_immutable_release_is_published_empty() {
    let world = world_with(CHAIN, |repository| {
        repository.immutable_releases = repository.name == RELEASE_REPOSITORY;
    })
    .await;
    let home = RELEASE_REPOSITORY;
    fault(&world, "POST", ASSETS, home, FaultKind::StarterAsset, 1);
    fault(&world, "POST", ASSETS, home, FaultKind::LostAnswer, 1);
    fault(
        &world,
        "PATCH",
        RELEASE,
        home,
        FaultKind::Status(502, None),
        1,
    );
    fault(&world, "PATCH", RELEASE, home, FaultKind::LostAnswer, 1);
    let execution = world.release(VERSION).await;
    let mut published = Vec::new();
    until("it is published", async || {
        let seen = world.github.releases(home);
        published.extend(
            seen.into_iter()
                .filter(|r| !r.draft)
                .map(|r| r.assets.len()),
        );
        !published.is_empty()
    })
    .await;
    let seen = has_arrived(&world, &execution).await;
    assert!(seen.immutable);
    assert_eq!(
        published,
        [seen.assets.len()],
        "whole when it was first seen"
    );
    let writes: Vec<String> = world
        .github
        .requests()
        .into_iter()
        .filter(|r| r.path.contains("/releases") && r.method != "GET")
        .map(|r| r.method)
        .collect();
    let first = writes.iter().position(|method| method == "PATCH").unwrap();
    let last = writes[first..].iter().all(|method| method == "PATCH");
    assert!(last, "nothing is uploaded after: {writes:?}");

    let empty = ForeignRelease {
        tag: "v0.2.0".into(),
        ..ForeignRelease::default()
    };
    world.github.release_as("somebody", home, empty);
    let execution = world.release("v0.2.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let why = "published and immutable: release another version";
    assert!(ended["cause"].as_str().unwrap().contains(why), "{ended}");
    assert_eq!(
        world.github.runs(CONSENSUS).len(),
        1,
        "nothing is dispatched"
    );
    let releases = world.github.releases(home);
    assert_eq!((releases.len(), releases[1].assets.len()), (2, 0));
    world.stop().await;
}

/// The pin of a component, and why its build failed.
async fn pin_moved(world: &World, component: &str) -> (String, String) {
    let build = build(world, component).await;
    assert_eq!(build["status"], "failure", "{build}");
    let text = |field: &str| build[field].as_str().unwrap().to_owned();
    (text("pin"), text("error"))
}

/// The branch moves after the pin, before the dispatch: nothing is dispatched there.
async fn the_branch_moves_before_the_dispatch() {
    let world = world_with(CHAIN, |_| {}).await;
    let execution = world.release(VERSION).await;
    until("the first runs", async || {
        !ours(&world, CONSENSUS).is_empty()
    })
    .await;
    let head = world.github.push_commit(RELEASE_REPOSITORY);
    let why = has_failed(&world, &execution).await;
    let (pin, error) = pin_moved(&world, "bllvm").await;
    for told in ["PinMoved", &pin, &head] {
        assert!(error.contains(told) && why.contains(told), "{error} {why}");
    }
    assert!(world.github.runs(RELEASE_REPOSITORY).is_empty());
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

/// It moves between the dispatch and its run: that run builds something else, is not
/// taken, and nothing is dispatched again.
async fn the_branch_moves_under_the_dispatch() {
    let world = world_with(CHAIN, |_| {}).await;
    let slow = FaultKind::Deferred(204, Some(0.5));
    fault(&world, "POST", DISPATCHES, CONSENSUS, slow, 1);
    let execution = world.release(VERSION).await;
    let call = format!("POST {DISPATCHES}");
    until("we came", async || calls(&world, &call) > 0).await;
    let head = world.github.push_commit(CONSENSUS);
    has_failed(&world, &execution).await;
    let (pin, error) = pin_moved(&world, "bllvm-consensus").await;
    let runs = ours(&world, CONSENSUS);
    assert_eq!((runs.len(), &runs[0].head_sha), (1, &head));
    for told in ["PinMoved", &pin, &head] {
        assert!(error.contains(told), "{error}");
    }
    assert_eq!(calls(&world, &call), 1);
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

/// It moves while the run runs, which then fails: its jobs are run again at their commit,
/// and the release's tag is there, not where the branch is now.
async fn the_branch_moves_after_the_run_began() {
    let home = RELEASE_REPOSITORY;
    let world = scripted(CHAIN, home, |script| {
        script.conclusions = vec!["failure".into(), "success".into()];
    })
    .await;
    let execution = world.release(VERSION).await;
    until("it runs", async || !ours(&world, home).is_empty()).await;
    let head = world.github.push_commit(home);
    let seen = has_arrived(&world, &execution).await;
    let runs = ours(&world, home);
    assert_eq!((runs.len(), runs[0].run_attempt), (1, 2));
    assert_ne!(runs[0].head_sha, head);
    assert_eq!(seen.target_commitish, runs[0].head_sha);
    world.stop().await;
}

#[test]
fn mode_12_the_artifacts_do_not_belong_to_the_tag() {
    play([
        || Box::pin(the_branch_moves_before_the_dispatch()),
        || Box::pin(the_branch_moves_under_the_dispatch()),
        || Box::pin(the_branch_moves_after_the_run_began()),
    ]);
}

/// Publishing makes the tag and the release, of which GitHub tells as of anybody's.
#[tokio::test]
async fn mode_17_our_own_release_starts_a_release() {
    let world = world_with(CHAIN, |_| {}).await;
    let seen = arrives(&world).await;
    until("GitHub has told of it", async || {
        let told = world.github.deliveries();
        let both = ["create", "release"].map(|event| told.iter().any(|d| d.event == event));
        both == [true, true] && world.github.answers().len() == told.len()
    })
    .await;
    let mut own = world.github.deliveries();
    own.retain(|delivery| delivery.event != "workflow_run");
    assert_eq!(own.len(), 2, "{own:?}");
    for (event, status) in world.github.answers() {
        assert_eq!(status, Some(202), "{event}");
    }
    // Told again, also as if by somebody else: it is known by its tag.
    for delivery in own {
        for sender in [LOGIN, "somebody"] {
            let mut payload = delivery.payload.clone();
            payload["sender"]["login"] = sender.into();
            let sent = world.github.send_webhook(&delivery.event, payload);
            assert_eq!(sent.await.unwrap(), 202);
        }
    }
    // The tags of components are theirs.
    world.github.create_tag(CONSENSUS, "v0.2.0");
    until("that is told", async || {
        world.github.answers().len() == world.github.deliveries().len()
    })
    .await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(
        world.executions().await.len(),
        1,
        "the one that published it"
    );
    let after = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, after[0].draft), (seen.id, false));

    // A tag of the release repository that is none of ours does start one.
    world.github.create_tag(RELEASE_REPOSITORY, "v0.2.0");
    until("it starts", async || world.executions().await.len() == 2).await;
    for execution in world.executions().await {
        let arn = execution["executionArn"].as_str().unwrap();
        assert_eq!(world.ended(arn).await["status"], "SUCCEEDED", "{execution}");
    }
    let tags: Vec<String> = world
        .github
        .releases(RELEASE_REPOSITORY)
        .into_iter()
        .map(|release| release.tag_name)
        .collect();
    assert_eq!(json!(tags), json!([VERSION, "v0.2.0"]));
    world.stop().await;
}
