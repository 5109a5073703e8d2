//! Dispatch: a build starts once, when everything that it requires is green.

use commons_dispatch::Next;
use commons_domain::build::{BuildStatus, MatchedBy};
use commons_domain::lock::Lock;
use commons_domain::names::ReleaseKey;
use commons_runtime::StageError;
use github_simulator::FaultKind;
use integration::{MANIFEST, StageWorld, repository};
use jiff::Timestamp;
use std::time::Duration;

const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";

fn posts(world: &StageWorld) -> u64 {
    let calls = world.github.calls();
    calls
        .get(&format!("POST {DISPATCHES}"))
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn what_is_not_ready_waits_for_what_is_not_green() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&["bllvm-consensus"]).await;
    // A wake-up that was lost, and a dependency that nobody put into the set.
    world
        .alter("bllvm-node", |b| {
            b.waiting_on = ["bllvm-consensus".to_owned()].into();
        })
        .await;
    let answer = world.dispatch("bllvm-node").await.unwrap();
    assert_eq!(answer.next, Next::AwaitDependencies);
    let node = world.build("bllvm-node").await;
    assert_eq!(node.status, BuildStatus::Pending);
    assert_eq!(node.waiting_on, ["bllvm-protocol".to_owned()].into());
    assert_eq!((node.attempt, node.nonce), (0, None));
    assert_eq!(posts(&world), 0);
    let lock = world.stage.store.lock(&repository("bllvm-node")).await;
    assert_eq!(lock.unwrap(), None);
}

#[tokio::test]
async fn a_ready_build_is_dispatched_exactly_once() {
    let world = StageWorld::start().await;
    world.planned().await;
    let before = world.build("bllvm-consensus").await;
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);

    let runs = world.runs("bllvm-consensus");
    assert_eq!(runs.len(), 1);
    let build = world.build("bllvm-consensus").await;
    assert_eq!((build.status, build.attempt), (BuildStatus::Dispatched, 1));
    assert_eq!(build.nonce, Some(before.next_nonce()));
    let payload = &runs[0].client_payload;
    assert_eq!(payload["nonce"], build.nonce.clone().unwrap());
    assert_eq!(payload["release"], world.key().as_str());
    assert_eq!(payload["component"], "bllvm-consensus");
    assert_eq!(payload["version"], "v0.1.0");
    assert_eq!(payload["pin"], before.pin);
    assert_eq!(payload["pins"].as_object().unwrap().len(), 6);
    assert!(payload.as_object().unwrap().len() <= 10, "GitHub's limit");
    assert_eq!(runs[0].head_sha, before.pin);
    // The intent was written before GitHub was told.
    assert!(build.dispatched_at.unwrap() <= runs[0].dispatched_at);
    assert!(build.baseline.unwrap() <= runs[0].created_at);
    let events = world.events().await;
    let of_build: Vec<&str> = events
        .iter()
        .filter(|event| event["what"] == "bllvm-consensus")
        .map(|event| event["to"].as_str().unwrap())
        .collect();
    assert_eq!(of_build, ["pending", "dispatching", "dispatched"]);
    // Until the run is claimed nobody else dispatches to this repository.
    let lock = world.stage.store.lock(&build.repository).await.unwrap();
    assert_eq!(lock.map(|lock| lock.nonce), build.nonce);

    let again = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(again.next, Next::AwaitRun);
    assert_eq!(world.build("bllvm-consensus").await, build);
    assert_eq!((world.runs("bllvm-consensus").len(), posts(&world)), (1, 1));
}

#[tokio::test]
async fn two_calls_at_once_dispatch_once() {
    let world = StageWorld::start().await;
    world.planned().await;
    let (one, two) = tokio::join!(
        world.dispatch("bllvm-consensus"),
        world.dispatch("bllvm-consensus")
    );
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    for answer in [one, two] {
        match answer {
            Ok(answer) => assert!(matches!(answer.next, Next::AwaitRun | Next::Busy)),
            // Somebody was faster: tried again by the state machine.
            Err(error) => assert!(matches!(error, StageError::Unavailable(_)), "{error:?}"),
        }
    }
    assert_eq!((world.runs("bllvm-consensus").len(), posts(&world)), (1, 1));
    let again = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(again.next, Next::AwaitRun);
    assert_eq!(world.runs("bllvm-consensus").len(), 1);
}

#[tokio::test]
async fn a_lock_of_another_release_is_waited_for() {
    let world = StageWorld::start().await;
    world.planned().await;
    let name = repository("bllvm-consensus");
    let theirs = Lock {
        release: ReleaseKey::new("BTCDecoded/bllvm/v9.0.0").unwrap(),
        component: "bllvm-consensus".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: Timestamp::now(),
        orphaned: false,
    };
    let store = &world.stage.store;
    assert!(store.take_lock(&name, None, &theirs).await.unwrap());
    let before = world.build("bllvm-consensus").await;
    let mut holder = before.clone();
    holder.release = theirs.release.clone();
    holder.status = BuildStatus::Dispatched;
    holder.nonce = Some(theirs.nonce.clone());
    store.create_build(&holder, "the test").await.unwrap();
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    assert!(answer.wait_seconds >= 1);
    assert_eq!(world.build("bllvm-consensus").await, before, "not counted");
    assert_eq!(store.lock(&name).await.unwrap(), Some(theirs.clone()));
    assert_eq!(posts(&world), 0);

    store.release_lock(&name, &theirs.nonce).await.unwrap();
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
}

