//! The table: a write happens to what was read, or not at all.

use commons_domain::build::{Build, BuildStatus};
use commons_domain::lock::Lock;
use commons_domain::names::ReleaseKey;
use commons_domain::release::ReleaseStatus;
use commons_store::{Claim, Claimed, StoreError};
use integration::{StageWorld, repository};
use jiff::Timestamp;
use serde_json::Value;

const SDK: &str = "bllvm-sdk";

async fn planned() -> StageWorld {
    let world = StageWorld::start().await;
    world.planned().await;
    world
}

fn with(build: &Build, status: BuildStatus) -> Build {
    Build {
        status,
        ..build.clone()
    }
}

fn claim(world: &StageWorld, component: &str, nonce: &str) -> Claim {
    Claim {
        release: world.key(),
        component: component.into(),
        nonce: nonce.into(),
    }
}

fn lock(release: &str, nonce: &str) -> Lock {
    Lock {
        release: ReleaseKey::new(release).unwrap(),
        component: SDK.into(),
        nonce: nonce.into(),
        post_deadline: Timestamp::now(),
        orphaned: false,
    }
}

/// From, to and reason of each event about something, oldest first.
async fn history(world: &StageWorld, what: &str) -> Vec<[String; 3]> {
    let events = world.events().await;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    events
        .iter()
        .filter(|event| event["what"] == what)
        .map(|event| ["from", "to", "reason"].map(|name| text(event, name)))
        .collect()
}

#[tokio::test]
async fn a_stale_write_of_a_build_changes_nothing() {
    let world = planned().await;
    let store = &world.stage.store;
    let read = world.build(SDK).await;
    let first = with(&read, BuildStatus::Dispatching);
    store.change_build(&read, &first, "first").await.unwrap();
    let second = with(&read, BuildStatus::Failure);
    let refused = store.change_build(&read, &second, "second").await;
    assert!(
        matches!(refused, Err(StoreError::Stale { .. })),
        "{refused:?}"
    );
    assert_eq!(world.build(SDK).await, first);

    // The same status of another attempt is another build.
    let counted = Build {
        attempt: 1,
        ..first.clone()
    };
    store.change_build(&first, &counted, "third").await.unwrap();
    let refused = store.change_build(&first, &second, "fourth").await;
    assert!(
        matches!(refused, Err(StoreError::Stale { .. })),
        "{refused:?}"
    );
    let reasons = history(&world, SDK).await;
    let planned = format!("planned at {}, which is main of BTCDecoded/{SDK}", read.pin);
    let planned = planned.as_str();
    assert_eq!(
        reasons,
        [
            ["", "pending", planned],
            ["pending", "dispatching", "first"],
            ["dispatching", "dispatching", "third"],
        ],
        "an event for each write, none for what was refused"
    );
}

#[tokio::test]
async fn of_ten_writers_at_once_one_writes() {
    let world = planned().await;
    let store = &world.stage.store;
    let read = world.build(SDK).await;
    let writers = (1..=10).map(|n| {
        let after = Build {
            status: BuildStatus::Dispatching,
            nonce: Some(n.to_string()),
            ..read.clone()
        };
        let (store, read) = (store.clone(), read.clone());
        tokio::spawn(async move {
            let written = store.change_build(&read, &after, "one of ten").await;
            (written, after)
        })
    });
    let mut won = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        match writer.await.unwrap() {
            (Ok(()), after) => won.push(after),
            (Err(error), _) => assert!(matches!(error, StoreError::Stale { .. }), "{error:?}"),
        }
    }
    assert_eq!(won, [world.build(SDK).await]);
    assert_eq!(history(&world, SDK).await.len(), 2);
}

