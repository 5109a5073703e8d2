//! Uploads that GitHub refuses, limits, loses or takes its time for.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use github_simulator::{Fault, FaultKind};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Response};
use serde_json::{Value, json};

use crate::releases::upload_url;
use crate::{REPO, World};

impl World {
    fn break_uploads(&self, kind: FaultKind) {
        self.simulator.fault(Fault {
            method: "POST".into(),
            route: "/repos/{owner}/{repo}/releases/{release_id}/assets".into(),
            repo: Some(REPO.into()),
            times: 1,
            kind,
        });
    }

    /// The names and states of the only release's assets.
    fn assets(&self) -> Vec<(String, String)> {
        let releases = self.simulator.releases(REPO);
        let assets = releases[0].assets.iter();
        assets.map(|a| (a.name.clone(), a.state.clone())).collect()
    }
}

/// The first entry of `errors`.
async fn first_error(refused: Response) -> Value {
    assert_eq!(refused.status(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["message"], "Validation Failed");
    refused["errors"][0].clone()
}

#[tokio::test]
async fn a_starter_is_in_the_way_until_it_is_deleted() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    world.break_uploads(FaultKind::StarterAsset);
    assert_eq!(world.upload(&draft, "a", b"content").await.status(), 502);
    assert_eq!(world.assets(), [("a".into(), "starter".into())]);
    let refused = world.upload(&draft, "a", b"content").await;
    assert_eq!(first_error(refused).await["code"], "already_exists");
    let listed = world
        .get(&format!("/releases/{}/assets", draft["id"]))
        .await;
    let starter = &listed[0];
    assert_eq!(
        (&starter["state"], &starter["size"]),
        (&json!("starter"), &json!(0))
    );
    let path = format!("/releases/assets/{}", starter["id"]);
    let deleted = world.call(reqwest::Method::DELETE, &path).send().await;
    assert_eq!(deleted.unwrap().status(), 204);
    assert_eq!(world.upload(&draft, "a", b"content").await.status(), 201);
    assert_eq!(world.assets(), [("a".into(), "uploaded".into())]);
}

#[tokio::test]
async fn an_upload_whose_answer_is_lost_has_arrived() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    world.break_uploads(FaultKind::LostAnswer);
    let url = upload_url(&draft, "a");
    let call = world.client.post(url).bearer_auth("simulated-token");
    let call = call.header(CONTENT_TYPE, "text/plain").body("content");
    call.send().await.unwrap_err();
    assert_eq!(world.assets(), [("a".into(), "uploaded".into())]);
    let refused = world.upload(&draft, "a", b"content").await;
    assert_eq!(first_error(refused).await["code"], "already_exists");
}

#[tokio::test]
async fn an_upload_may_be_limited_with_and_without_a_time() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    let after = |seconds: &str| Some(vec![("retry-after".to_owned(), seconds.to_owned())]);
    for (kind, status, wait) in [
        (FaultKind::SecondaryLimit(Some(60)), 403, Some("60")),
        (FaultKind::SecondaryLimit(None), 403, None),
        (FaultKind::Status(429, after("7")), 429, Some("7")),
        (FaultKind::Status(429, None), 429, None),
    ] {
        world.break_uploads(kind);
        let answer = world.upload(&draft, "a", b"content").await;
        assert_eq!(answer.status(), status);
        let told = answer.headers().get("retry-after");
        assert_eq!(told.map(|told| told.to_str().unwrap()), wait);
        assert!(world.assets().is_empty());
    }
}

#[tokio::test]
async fn a_refused_upload_is_answered_when_all_of_it_was_sent() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    let url = upload_url(&draft, "a");
    let slow = Duration::from_millis(200);
    for (token, status) in [("simulated-token", 403), ("nobody's", 401)] {
        world.break_uploads(FaultKind::SecondaryLimit(None));
        let content = stream::iter(["con", "tent"]).then(move |part| async move {
            tokio::time::sleep(slow).await;
            Ok::<_, Infallible>(part)
        });
        let call = world.client.post(&url).bearer_auth(token);
        let call = call.header(CONTENT_TYPE, "text/plain");
        let call = call.header(CONTENT_LENGTH, "content".len());
        let began = Instant::now();
        let answer = call.body(Body::wrap_stream(content)).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(began.elapsed() >= 2 * slow, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_slow_upload_arrives_after_its_caller_has_gone() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    world.break_uploads(FaultKind::Delay(0.3));
    let url = upload_url(&draft, "a");
    let call = world.client.post(url).bearer_auth("simulated-token");
    let call = call.header(CONTENT_TYPE, "text/plain").body("content");
    let error = call.timeout(Duration::from_millis(50)).send().await;
    assert!(error.unwrap_err().is_timeout());
    assert!(world.assets().is_empty());
    let began = Instant::now();
    while world.assets().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_file_of_2_gib_and_the_1001st_are_refused() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    let url = upload_url(&draft, "a");
    let call = world.client.post(url).bearer_auth("simulated-token");
    let call = call.header(CONTENT_TYPE, "text/plain");
    // It is refused by its length: nobody waits for the body.
    let nothing = futures_util::stream::pending::<Result<&str, std::io::Error>>();
    let body = reqwest::Body::wrap_stream(nothing);
    let call = call.header(CONTENT_LENGTH, 2_u64 << 30).body(body);
    let error = first_error(call.send().await.unwrap()).await;
    assert_eq!(
        error["message"],
        "size must be less than or equal to 2147483648"
    );

    for n in 0..1_000 {
        let name = format!("asset-{n}");
        assert_eq!(world.upload(&draft, &name, b"1").await.status(), 201);
    }
    let error = first_error(world.upload(&draft, "one-more", b"1").await).await;
    assert_eq!(
        error["message"],
        "file_count limited to 1000 assets per release"
    );
    assert_eq!(world.assets().len(), 1_000);
}
