//! Settle and the sweeper.

use commons_domain::build::{Build, BuildStatus};
use github_simulator::FaultKind;
use integration::matrix::{Meanwhile, Place, Scenario, Step};
use serde_json::json;

use super::{
    COMMONS, SDK, all, before, dispatched, done, empty, endless, failed, parked, planned, sweep,
};

const SETTLE: &[Scenario] = &[
    Scenario {
        name: "a release that failed",
        before: || {
            before(async {
                let place = planned().await;
                let failed_build = |b: &mut Build| {
                    b.status = BuildStatus::Failure;
                };
                place.world.alter(SDK, failed_build).await;
                parked(&place, COMMONS).await;
                let step = failed(&place, "planned");
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "an aborted release whose runs go on",
        before: || {
            before(async {
                let place = planned().await;
                in_flight(&place).await;
                let step = Step::Settle(json!({"detail": {
                    "executionArn": place.world.execution("planned"),
                    "status": "ABORTED",
                    "input": "{\"version\": \"v0.1.0\"}",
                    "cause": "a person stopped it",
                }}));
                (place, step)
            })
        },
        meanwhile: Meanwhile::Plan,
    },
    Scenario {
        name: "a child that died",
        before: || {
            before(async {
                let place = planned().await;
                parked(&place, COMMONS).await;
                let step = Step::Settle(json!({
                    "kind": "build",
                    "release": place.world.key(),
                    "component": SDK,
                    "generation": 1,
                    "error": {"Error": "States.TaskFailed", "Cause": "it died"},
                }));
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a sweep that finds an aborted release",
        before: || {
            before(async {
                let (place, execution) = on_machine().await;
                in_flight(&place).await;
                place.world.abort(&execution).await;
                (place, sweep())
            })
        },
        meanwhile: Meanwhile::Again,
    },
    Scenario {
        name: "a sweep that finds a dead child",
        before: || {
            before(async {
                let (place, _) = on_machine().await;
                parked(&place, COMMONS).await;
                let gone = Some(place.world.execution("gone"));
                place.world.alter(SDK, |b| b.child = gone).await;
                (place, sweep())
            })
        },
        meanwhile: Meanwhile::Again,
    },
    Scenario {
        name: "a sweep that finds a run which came after the end",
        before: || {
            before(async {
                let (place, execution) = on_machine().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                place.world.abort(&execution).await;
                let unseen = "/repos/{owner}/{repo}/actions/runs";
                place
                    .world
                    .faults("GET", unseen, FaultKind::Status(404, None), 1);
                done(&place, sweep()).await;
                (place, sweep())
            })
        },
        meanwhile: Meanwhile::Again,
    },
];

/// One run is claimed, of the other nobody knows.
async fn in_flight(place: &Place) {
    for component in [SDK, COMMONS] {
        endless(place, component);
    }
    place.world.alter(COMMONS, |b| b.requires.clear()).await;
    dispatched(place, SDK).await;
    dispatched(place, COMMONS).await;
}

/// Both builds are planned by an execution that runs; its ARN.
async fn on_machine() -> (Place, String) {
    let mut place = empty().await;
    let machine = place.world.waiting_machine().await;
    place.on_machine(machine.clone());
    let execution = place.world.execute(&machine).await;
    place.world.plan_as(&execution).await.unwrap();
    (place, execution)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_disturbed_at_any_call_is_the_same_end() {
    all("Settle", SETTLE).await;
}
