//! Webhooks, at a receiver that remembers them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::{Router, routing::post};
use github_simulator::{WebhookFault, WebhookFaultKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{REPO, World};

type Received = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Receives at the returned address, always with 202.
async fn receiver() -> (String, Received) {
    let received = Received::default();
    let memory = Arc::clone(&received);
    let receive = move |headers: HeaderMap, body: Bytes| async move {
        memory.lock().unwrap().push((headers, body));
        axum::http::StatusCode::ACCEPTED
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhook", listener.local_addr().unwrap());
    let router = Router::new().route("/webhook", post(receive));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, received)
}

async fn wait_for(received: &Received, count: usize) -> Vec<(String, Value)> {
    for _ in 0..300 {
        if received.lock().unwrap().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let received = received.lock().unwrap();
    let event = |headers: &HeaderMap| headers["x-github-event"].to_str().unwrap().to_string();
    received
        .iter()
        .map(|(h, body)| (event(h), serde_json::from_slice(body).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_run_is_told_as_it_goes() {
    let world = World::start().await;
    let (url, received) = receiver().await;
    world.simulator.set_webhook(&url, "secret");
    let run = world.dispatch(json!({ "nonce": "n" })).await;
    let told = wait_for(&received, 3).await;
    let actions: Vec<_> = told.iter().map(|(_, payload)| &payload["action"]).collect();
    assert_eq!(
        json!(actions),
        json!(["requested", "in_progress", "completed"])
    );
    for (event, payload) in &told {
        assert_eq!(event, "workflow_run");
        assert_eq!(payload["workflow_run"]["id"], run.id);
        assert_eq!(payload["repository"]["full_name"], REPO);
    }
    assert_eq!(told[1].1["workflow_run"]["status"], "in_progress");
    assert_eq!(told[2].1["workflow_run"]["conclusion"], "success");

    // A re-run is not requested.
    world
        .post(&format!("/actions/runs/{}/rerun", run.id), json!({}))
        .await;
    let told = wait_for(&received, 5).await;
    assert_eq!(
        (told.len(), &told[3].1["action"]),
        (5, &json!("in_progress"))
    );
}

#[tokio::test]
async fn webhooks_are_signed_and_answered() {
    let world = World::start().await;
    assert!(
        world
            .simulator
            .send_webhook("ping", json!({}))
            .await
            .is_err()
    );
    let (url, received) = receiver().await;
    world.simulator.set_webhook(&url, "secret");
    assert_eq!(
        world
            .simulator
            .send_webhook("ping", json!({ "zen": "…" }))
            .await
            .unwrap(),
        202
    );
    let (headers, body) = received.lock().unwrap().pop().unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(&body);
    let expected = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(headers["x-hub-signature-256"], expected);
    assert_eq!(headers["x-github-delivery"].len(), 36);
}

#[tokio::test]
async fn tags_and_releases_are_told() {
    let world = World::start().await;
    let (url, received) = receiver().await;
    world.simulator.set_webhook(&url, "secret");
    world.simulator.create_tag(REPO, "v1");
    let told = wait_for(&received, 1).await;
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["ref"]),
        ("create", &json!("v1"))
    );
    assert_eq!(told[0].1["ref_type"], "tag");

    world
        .post("/releases", json!({ "tag_name": "v2", "draft": true }))
        .await;
    world.post("/releases", json!({ "tag_name": "v3" })).await;
    let mut told = wait_for(&received, 3).await.split_off(1);
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["ref"]),
        ("create", &json!("v3"))
    );
    assert_eq!(
        (told[1].0.as_str(), &told[1].1["action"]),
        ("release", &json!("published"))
    );
    assert_eq!(told[1].1["release"]["tag_name"], "v3");
}

#[tokio::test]
async fn webhooks_are_lost_late_and_doubled() {
    let world = World::start().await;
    let (url, received) = receiver().await;
    world.simulator.set_webhook(&url, "secret");
    for kind in [
        WebhookFaultKind::Lost,
        WebhookFaultKind::Late(0.2),
        WebhookFaultKind::Doubled,
    ] {
        world.simulator.webhook_fault(WebhookFault {
            event: "create".into(),
            repo: Some(REPO.into()),
            times: 1,
            kind,
        });
    }
    for tag in ["v1", "v2", "v3", "v4"] {
        world.simulator.create_tag(REPO, tag);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = wait_for(&received, 4).await;
    let tags: Vec<&Value> = told.iter().map(|(_, payload)| &payload["ref"]).collect();
    assert_eq!(json!(tags), json!(["v3", "v3", "v4", "v2"]));
    let received = received.lock().unwrap();
    let delivery = |n: usize| &received[n].0["x-github-delivery"];
    assert_eq!(delivery(0), delivery(1), "the same one again");
    assert_ne!(delivery(1), delivery(2));
}
