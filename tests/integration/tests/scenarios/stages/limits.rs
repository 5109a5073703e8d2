//! What GitHub limits: the budget of writes, and the waits that it asks for.

use std::sync::Arc;
use std::time::Duration;

use commons_domain::budget::{Answer, Limits, Write};
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_domain::times::Speed;
use commons_runtime::StageError;
use github_simulator::FaultKind;
use integration::{MANIFEST, MovedClock, RELEASE_REPOSITORY, StageWorld, fixture, repository};
use jiff::Timestamp;

use super::publish::{ASSETS, complete, completed, whole};

const RELEASES: &str = "/repos/{owner}/{repo}/releases";
const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";

fn limited(seconds: &str) -> FaultKind {
    let asked = vec![("retry-after".to_owned(), seconds.to_owned())];
    FaultKind::Status(403, Some(asked))
}

#[tokio::test]
async fn a_dispatch_beyond_the_budget_waits_and_holds_no_lock() {
    let mut world = StageWorld::start().await;
    // A minute of two real seconds.
    world.stage.config.write_limits = Limits::new(1, 500, 1, Speed(30.0));
    world.planned().await;
    let first = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(first.next, commons_dispatch::Next::AwaitRun);
    let before = world.build("bllvm-sdk").await;
    let second = world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(second.next, commons_dispatch::Next::Busy);
    assert!((1..=4).contains(&second.wait_seconds), "{second:?}");
    assert_eq!(world.runs("bllvm-sdk").len(), 0);
    assert_eq!(world.build("bllvm-sdk").await, before, "no attempt counted");
    let lock = world.stage.store.lock(&repository("bllvm-sdk")).await;
    assert_eq!(lock.unwrap(), None);

    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(second.next, commons_dispatch::Next::AwaitRun);
}

#[tokio::test]
async fn publishing_stops_at_the_budget_and_goes_on_where_it_was() {
    let mut world = complete().await;
    // As many writes as one call takes, in a minute of two real seconds.
    world.stage.config.write_limits = Limits::new(7, 500, 0, Speed(30.0));
    let mut calls = 0;
    loop {
        calls += 1;
        assert!(calls < 20, "it does not come to its end");
        let answer = world.publish().await.unwrap();
        if answer.next == commons_publish::Next::Published {
            break;
        }
        let unseen = world.release().await.unseen_since;
        assert_eq!(unseen, None, "a budget that is used up is no blindness");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(calls > 2, "{calls} calls");
    whole(&world).await;
    let uploads = world.github.calls()[&format!("POST {ASSETS}")];
    let release = &world.github.releases(RELEASE_REPOSITORY)[0];
    assert_eq!(uploads, release.assets.len() as u64, "nothing twice");
}

#[tokio::test]
async fn publishing_hands_over_to_its_next_call_when_its_time_is_up() {
    let clock = Arc::new(MovedClock::default());
    let world = StageWorld::by(clock.clone(), fixture(MANIFEST)).await;
    let world = completed(world).await;
    world.faults("POST", ASSETS, FaultKind::Delay(0.4), 8);
    let uploads = || world.github.calls().get(&format!("POST {ASSETS}")).copied();
    let until_some_are_sent = async {
        while uploads().unwrap_or(0) < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        clock.advance(Duration::from_secs(14 * 60));
    };
    let (answer, ()) = tokio::join!(world.publish(), until_some_are_sent);
    let answer = answer.unwrap();
    assert_eq!(answer.next, commons_publish::Next::Again);
    assert!(answer.wait_seconds >= 1);
    let (sent, release) = (uploads().unwrap(), world.release().await);
    assert!(
        (5..=9).contains(&sent),
        "those on their way come to their end: {sent}"
    );
    assert_eq!(
        (release.status, release.unseen_since),
        (ReleaseStatus::Publishing, None)
    );
    let answer = world.publish().await.unwrap();
    assert_eq!(answer.next, commons_publish::Next::Published);
    let release = whole(&world).await;
    assert_eq!(
        uploads(),
        Some(release.assets.len() as u64),
        "nothing twice"
    );
}

#[tokio::test]
async fn writes_of_several_releases_at_once_are_all_counted() {
    let world = StageWorld::start().await;
    let limits = Limits::new(20, 500, 0, Speed(1.0));
    let ask = |n: u32| {
        let store = world.stage.store.clone();
        async move {
            let key = ReleaseKey::new(&format!("o/r/v0.{}.0", n % 3)).unwrap();
            store.ask_to_write(&key, Write::Dispatch, &limits).await
        }
    };
    let answers = futures_util::future::join_all((0..30).map(ask)).await;
    let granted = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Answer::At(_))))
        .count();
    assert!((18..=20).contains(&granted), "{answers:?}");
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 0, "{answers:?}");
}

