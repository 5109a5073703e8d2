//! Runs over a clock that is handed in.

use serde_json::json;

use super::*;
use crate::input::{Artifact, Script, Workflow};
use crate::model::repo::Registered;

const START: Timestamp = Timestamp::UNIX_EPOCH;

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn run(conclusions: &[&str]) -> Run {
    let script = Script {
        queue_seconds: 10.0,
        run_seconds: 60.0,
        conclusions: conclusions.iter().map(|c| c.to_string()).collect(),
        artifacts: vec![Artifact::default()],
        ..Script::default()
    };
    let origin = Origin {
        repository: "octo-org/octo-repo".into(),
        event: "repository_dispatch",
        actor: "bot".into(),
        head_branch: "main".into(),
        head_sha: "0".repeat(40),
        display_title: "build-chain".into(),
        payload: json!({}),
    };
    let workflow = Registered {
        id: 1,
        spec: Workflow::default(),
    };
    Run::new(
        1,
        1,
        &workflow,
        origin,
        Arc::new(Prepared::new(script)),
        1.0,
        START,
    )
}

fn steps(run: &mut Run, now: Timestamp) -> Vec<&'static str> {
    let mut id = 100;
    let mut next_id = || {
        id -= 1;
        id
    };
    std::iter::from_fn(|| run.step(now, &mut next_id)).collect()
}

#[test]
fn a_run_goes_through_its_states_in_time() {
    let mut run = run(&["success"]);
    assert_eq!(steps(&mut run, at(9)), [""; 0]);
    assert_eq!(run.status(), "queued");
    assert_eq!(steps(&mut run, at(10)), ["in_progress"]);
    assert_eq!((run.status(), run.conclusion()), ("in_progress", None));
    assert_eq!(run.due(), Some(at(70)));
    assert_eq!(steps(&mut run, at(500)), ["completed"]);
    assert_eq!(
        (run.conclusion(), run.artifacts.len()),
        (Some("success"), 1)
    );
    assert_eq!(run.updated_at, at(70));
}

#[test]
fn a_rerun_keeps_the_id_and_adds_a_newer_artifact() {
    let mut run = run(&["success"]);
    assert_eq!(run.rerun("bot", false, 1.0, at(5)).unwrap_err().status, 403);
    steps(&mut run, at(70));
    assert_eq!(run.rerun("bot", true, 1.0, at(70)).unwrap_err().status, 403);
    run.rerun("bot", false, 1000.0, at(70)).unwrap();
    assert_eq!((run.status(), run.latest().number), ("queued", 2));
    assert_eq!(steps(&mut run, at(71)), ["in_progress", "completed"]);
    let seconds: Vec<_> = run
        .artifacts
        .iter()
        .map(|a| a.created_at.as_second())
        .collect();
    assert_eq!(seconds, [70, 71]);
}

#[test]
fn a_queued_run_is_cancelled_without_starting() {
    let mut run = run(&["success"]);
    run.cancel(false, 1.0, at(3)).unwrap();
    assert_eq!(steps(&mut run, at(3)), ["completed"]);
    assert_eq!(
        (run.conclusion(), run.artifacts.len()),
        (Some("cancelled"), 0)
    );
    assert_eq!(run.cancel(true, 1.0, at(4)).unwrap_err().status, 409);
}

#[test]
fn a_running_one_takes_a_moment_to_cancel() {
    let mut run = run(&["success"]);
    steps(&mut run, at(20));
    run.cancel(false, 1.0, at(20)).unwrap();
    assert_eq!(steps(&mut run, at(21)), [""; 0]);
    assert_eq!(steps(&mut run, at(22)), ["completed"]);
}
