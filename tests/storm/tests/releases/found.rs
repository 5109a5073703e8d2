//! What a storm has found, each played by itself.

use github_simulator::{Fault, FaultKind};
use storm::Status;
use storm::weather::StrikeKind;

use crate::mutants::{caught, plan, world};
use crate::{VERSION, bounded, driver, repositories};

const STARTS: &str = "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches";

/// A call of Dispatch stands still before it takes the lock; its retry dispatches, the run
/// is claimed and the lock freed. Then the first call takes it, finds that it is too late,
/// and must not leave it.
#[tokio::test]
async fn who_comes_to_the_lock_after_its_build_s_run_was_claimed_leaves_none() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        let kind = StrikeKind::Zombie(40.0);
        bug.strike = Some(("dispatch v1.0.0 a (1)", kind));
        bug.at = "PutItem";
    })
    .await;
    caught(&world, &[]).await;
    let log = world.skies.log();
    let at_the_lock = |fault: &String| fault.contains("PutItem");
    assert!(log.iter().any(at_the_lock), "{log:?}");
}

/// A call of Publish finds no draft and stands still before its turn to write; its retry
/// makes the draft and fills it. Then the first call goes on, and makes no second one.
#[tokio::test]
async fn who_stood_still_while_another_call_made_the_draft_makes_none() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        let kind = StrikeKind::Zombie(6.0);
        bug.strike = Some(("publish v1.0.0  (1)", kind));
        bug.at = "PutItem";
    })
    .await;
    caught(&world, &[]).await;
    let log = world.skies.log();
    let at_its_turn = |fault: &String| fault.contains("PutItem");
    assert!(log.iter().any(at_its_turn), "{log:?}");
}

/// Ten minutes after a `workflow_dispatch`, which says no time itself, its run has not
/// appeared: it is dispatched again, which is no second dispatch. The first run comes while
/// the second is built, and is cancelled.
#[tokio::test]
async fn a_run_that_comes_when_its_build_has_another_is_cancelled() {
    let mut plan = plan(&["v1.0.0"]);
    plan.components[0].by_tag = true;
    plan.components[0].run_seconds = 1800.0;
    let world = world(plan, |_| {}).await;
    world.driver.github.fault(Fault {
        method: "POST".into(),
        route: STARTS.into(),
        repo: Some("storm/a".into()),
        times: 1,
        kind: FaultKind::Deferred(204, Some(900.0)),
    });
    caught(&world, &[]).await;
    let runs = world.driver.github.runs("storm/a");
    let ended = runs.iter().map(|run| run.conclusion.as_deref());
    let ended: Vec<_> = ended.collect();
    assert_eq!(ended, [Some("success"), Some("cancelled")]);
}

/// The artifacts of what is required have expired when they are collected, so it is built
/// again; meanwhile an attempt of what requires it fails. The next one waits for an hour,
/// and asks nobody until then.
#[tokio::test]
async fn a_second_attempt_is_parked_while_what_it_requires_is_built_again() {
    let manifest = "[versions]\n\
        bllvm-consensus = { version = \"0.1.0\", artifacts = [\"*\"] }\n\
        bllvm = { version = \"0.1.0\", requires = [\"bllvm-consensus=0.1.0\"] }\n";
    let [required, requires] = ["BTCDecoded/bllvm-consensus", "BTCDecoded/bllvm"];
    let repositories = repositories(manifest);
    let script = |name: &str| {
        let found = repositories.iter().find(|r| r.name == name);
        found.expect("a repository").script.clone()
    };
    let (mut sound, mut fails_once) = (script(required), script(requires));
    sound.run_seconds = 3000.0;
    fails_once.run_seconds = 10.0;
    fails_once.conclusions = vec!["failure".into(), "success".into()];
    let mut expired = sound.clone();
    expired.artifacts.iter_mut().for_each(|a| a.expired = true);

    let driver = driver(repositories, true).await;
    driver.github.script(required, expired);
    driver.github.script(requires, fails_once);
    let execution = driver.release(VERSION);
    let has_begun = |driver: &storm::Driver| !driver.github.runs(required).is_empty();
    driver.run_until(has_begun).await.expect("a run");
    driver.github.script(required, sound);
    driver.run().await.expect("an end");

    assert_eq!(execution.progress().status, Status::Succeeded);
    assert_eq!(driver.github.runs(required).len(), 2, "built again");
    let [run] = &driver.github.runs(requires)[..] else {
        panic!("run again");
    };
    assert_eq!(run.run_attempt, 2);
    bounded(&driver, "what requires something that is built again");
    let longest = driver.figures().longest_child;
    assert!(longest < 200, "{longest} events");
}