#[tokio::test]
async fn a_wait_that_github_asks_for_is_kept_by_every_stage() {
    let world = StageWorld::start().await;
    world.planned().await;
    let get = "/repos/{owner}/{repo}/commits/{ref}";
    world.fault("GET", get, limited("1200"));
    let answer = world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, commons_dispatch::Next::Busy);
    assert_eq!(answer.wait_seconds, 10, "1200 simulated seconds");
    world.dispatch("bllvm-sdk").await.unwrap();
    world.fault("GET", "/repos/{owner}/{repo}/actions/runs", limited("1200"));
    let answer = world.poll("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, commons_poll::Next::Busy);
    assert_eq!(answer.wait_seconds, 10);
    world.quick_runs();
    world.polled("bllvm-sdk", commons_poll::Next::Green).await;
    let artifacts = "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts";
    world.fault("GET", artifacts, limited("1200"));
    let answer = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, commons_collect::Next::Again);
    assert_eq!(answer.wait_seconds, 10);
    let unseen = world.build("bllvm-sdk").await.unseen_since;
    assert!(unseen.is_some());
    world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(world.build("bllvm-sdk").await.unseen_since, None);
}

/// Since when the release cannot be published, as if it were this long ago.
async fn unseen_for(world: &StageWorld, seconds: u64) {
    let before = world.release().await;
    let since = Timestamp::now() - Duration::from_secs(seconds);
    let after = Release {
        unseen_since: Some(since),
        ..before.clone()
    };
    let changed = world
        .stage
        .store
        .change_release(&before, &after, "the test");
    changed.await.unwrap();
}

#[tokio::test]
async fn publishing_gives_up_after_half_an_hour_in_which_nothing_could_be_written() {
    let world = complete().await;
    world.faults("POST", RELEASES, FaultKind::Status(502, None), 2);
    let answer = world.publish().await.unwrap();
    assert_eq!(answer.next, commons_publish::Next::Again);
    assert!(world.release().await.unseen_since.is_some());
    // 31 simulated minutes.
    unseen_for(&world, 31 * 60 / 120 + 1).await;
    let error = world.publish().await.unwrap_err();
    assert!(matches!(error, StageError::Blind(_)), "{error:?}");
    let release = world.release().await;
    assert_eq!(
        release.status,
        ReleaseStatus::Publishing,
        "it stays as it is"
    );
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    // Who sees again goes on.
    assert_eq!(
        world.publish().await.unwrap().next,
        commons_publish::Next::Published
    );
    assert_eq!(world.release().await.unseen_since, None);
    whole(&world).await;
}

#[tokio::test]
async fn a_write_that_github_takes_begins_the_time_anew() {
    let world = complete().await;
    world.faults("POST", RELEASES, FaultKind::Status(502, None), 1);
    world.publish().await.unwrap();
    unseen_for(&world, 31 * 60 / 120 + 1).await;
    // Every upload is taken; the last write is not.
    world.fault("PATCH", RELEASE, FaultKind::Status(502, None));
    let answer = world.publish().await.unwrap();
    assert_eq!(answer.next, commons_publish::Next::Again);
    let since = world.release().await.unseen_since.unwrap();
    let ago = Timestamp::now().duration_since(since);
    assert!(ago.as_secs() < 10, "{ago:?}");
    assert_eq!(
        world.publish().await.unwrap().next,
        commons_publish::Next::Published
    );
}
