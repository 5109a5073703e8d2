//! A plan that goes wrong is made smaller, and goes wrong still.

use storm::storm::odds::{self, chance, dice};
use storm::storm::plan::Plan;
use storm::storm::shrink::shrink;
use storm::storm::world::Played;
use storm::weather::StrikeKind;
use storm_oracle::What;

use crate::mutants::world;

/// A small plan, one of whose releases is stopped by a person soon after it has begun, and
/// not started again.
fn stopped() -> Plan {
    let is_stopped = |plan: &Plan, version: &str| {
        let drawn = |what: &str| dice(plan.seed, &format!("{version} is {what}, 1"));
        let mut stops = drawn("stopped");
        let stopped = chance(&mut stops, odds::ABORTED) && stops.f64() < 0.2;
        stopped && !chance(&mut drawn("started again"), odds::RESUMED)
    };
    let is_right = |plan: &Plan| {
        let mut versions = plan.versions.iter();
        plan.components.len() <= 6 && versions.any(|version| is_stopped(plan, &version.name))
    };
    let mut plans = (1..).map(|seed| Plan::draw(seed, 1));
    plans.find(is_right).expect("one of many")
}

/// Plays a plan where Settle always dies: whatever fails or is stopped has no end.
fn where_nobody_settles(plan: Plan) -> Result<Played, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let world = world(plan, |bug| {
            bug.strike = Some(("settle", StrikeKind::DieBefore));
        })
        .await;
        world.run().await.expect("an end");
        world.judged().await
    })
}

#[test]
fn of_what_goes_wrong_is_left_what_it_takes() {
    let plan = stopped();
    let played = where_nobody_settles(plan.clone()).expect("a plan that is played");
    let is_stuck = |played: &Played| played.findings.iter().any(|f| f.what == What::Stuck);
    assert!(is_stuck(&played), "{:?}", played.findings);
    let mut sizes = Vec::new();
    let smallest = shrink(&plan, &played, where_nobody_settles, |smaller| {
        let faults = smaller.only.as_ref().map_or(0, |only| only.len());
        sizes.push((smaller.components.len(), faults));
    });
    assert!(smallest.components.len() <= 2, "{sizes:?}");
    let left = smallest.only.clone().unwrap_or_default();
    assert!(left.len() <= 2, "of {}: {left:?}", played.drawn.len());
    // As it is read again from where it was written.
    let text = serde_json::to_string(&smallest).expect("JSON");
    let read: Plan = serde_json::from_str(&text).expect("a plan");
    let again = where_nobody_settles(read).expect("a plan that is played");
    assert!(is_stuck(&again), "{:?}", again.faults);
}
