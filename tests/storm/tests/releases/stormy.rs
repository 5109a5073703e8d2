//! A storm as large as every push can bear.

use serde_json::json;
use storm::storm::plan::Plan;
use storm::storm::report::Report;
use storm::storm::run::{Size, here, plans, run};
use storm::storm::world::World;
use storm::storm::{local, odds};
use storm::{Execution, History};

/// Of every test run.
const SEED: u64 = 1;
const RELEASES: usize = 60;
const LOCAL: usize = 2;

#[test]
fn sixty_releases_in_a_storm_go_wrong_in_no_way_that_counts() {
    let size = Size {
        releases: RELEASES,
        seed: SEED,
        at_once: 2,
    };
    let mut found = Vec::new();
    let report = run(size, |done, report| {
        println!("{}", report.line());
        let played = done.played.as_ref().expect("a plan that is played");
        for finding in &played.findings {
            found.push(format!("seed {}: {finding}", done.plan.seed));
        }
    });
    let report = report.expect("a storm");
    assert!(report.is_clean(), "{found:#?}");
    assert_eq!(report.releases, RELEASES);
    assert!(report.faults_injected >= report.builds, "{}", report.line());
}

#[test]
fn releases_through_the_whole_local_cloud_go_wrong_in_no_way_that_counts() {
    let mut report = Report::default();
    let mut told = Vec::new();
    local::run(LOCAL, SEED, &mut report, |line| told.push(line.to_owned())).expect("a local cloud");
    println!("{}", report.line());
    assert!(report.is_clean(), "{told:#?}");
    assert_eq!(report.releases_local, LOCAL);
    assert!(report.faults_injected > 0, "{}", report.line());
}

/// The second time every fault happens again, and nothing else.
#[test]
fn a_plan_comes_to_the_same_again() {
    let plan = first_version(4);
    let [first, second] = [(), ()].map(|()| here(plan.clone()).expect("a plan"));
    assert_eq!(first.faults, second.faults);
    assert_eq!(first.trace, second.trace);
}

/// Of a plan's first version alone.
fn first_version(seed: u64) -> Plan {
    let plan = Plan::draw(seed, 4);
    let versions = plan.versions.iter().take(1).cloned().collect();
    Plan { versions, ..plan }
}

/// Step Functions ends it, whatever the state machine catches.
#[tokio::test]
async fn an_execution_that_outgrows_step_functions_is_found() {
    let world = World::begin(first_version(2)).await.expect("a world");
    let machine = &world.driver.machine;
    let input = |more: usize| json!({"version": "v9.0.0", "more": "x".repeat(more)});
    let [small, large] = [("small", 200_000), ("large", 270_000)].map(|(name, more)| {
        let started = machine.start(name, input(more));
        started.expect("a name of its own")
    });
    world.run().await.expect("an end");
    let error = |execution: &Execution| execution.progress().failure.map(|f| f.error);
    assert_eq!(error(&large).as_deref(), Some("States.DataLimitExceeded"));
    assert_ne!(error(&small).as_deref(), Some("States.DataLimitExceeded"));
    let findings = world.judged().await.expect("a judgement").findings;
    let [finding] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert!(finding.why.starts_with("large has "), "{finding}");
}

#[test]
fn no_history_is_longer_than_step_functions_keeps() {
    let mut history = History::default();
    for _ in 1..25_000 {
        history.event("WaitStateEntered");
    }
    assert_eq!(history.outgrown(), None);
    history.event("WaitStateEntered");
    assert!(history.outgrown().is_some());
}

#[test]
fn a_storm_is_drawn_from_its_seed() {
    let size = Size {
        releases: 50,
        seed: 3,
        at_once: 1,
    };
    let all = plans(size);
    assert_eq!(all, plans(size));
    let versions: usize = all.iter().map(|plan| plan.versions.len()).sum();
    assert_eq!(versions, 50);
    let sizes = all.iter().map(|plan| plan.components.len());
    assert!(sizes.clone().all(|size| (5..=30).contains(&size)));
    let text = serde_json::to_string(&all[0]).expect("JSON");
    let read: Plan = serde_json::from_str(&text).expect("a plan");
    assert_eq!(read, all[0]);
    // A plan is played again by its own seed.
    let again = Plan::draw(all[1].seed, all[1].versions.len());
    assert_eq!(again, all[1]);
}

#[test]
fn the_odds_are_those_of_the_table() {
    let mut dice = odds::dice(1, "some");
    let times = (0..20_000).filter(|_| odds::chance(&mut dice, odds::RESUMED));
    let percent = times.count() as f64 / 200.0;
    assert!((percent - odds::RESUMED.percent).abs() < 1.5, "{percent}");
    for odds in odds::ALL {
        assert!(odds::table().contains(odds.what), "{}", odds.what);
    }
}
