//! What a storm has found, each played by itself.

use github_simulator::{Fault, FaultKind};
use storm::weather::StrikeKind;

use crate::mutants::{caught, plan, world};

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