#[tokio::test]
async fn who_lost_the_lease_is_told_so() {
    let world = planned().await;
    let store = &world.stage.store;
    let (release, build) = (world.release().await, world.build(SDK).await);
    world.planned().await;
    let (release_now, build_now) = (world.release().await, world.build(SDK).await);

    let green = with(&build, BuildStatus::Success);
    let mut failed = release.clone();
    failed.status = ReleaseStatus::Failed;
    let key = world.key();
    for refused in [
        store.change_build(&build, &green, "late").await,
        store.create_build(&build, "late").await,
        store.change_release(&release, &failed, "late").await,
        store.create_release(&release, "late").await,
        store.own_build(&key, SDK, 1).await.map(drop),
        store.own_release(&key, 1).await.map(drop),
        store.stop_waiting_on(&key, "bllvm", SDK, 1).await.map(drop),
    ] {
        match refused {
            Err(StoreError::LeaseLost { held, stored, .. }) => assert_eq!((held, stored), (1, 2)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.release().await, release_now);
    assert_eq!(world.build(SDK).await, build_now);
    assert_eq!(store.own_build(&key, SDK, 2).await.unwrap(), build_now);
    assert_eq!(store.own_release(&key, 2).await.unwrap(), release_now);
}

#[tokio::test]
async fn what_is_there_is_not_created_and_what_is_not_is_named() {
    let world = planned().await;
    let store = &world.stage.store;
    let (release, build) = (world.release().await, world.build(SDK).await);
    let twice = store.create_build(&build, "twice").await;
    assert!(matches!(twice, Err(StoreError::Stale { .. })), "{twice:?}");
    let twice = store.create_release(&release, "twice").await;
    assert!(matches!(twice, Err(StoreError::Stale { .. })), "{twice:?}");
    let nowhere = store.own_build(&world.key(), "nobody", 1).await;
    let error = nowhere.unwrap_err().to_string();
    assert_eq!(
        error,
        "build nobody of BTCDecoded/bllvm/v0.1.0 is not in the table"
    );
    let other = ReleaseKey::new("BTCDecoded/bllvm/v7.0.0").unwrap();
    assert!(store.release(&other).await.unwrap().is_none());
    assert!(store.builds(&other).await.unwrap().is_empty());
    let nowhere = store.own_release(&other, 1).await;
    assert!(
        matches!(nowhere, Err(StoreError::Missing { .. })),
        "{nowhere:?}"
    );
    let history = history(&world, "release").await;
    assert_eq!(history.len(), 2, "{history:?}");
}

#[tokio::test]
async fn a_stale_write_of_a_release_changes_nothing() {
    let world = planned().await;
    let store = &world.stage.store;
    let read = world.release().await;
    let mut first = read.clone();
    first.status = ReleaseStatus::Publishing;
    first.lease = None;
    store.change_release(&read, &first, "first").await.unwrap();
    let mut second = read.clone();
    second.status = ReleaseStatus::Failed;
    let refused = store.change_release(&read, &second, "second").await;
    assert!(
        matches!(refused, Err(StoreError::Stale { .. })),
        "{refused:?}"
    );
    assert_eq!(world.release().await, first, "the lease is gone, not kept");
    let last = history(&world, "release").await.pop().unwrap();
    assert_eq!(last, ["building", "publishing", "first"]);
}

#[tokio::test]
async fn a_run_is_claimed_by_one_build_forever() {
    let world = planned().await;
    let store = &world.stage.store;
    let name = repository(SDK);
    assert_eq!(store.claim_of(&name, 7).await.unwrap(), None);
    let ours = claim(&world, SDK, "bc-1");
    for _ in 0..2 {
        assert_eq!(store.claim(&name, 7, &ours).await.unwrap(), Claimed::Ours);
    }
    for other in [claim(&world, "bllvm", "bc-1"), claim(&world, SDK, "bc-2")] {
        let refused = store.claim(&name, 7, &other).await.unwrap();
        assert_eq!(refused, Claimed::By(ours.clone()));
    }
    assert_eq!(store.claim_of(&name, 7).await.unwrap(), Some(ours));
    // The same number in another repository is another run.
    let theirs = claim(&world, "bllvm", "bc-3");
    let claimed = store.claim(&repository("bllvm"), 7, &theirs).await;
    assert_eq!(claimed.unwrap(), Claimed::Ours);

    let (one, two) = (claim(&world, SDK, "bc-4"), claim(&world, "bllvm", "bc-5"));
    let (a, b) = tokio::join!(store.claim(&name, 8, &one), store.claim(&name, 8, &two));
    match (a.unwrap(), b.unwrap()) {
        (Claimed::Ours, Claimed::By(winner)) => assert_eq!(winner, one),
        (Claimed::By(winner), Claimed::Ours) => assert_eq!(winner, two),
        both => panic!("{both:?}"),
    }
}

#[tokio::test]
async fn a_lock_has_one_holder_who_alone_releases_it() {
    let world = planned().await;
    let store = &world.stage.store;
    let name = repository(SDK);
    let ours = lock("BTCDecoded/bllvm/v0.1.0", "bc-1");
    let theirs = lock("BTCDecoded/bllvm/v0.2.0", "bc-2");
    assert!(store.take_lock(&name, None, &ours).await.unwrap());
    assert!(!store.take_lock(&name, None, &theirs).await.unwrap());
    assert!(
        !store
            .take_lock(&name, Some(&theirs), &theirs)
            .await
            .unwrap()
    );
    for stranger in ["bc-2", ""] {
        store.release_lock(&name, stranger).await.unwrap();
        store.orphan_lock(&name, stranger).await.unwrap();
        assert_eq!(store.lock(&name).await.unwrap(), Some(ours.clone()));
    }
    store.orphan_lock(&name, "bc-1").await.unwrap();
    let orphan = store.lock(&name).await.unwrap().unwrap();
    assert!(orphan.orphaned && orphan.nonce == "bc-1");

    // Of two that take over what they both read, one does.
    let third = lock("BTCDecoded/bllvm/v0.3.0", "bc-3");
    let (a, b) = tokio::join!(
        store.take_lock(&name, Some(&orphan), &theirs),
        store.take_lock(&name, Some(&orphan), &third),
    );
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "{a} {b}");
    let winner = if a { theirs } else { third };
    assert_eq!(store.lock(&name).await.unwrap(), Some(winner.clone()));
    store.release_lock(&name, "bc-1").await.unwrap();
    assert_eq!(store.lock(&name).await.unwrap(), Some(winner.clone()));
    store.release_lock(&name, &winner.nonce).await.unwrap();
    assert_eq!(store.lock(&name).await.unwrap(), None);
    store.release_lock(&name, &winner.nonce).await.unwrap();
}

#[tokio::test]
async fn the_last_one_waited_for_leaves_nothing_to_wait_for() {
    let world = planned().await;
    let store = &world.stage.store;
    let key = world.key();
    let before = world.build("bllvm-node").await;
    assert_eq!(before.waiting_on.len(), 2);
    for (green, left) in [
        ("bllvm-consensus", 1),
        ("bllvm-consensus", 1),
        ("bllvm-protocol", 0),
        ("bllvm-protocol", 0),
    ] {
        let told = store.stop_waiting_on(&key, "bllvm-node", green, 1).await;
        assert_eq!(told.unwrap().waiting_on.len(), left, "{green}");
    }
    let after = world.build("bllvm-node").await;
    assert_eq!(after.waiting_on, [].into());
    assert_eq!(after.seq, before.seq + 4, "each was a wake-up");
    assert_eq!(
        (after.status, after.attempt),
        (before.status, before.attempt)
    );
    // It can wait again.
    let changed = Build {
        waiting_on: before.waiting_on.clone(),
        ..after.clone()
    };
    store.change_build(&after, &changed, "again").await.unwrap();
    assert_eq!(
        world.build("bllvm-node").await.waiting_on,
        before.waiting_on
    );
}

#[tokio::test]
async fn a_wake_up_counts_and_a_token_that_is_gone_is_no_error() {
    let world = planned().await;
    let store = &world.stage.store;
    let key = world.key();
    let before = world
        .alter(SDK, |b| b.wait_token = Some("gone".into()))
        .await;
    store.wake(&key, SDK, false).await.unwrap();
    let woken = world.build(SDK).await;
    assert_eq!((woken.seq, woken.woken), (before.seq + 1, false));
    store.wake(&key, SDK, true).await.unwrap();
    let woken = world.build(SDK).await;
    assert_eq!((woken.seq, woken.woken), (before.seq + 2, true));
    assert_eq!(woken.status, before.status);
    store.complete_token("gone").await.unwrap();
    // A build that nobody planned is not made by a wake-up.
    store.wake(&key, "nobody", true).await.unwrap();
    assert!(store.build(&key, "nobody").await.unwrap().is_none());
}

#[tokio::test]
async fn a_generation_never_shrinks() {
    let world = planned().await;
    let mut later = world.build("bllvm-sdk").await;
    let before = later.clone();
    later.generation += 1;
    let store = &world.stage.store;
    store
        .change_build(&before, &later, "the test")
        .await
        .unwrap();
    let error = store.change_build(&later, &before, "the test").await;
    assert!(
        matches!(error, Err(StoreError::LeaseLost { .. })),
        "{error:?}"
    );
    assert_eq!(world.build("bllvm-sdk").await, later);
}

#[tokio::test]
async fn a_repository_s_claims_and_locks_are_the_same_in_any_case() {
    let world = planned().await;
    let store = &world.stage.store;
    let loud = commons_domain::names::RepoName::new("BTCDECODED/BLLVM-SDK").unwrap();
    let ours = claim(&world, "bllvm-sdk", "n");
    store
        .claim(&repository("bllvm-sdk"), 7, &ours)
        .await
        .unwrap();
    assert_eq!(store.claim_of(&loud, 7).await.unwrap(), Some(ours));
    let held = lock("BTCDecoded/bllvm/v0.1.0", "n");
    let taken = store.take_lock(&repository("bllvm-sdk"), None, &held).await;
    assert!(taken.unwrap());
    assert_eq!(store.lock(&loud).await.unwrap(), Some(held));
}