#[tokio::test]
async fn a_moved_head_names_both_commits_and_dispatches_nothing() {
    let world = StageWorld::start().await;
    world.planned().await;
    let pin = world.build("bllvm-consensus").await.pin;
    let head = world.github.push_commit("BTCDecoded/bllvm-consensus");
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    let build = world.build("bllvm-consensus").await;
    assert_eq!(build.status, BuildStatus::Failure);
    let error = build.error.unwrap();
    assert!(error.starts_with("PinMoved"), "{error}");
    assert!(error.contains(&pin) && error.contains(&head), "{error}");
    assert_eq!(posts(&world), 0);
    let lock = world.stage.store.lock(&build.repository).await;
    assert_eq!(lock.unwrap(), None, "the lock is free");
    for dependent in ["bllvm-protocol", "bllvm-node", "bllvm"] {
        let blocked = world.build(dependent).await;
        assert_eq!(blocked.status, BuildStatus::Blocked, "{dependent}");
        assert!(blocked.error.unwrap().contains("bllvm-consensus"));
    }
    assert_eq!(world.build("bllvm-sdk").await.status, BuildStatus::Pending);
    let dependent = world.dispatch("bllvm-protocol").await.unwrap();
    assert_eq!(dependent.next, Next::Over);
}

#[tokio::test]
async fn a_lost_answer_is_not_dispatched_again() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.script("bllvm-consensus", |s| s.run_seconds = 1e6);
    world.fault("POST", DISPATCHES, FaultKind::LostAnswer);
    for _ in 0..2 {
        let answer = world.dispatch("bllvm-consensus").await.unwrap();
        assert_eq!(answer.next, Next::AwaitRun);
        let build = world.build("bllvm-consensus").await;
        assert_eq!(build.status, BuildStatus::Dispatching, "it is not known");
    }
    world
        .polled("bllvm-consensus", commons_poll::Next::Normal)
        .await;
    let build = world.build("bllvm-consensus").await;
    assert_eq!(build.status, BuildStatus::InProgress);
    assert_eq!(build.matched_by, Some(MatchedBy::Nonce));
    let runs = world.runs("bllvm-consensus");
    assert_eq!((runs.len(), posts(&world)), (1, 1));
    assert_eq!(build.workflow_run_id, Some(runs[0].id));
    for words in [
        "whether it was done is not known: ",
        &format!("claimed run {}, known by its nonce", runs[0].id),
    ] {
        assert_eq!(world.times_told("bllvm-consensus", words).await, 1);
    }
}

#[tokio::test]
async fn what_github_did_not_take_is_sent_again_as_another_attempt() {
    let world = StageWorld::start().await;
    world.planned().await;
    let limited = vec![("retry-after".to_owned(), "1".to_owned())];
    world.fault("POST", DISPATCHES, FaultKind::Status(429, Some(limited)));
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    let waiting = world.build("bllvm-consensus").await;
    assert_eq!(waiting.status, BuildStatus::Retrying);
    assert_eq!(
        (waiting.retry_count, waiting.error),
        (0, None),
        "not its fault"
    );
    assert!(world.runs("bllvm-consensus").is_empty());
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
    assert_ne!(world.build("bllvm-consensus").await.nonce, waiting.nonce);
    assert_eq!(world.runs("bllvm-consensus").len(), 1);
}

#[tokio::test]
async fn what_github_refuses_ends_the_build_with_its_words() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.fault("POST", DISPATCHES, FaultKind::Status(403, None));
    let answer = world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::Failure);
    assert!(build.error.unwrap().contains("Simulated fault"));
    assert_eq!(
        world.build("bllvm-commons").await.status,
        BuildStatus::Blocked
    );
    let lock = world.stage.store.lock(&build.repository).await;
    assert_eq!(lock.unwrap(), None);
}

#[tokio::test]
async fn an_old_generation_loses_and_changes_nothing() {
    let world = StageWorld::start().await;
    let old = world.planned().await;
    assert_eq!(world.planned().await, old + 1);
    let before = world.build("bllvm-consensus").await;
    let error = world.dispatch_as("bllvm-consensus", old).await.unwrap_err();
    assert!(matches!(error, StageError::LeaseLost(_)), "{error:?}");
    assert_eq!(world.build("bllvm-consensus").await, before);
    assert_eq!(posts(&world), 0);
}

