//! The door.

use std::sync::Arc;

use commons_webhook::SigningSecrets;
use github_simulator::signature;
use integration::matrix::{Meanwhile, Place, Scenario, Step};
use integration::{RELEASE_REPOSITORY, WEBHOOK_SECRET};
use serde_json::{Value, json};

use super::{SDK, all, before, dispatched, empty, endless, parked, planned, polled};

const WEBHOOK: &[Scenario] = &[
    Scenario {
        name: "a tag that starts a release",
        before: || {
            before(async {
                let mut place = empty().await;
                let machine = place.world.waiting_machine().await;
                place.on_machine(machine);
                let tag = json!({
                    "ref": "v0.1.0",
                    "ref_type": "tag",
                    "repository": {"full_name": RELEASE_REPOSITORY},
                });
                deliver(place, "create", tag).await
            })
        },
        meanwhile: Meanwhile::Again,
    },
    Scenario {
        name: "a run that wakes its build",
        before: || {
            before(async {
                let place = planned().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                polled(&place, SDK).await;
                parked(&place, SDK).await;
                let run = place.world.runs(SDK)[0].id;
                deliver(place, "workflow_run", run_event(run)).await
            })
        },
        meanwhile: Meanwhile::Again,
    },
    Scenario {
        name: "a run that wakes who holds the lock",
        before: || {
            before(async {
                let place = planned().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                parked(&place, SDK).await;
                let run = place.world.runs(SDK)[0].id;
                deliver(place, "workflow_run", run_event(run)).await
            })
        },
        meanwhile: Meanwhile::Again,
    },
];

fn run_event(run: u64) -> Value {
    json!({
        "action": "completed",
        "workflow_run": {"id": run},
        "repository": {"full_name": "BTCDecoded/bllvm-sdk"},
    })
}

/// A delivery at the door, as an HTTP API hands it over.
async fn deliver(place: Place, event: &str, payload: Value) -> (Place, Step) {
    let secrets = aws_sdk_secretsmanager::Client::new(&place.world.aws);
    let created = secrets
        .create_secret()
        .name("signing")
        .secret_string(WEBHOOK_SECRET);
    created.send().await.unwrap();
    let secrets = SigningSecrets::read(place.world.aws.clone(), "signing".into()).await;
    let body = payload.to_string();
    let request = json!({
        "version": "2.0",
        "rawPath": "/webhook",
        "headers": {
            "x-github-event": event,
            "x-github-delivery": "d-1",
            "x-hub-signature-256": signature(WEBHOOK_SECRET, body.as_bytes()),
        },
        "requestContext": {"http": {"method": "POST", "path": "/webhook"}},
        "body": body,
        "isBase64Encoded": false,
    });
    let secrets = Arc::new(secrets.unwrap());
    (place, Step::Deliver { request, secrets })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_is_disturbed_at_any_call_does_the_same() {
    all("Webhook", WEBHOOK).await;
}
