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
async fn an_accepted_dispatch_runs_later_or_never() {
    let world = World::start().await;
    world.break_dispatches(FaultKind::Deferred(204, None));
    world.break_dispatches(FaultKind::Deferred(204, Some(0.2)));
    for _ in 0..2 {
        let answer = world.dispatching().send().await.unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    assert!(world.simulator.runs(REPO).is_empty());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.simulator.runs(REPO).len(), 1, "the second one's");
}

#[tokio::test]
async fn a_secondary_limit_may_not_say_how_long() {
    let world = World::start().await;
    world.break_dispatches(FaultKind::SecondaryLimit(Some(60)));
    world.break_dispatches(FaultKind::SecondaryLimit(None));
    for wait in [Some("60"), None] {
        let answer = world.dispatching().send().await.unwrap();
        assert_eq!(answer.status(), 403);
        let told = answer.headers().get("retry-after");
        assert_eq!(told.map(|told| told.to_str().unwrap()), wait);
        let said: serde_json::Value = answer.json().await.unwrap();
        let said = said["message"].as_str().unwrap();
        assert!(said.contains("secondary rate limit"), "{said}");
    }
    assert!(world.simulator.runs(REPO).is_empty());
}

#[tokio::test]
async fn an_answer_that_is_cut_short_looks_whole() {
    let world = World::start().await;
    let url = format!("{}/{REPO}", world.simulator.html_url());
    let page = async || {
        let answer = world.client.get(&url).send().await.unwrap();
        let told = answer.content_length().unwrap();
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(told, bytes.len() as u64);
        bytes
    };
    let whole = page().await;
    world.simulator.fault(Fault {
        method: "GET".into(),
        route: "/_html/{owner}/{repo}".into(),
        repo: None,
        times: 1,
        kind: FaultKind::CutShort,
    });
    assert_eq!(page().await, whole[..whole.len() / 2]);
    assert_eq!(page().await, whole);
}

impl World {
    /// Uploads a file to a draft, with a fault.
    async fn upload_with(&self, name: &str, kind: FaultKind) -> reqwest::Response {
        self.simulator.fault(Fault {
            method: "POST".into(),
            route: "/repos/{owner}/{repo}/releases/{release_id}/assets".into(),
            repo: None,
            times: 1,
            kind,
        });
        let draft = self.draft("v1").await;
        self.upload(&draft, name, b"content").await
    }
}

#[tokio::test]
async fn a_broken_upload_leaves_a_starter() {
    let world = World::start().await;
    let answer = world.upload_with("a", FaultKind::StarterAsset).await;
    assert_eq!(answer.status(), 502);
    let asset = &world.simulator.releases(REPO)[0].assets[0];
    assert_eq!(
        (asset.state.as_str(), asset.size, &asset.digest),
        ("starter", 0, &None)
    );
}

#[tokio::test]
async fn an_upload_may_be_done_after_its_502() {
    let world = World::start().await;
    let kind = FaultKind::Deferred(502, Some(0.1));
    assert_eq!(world.upload_with("a", kind).await.status(), 502);
    assert!(world.simulator.releases(REPO)[0].assets.is_empty());
    tokio::time::sleep(Duration::from_millis(250)).await;
    let asset = &world.simulator.releases(REPO)[0].assets[0];
    assert_eq!(&asset.content[..], b"content");
}

#[tokio::test]
async fn an_asset_may_get_a_name_that_nobody_foresees() {
    let world = World::start().await;
    let answer = world.upload_with("a-b.zip", FaultKind::RenamedAsset).await;
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(answer["name"], "a.b.zip");
    assert_eq!(world.simulator.releases(REPO)[0].assets[0].name, "a.b.zip");
}

#[tokio::test]
async fn an_asset_may_have_no_digest_and_other_bytes() {
    let world = World::start().await;
    for (name, altered, content) in [("a", false, &b"content"[..]), ("b", true, b"conten\x8b")] {
        let kind = FaultKind::UndigestedAsset { altered };
        let answer = world.upload_with(name, kind).await;
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert!(answer["digest"].is_null(), "{answer}");
        let releases = world.simulator.releases(REPO);
        let mut assets = releases.iter().flat_map(|release| &release.assets);
        let asset = assets.find(|asset| asset.name == name).unwrap();
        assert_eq!((&asset.content[..], &asset.digest), (content, &None));
    }
}

#[tokio::test]
async fn a_token_that_expires_is_bad() {
    let world = World::start().await;
    world.simulator.add_token("another");
    world.get("").await;
    world.simulator.revoke_token("simulated-token");
    let call = || world.call(reqwest::Method::GET, "");
    assert_eq!(call().send().await.unwrap().status(), 401);
    let url = format!("{}/repos/{REPO}", world.simulator.api_url());
    let other = world.client.get(url).bearer_auth("another");
    assert_eq!(other.send().await.unwrap().status(), 200);
}