#[tokio::test]
async fn an_owner_that_lost_the_release_only_writes_nothing_to_github() {
    let world = StageWorld::start().await;
    world.planned().await;
    // The new owner has the release, but has not come to this build yet.
    let before = world.release().await;
    let mut taken = before.clone();
    taken.generation += 1;
    let store = &world.stage.store;
    store
        .change_release(&before, &taken, "a new owner")
        .await
        .unwrap();
    let error = world
        .dispatch_as("bllvm-consensus", before.generation)
        .await
        .unwrap_err();
    assert!(matches!(error, StageError::LeaseLost(_)), "{error:?}");
    let build = world.build("bllvm-consensus").await;
    assert_eq!((build.status, build.attempt), (BuildStatus::Pending, 0));
    assert_eq!(posts(&world), 0);
}

#[tokio::test]
async fn a_tag_s_build_gets_its_run_s_id_with_the_dispatch() {
    let manifest = MANIFEST.replace(
        "bllvm-sdk = { version",
        "bllvm-sdk = { trigger = \"workflow_dispatch\", workflow = \"build.yml\", version",
    );
    let world = StageWorld::with_manifest(&manifest).await;
    world.planned().await;
    let planned = world.build("bllvm-sdk").await;
    assert_eq!(planned.git_ref, "v0.1.0");
    let answer = world.dispatch("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
    let runs = world.runs("bllvm-sdk");
    assert_eq!(
        (runs.len(), runs[0].event.as_str()),
        (1, "workflow_dispatch")
    );
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.workflow_run_id, Some(runs[0].id));
    assert_eq!(build.matched_by, Some(MatchedBy::ReturnedId));
    assert_eq!(runs[0].client_payload["nonce"], build.nonce.unwrap());
    let lock = world.stage.store.lock(&build.repository).await;
    assert_eq!(lock.unwrap(), None, "its run is known");
    let claim = world
        .stage
        .store
        .claim_of(&build.repository, runs[0].id)
        .await;
    assert_eq!(claim.unwrap().unwrap().component, "bllvm-sdk");
}

#[tokio::test]
async fn a_lock_left_by_a_call_that_died_before_its_intent_is_taken_again() {
    let world = StageWorld::start().await;
    world.planned().await;
    let name = repository("bllvm-consensus");
    let left = Lock {
        release: world.key(),
        component: "bllvm-consensus".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: Timestamp::now(),
        orphaned: false,
    };
    let store = &world.stage.store;
    assert!(store.take_lock(&name, None, &left).await.unwrap());
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
    assert_eq!(world.runs("bllvm-consensus").len(), 1);
    let nonce = world.build("bllvm-consensus").await.nonce;
    let lock = store.lock(&name).await.unwrap();
    assert_eq!(lock.map(|lock| lock.nonce), nonce);
}

#[tokio::test]
async fn a_lock_that_another_release_never_acted_with_blocks_nobody_for_long() {
    let world = StageWorld::start().await;
    world.planned().await;
    let name = repository("bllvm-consensus");
    let left = Lock {
        release: ReleaseKey::new("BTCDecoded/bllvm/v9.0.0").unwrap(),
        component: "bllvm-consensus".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: Timestamp::now() + Duration::from_millis(500),
        orphaned: false,
    };
    let store = &world.stage.store;
    assert!(store.take_lock(&name, None, &left).await.unwrap());
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
}

#[tokio::test]
async fn an_orphaned_lock_is_waited_for_until_its_run_cannot_come() {
    let world = StageWorld::start().await;
    world.planned().await;
    let name = repository("bllvm-consensus");
    let mut orphan = Lock {
        release: ReleaseKey::new("BTCDecoded/bllvm/v9.0.0").unwrap(),
        component: "bllvm-consensus".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: Timestamp::now(),
        orphaned: true,
    };
    let store = &world.stage.store;
    assert!(store.take_lock(&name, None, &orphan).await.unwrap());
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    let before = orphan.clone();
    orphan.post_deadline -= Duration::from_secs(600);
    let taken = store.take_lock(&name, Some(&before), &orphan).await;
    assert!(taken.unwrap());
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::AwaitRun);
    let words = "the lock that bllvm-consensus of BTCDecoded/bllvm/v9.0.0 had left \
        with bc-fedcba9876543210 is taken over";
    assert_eq!(world.times_told("bllvm-consensus", words).await, 1);
}

#[tokio::test]
async fn the_next_attempt_waits_for_its_time() {
    let world = StageWorld::start().await;
    world.planned().await;
    let before = world
        .alter("bllvm-consensus", |b| {
            b.status = BuildStatus::Retrying;
            b.retry_at = Some(Timestamp::now() + Duration::from_secs(60));
        })
        .await;
    let answer = world.dispatch("bllvm-consensus").await.unwrap();
    assert_eq!(answer.next, Next::Busy);
    assert!((58..=60).contains(&answer.wait_seconds), "{answer:?}");
    assert_eq!(world.build("bllvm-consensus").await, before);
}

#[tokio::test]
async fn what_requires_a_build_whose_child_died_is_over() {
    let world = StageWorld::start().await;
    world.planned().await;
    world
        .alter("bllvm-consensus", |b| b.error = Some("it died".into()))
        .await;
    let answer = world.dispatch("bllvm-protocol").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    let blocked = world.build("bllvm-protocol").await;
    assert_eq!(blocked.status, BuildStatus::Blocked);
    assert!(blocked.error.unwrap().contains("bllvm-consensus"));
}
