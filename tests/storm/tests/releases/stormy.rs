//! A small storm.

use storm::storm::plan::Plan;
use storm::storm::run::here;

#[test]
fn a_plan_is_played() {
    let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let began = std::time::Instant::now();
    let plan = Plan::draw(seed, 4);
    println!("{} builds, {} versions", plan.builds(), plan.versions.len());
    let played = here(plan).unwrap();
    for fault in &played.faults {
        println!("{fault}");
    }
    for finding in &played.findings {
        println!("{finding}");
    }
    println!(
        "{:?} {} published, trace {:x}, {:?}",
        played.virtual_time,
        played.published,
        played.trace,
        began.elapsed()
    );
    assert_eq!(played.findings, []);
}
