//! Which release is the latest one.

use serde_json::{Value, json};

use crate::{REPO, World};

impl World {
    /// Publishes a draft of this tag, as its commit; its id.
    async fn publish(&self, tag: &str, make_latest: Option<&str>) -> Value {
        let draft = self.draft(tag).await;
        let mut change = json!({ "draft": false });
        if let Some(value) = make_latest {
            change["make_latest"] = value.into();
        }
        assert_eq!(self.patch(&draft["id"], change).await.status(), 200);
        draft["id"].clone()
    }

    /// As anybody sees it, without a token.
    async fn latest(&self) -> Option<String> {
        let api = self.simulator.api_url();
        let url = format!("{api}/repos/{REPO}/releases/latest");
        let answer = self.client.get(url).send().await.unwrap();
        if answer.status() == 404 {
            return None;
        }
        let latest: Value = answer.json().await.unwrap();
        latest["tag_name"].as_str().map(str::to_owned)
    }
}

#[tokio::test]
async fn what_is_published_is_the_latest_unless_it_is_told_not_to_be() {
    let world = World::start().await;
    assert_eq!(world.latest().await, None);
    world.publish("v0.2.0", Some("false")).await;
    assert_eq!(world.latest().await, None);
    let first = world.publish("v0.1.0", None).await;
    assert_eq!(world.latest().await.unwrap(), "v0.1.0");
    world.publish("v0.3.0", Some("false")).await;
    assert_eq!(world.latest().await.unwrap(), "v0.1.0");
    world.publish("v0.0.9", Some("true")).await;
    assert_eq!(world.latest().await.unwrap(), "v0.0.9");
    // What is published already stays what it is, unless that is asked for.
    world.patch(&first, json!({ "name": "the first" })).await;
    assert_eq!(world.latest().await.unwrap(), "v0.0.9");
    world.patch(&first, json!({ "make_latest": "true" })).await;
    assert_eq!(world.latest().await.unwrap(), "v0.1.0");
    world.patch(&first, json!({ "draft": true })).await;
    assert_eq!(world.latest().await.unwrap(), "v0.0.9");
}

#[tokio::test]
async fn the_legacy_way_goes_by_commits_and_then_by_versions() {
    let world = World::start().await;
    for tag in ["v0.9.0", "v0.10.0", "v0.2.0"] {
        world.publish(tag, Some("legacy")).await;
    }
    assert_eq!(world.latest().await.unwrap(), "v0.10.0");
    world.simulator.push_commit(REPO);
    world.publish("v0.1.0", Some("legacy")).await;
    assert_eq!(world.latest().await.unwrap(), "v0.1.0");
}

#[tokio::test]
async fn a_draft_or_prerelease_is_never_the_latest() {
    let world = World::start().await;
    world.publish("v0.1.0", None).await;
    let draft = world.draft("v0.2.0").await;
    let said = "Latest release cannot be draft or prerelease.";
    for change in [
        json!({ "make_latest": "true" }),
        json!({ "make_latest": "true", "draft": false, "prerelease": true }),
    ] {
        let refused = world.patch(&draft["id"], change).await;
        assert_eq!(refused.status(), 422);
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["errors"][0]["message"], said);
    }
    let prerelease = json!({ "draft": false, "prerelease": true });
    let published = world.patch(&draft["id"], prerelease).await;
    assert_eq!(published.status(), 200);
    assert_eq!(world.latest().await.unwrap(), "v0.1.0");
    let unknown = world
        .patch(&draft["id"], json!({ "make_latest": "yes" }))
        .await;
    assert_eq!(unknown.status(), 422);
}
