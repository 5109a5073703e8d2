//! What goes wrong on purpose.

use std::time::Duration;

use github_simulator::{Fault, FaultKind};
use serde_json::json;

use crate::{REPO, World};

impl World {
    fn break_dispatches(&self, kind: FaultKind) {
        self.simulator.fault(Fault {
            method: "POST".into(),
            route: "/repos/{owner}/{repo}/dispatches".into(),
            repo: Some(REPO.into()),
            times: 1,
            kind,
        });
    }

    fn dispatching(&self) -> reqwest::RequestBuilder {
        let body = json!({ "event_type": "build-chain" });
        self.call(reqwest::Method::POST, "/dispatches").json(&body)
    }
}

#[tokio::test]
async fn a_status_has_no_effect_and_passes() {
    let world = World::start().await;
    let headers = vec![("retry-after".to_string(), "7".to_string())];
    world.break_dispatches(FaultKind::Status(429, Some(headers)));
    let refused = world.dispatching().send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert!(world.simulator.runs(REPO).is_empty());
    assert_eq!(world.dispatching().send().await.unwrap().status(), 204);
    assert_eq!(
        world.simulator.calls()["POST /repos/{owner}/{repo}/dispatches"],
        2
    );
}

#[tokio::test]
async fn a_lost_answer_was_a_success() {
    let world = World::start().await;
    world.break_dispatches(FaultKind::LostAnswer);
    let error = world.dispatching().send().await.unwrap_err();
    assert!(error.is_request() && !error.is_connect(), "{error:?}");
    assert_eq!(world.simulator.runs(REPO).len(), 1);
    assert_eq!(world.simulator.requests()[0].status, 0);
}

#[tokio::test]
async fn a_delayed_call_is_carried_out_after_the_caller_has_gone() {
    let world = World::start().await;
    world.break_dispatches(FaultKind::Delay(0.2));
    let error = world
        .dispatching()
        .timeout(Duration::from_millis(50))
        .send()
        .await
        .unwrap_err();
    assert!(error.is_timeout());
    assert!(world.simulator.runs(REPO).is_empty());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.simulator.runs(REPO).len(), 1);
}

#[tokio::test]
async fn a_broken_upload_leaves_a_starter() {
    let world = World::start().await;
    world.simulator.fault(Fault {
        method: "POST".into(),
        route: "/repos/{owner}/{repo}/releases/{release_id}/assets".into(),
        repo: None,
        times: 1,
        kind: FaultKind::StarterAsset,
    });
    let draft = world
        .post("/releases", json!({ "tag_name": "v1", "draft": true }))
        .await;
    let draft: serde_json::Value = draft.json().await.unwrap();
    let url = draft["upload_url"]
        .as_str()
        .unwrap()
        .replace("{?name,label}", "?name=a");
    let call = world.client.post(url).bearer_auth("simulated-token");
    let answer = call
        .header("content-type", "text/plain")
        .body("content")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 502);
    let asset = &world.simulator.releases(REPO)[0].assets[0];
    assert_eq!(
        (asset.state.as_str(), asset.size, &asset.digest),
        ("starter", 0, &None)
    );
}
