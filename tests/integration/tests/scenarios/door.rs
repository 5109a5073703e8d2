//! The webhook's door: as it is deployed.

use integration::{WEBHOOK_SECRET, World};

#[tokio::test]
async fn a_bad_signature_is_refused_and_starts_nothing() {
    let world = World::start().await;
    let body = r#"{"ref":"v0.1.0","ref_type":"tag","repository":{"full_name":"BTCDecoded/bllvm"}}"#;
    let answer = local_cloud::http_client()
        .unwrap()
        .post(&world.stack.webhook_url)
        .header("X-GitHub-Event", "create")
        .header("X-GitHub-Delivery", "1")
        .header("X-Hub-Signature-256", format!("sha256={}", "0".repeat(64)))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 401);
    assert!(world.executions().await.is_empty());
    world.stop().await;
}

/// A signed delivery, as it comes over the network.
async fn deliver(world: &World, event: &str, kind: &str, body: String) -> u16 {
    let signature = github_simulator::signature(WEBHOOK_SECRET, body.as_bytes());
    let sent = local_cloud::http_client()
        .unwrap()
        .post(&world.stack.webhook_url)
        .header("Content-Type", kind)
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", "1")
        .header("X-Hub-Signature-256", signature)
        .body(body)
        .send();
    sent.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_body_is_read_whatever_its_kind_up_to_a_limit() {
    let world = World::start().await;
    let ping = r#"{"zen":"Keep it logically awesome.","repository":{"full_name":"o/r"}}"#;
    for kind in ["application/json", "application/octet-stream", "text/plain"] {
        let status = deliver(&world, "ping", kind, ping.to_owned()).await;
        assert_eq!(status, 200, "{kind}");
    }
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    let status = deliver(&world, "create", "application/json", large).await;
    assert_eq!(status, 413);
    assert!(world.executions().await.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn another_path_or_method_is_not_there() {
    let world = World::start().await;
    let http = local_cloud::http_client().unwrap();
    let url = &world.stack.webhook_url;
    let get = http.get(url).send().await.unwrap();
    assert!([404, 405].contains(&get.status().as_u16()), "{get:?}");
    let other = url.replace("/webhook", "/admin");
    let post = http.post(other).body("{}").send().await.unwrap();
    assert_eq!(post.status().as_u16(), 404);
    world.stop().await;
}

#[tokio::test]
async fn a_tag_that_is_no_version_is_ignored() {
    let world = World::start().await;
    let payload = serde_json::json!({
        "ref": "latest", "ref_type": "tag", "repository": {"full_name": "BTCDecoded/bllvm"},
    });
    let status = world.github.send_webhook("create", payload).await.unwrap();
    assert_eq!(status, 202);
    assert!(world.executions().await.is_empty());
    world.stop().await;
}
