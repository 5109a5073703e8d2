//! Drafts, uploads, publishing.

use github_simulator::Repository;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{REPO, World};

/// Where an asset of this name is sent to.
pub(crate) fn upload_url(release: &Value, name: &str) -> String {
    let url = release["upload_url"].as_str().unwrap();
    let url = url.strip_suffix("{?name,label}").unwrap();
    format!("{url}?name={name}")
}

impl World {
    pub(crate) async fn draft(&self, tag: &str) -> Value {
        let body = json!({ "tag_name": tag, "name": tag, "body": "notes", "draft": true });
        let answer = self.post("/releases", body).await;
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    pub(crate) async fn patch(&self, id: &Value, body: Value) -> Response {
        self.call(Method::PATCH, &format!("/releases/{id}"))
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn upload(
        &self,
        release: &Value,
        name: &str,
        content: &'static [u8],
    ) -> Response {
        let call = self.client.post(upload_url(release, name));
        let call = call.bearer_auth("simulated-token");
        call.header(CONTENT_TYPE, "application/octet-stream")
            .body(content)
            .send()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_draft_is_filled_and_published() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    assert_eq!(
        (&draft["draft"], &draft["immutable"]),
        (&json!(true), &json!(false))
    );
    let asset = world.upload(&draft, "key%20manager.bin", b"content").await;
    assert_eq!(asset.status(), 201);
    let asset: Value = asset.json().await.unwrap();
    assert_eq!(
        (&asset["name"], &asset["size"]),
        (&json!("key.manager.bin"), &json!(7))
    );
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(b"content")));
    assert_eq!(
        (&asset["digest"], &asset["state"]),
        (&json!(digest), &json!("uploaded"))
    );

    // A draft is in the list, but nothing knows its tag.
    assert_eq!(world.get("/releases").await[0]["id"], draft["id"]);
    for path in ["/releases/tags/v1", "/git/ref/tags/v1"] {
        assert_eq!(
            world.call(Method::GET, path).send().await.unwrap().status(),
            404
        );
    }
    let published = world.patch(&draft["id"], json!({ "draft": false })).await;
    let published: Value = published.json().await.unwrap();
    assert!(published["published_at"].is_string());
    let head = &world.get("/commits/main").await["sha"];
    assert_eq!(&world.get("/git/ref/tags/v1").await["object"]["sha"], head);
    assert_eq!(
        world.get("/releases/tags/v1").await["assets"][0]["id"],
        asset["id"]
    );
    assert_eq!(
        &*world.simulator.releases(REPO)[0].assets[0].content,
        b"content"
    );

    // People need no token.
    let page = world
        .client
        .get(published["html_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("key.manager.bin"));
    let url = published["assets"][0]["browser_download_url"]
        .as_str()
        .unwrap();
    let found = world.client.get(url).send().await.unwrap();
    assert_eq!(found.status(), 302);
    let location = found.headers()[LOCATION].to_str().unwrap();
    let file = world.client.get(location).send().await.unwrap();
    assert_eq!(file.bytes().await.unwrap(), "content");
}

#[tokio::test]
async fn names_and_tags_are_taken_once() {
    let world = World::start().await;
    let (first, second) = (world.draft("v1").await, world.draft("v1").await);
    assert_eq!(
        world.upload(&first, "a%2Bb.tar.gz", b"1").await.status(),
        201
    );
    let refused = world.upload(&first, "a%2Bb.tar.gz", b"2").await;
    assert_eq!(refused.status(), 422);
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["code"], "already_exists");

    assert_eq!(
        world
            .patch(&first["id"], json!({ "draft": false }))
            .await
            .status(),
        200
    );
    for refused in [
        world.patch(&second["id"], json!({ "draft": false })).await,
        world.post("/releases", json!({ "tag_name": "v1" })).await,
    ] {
        assert_eq!(refused.status(), 422);
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["errors"][0]["code"], "already_exists");
    }
    let path = format!("/releases/{}", second["id"]);
    assert_eq!(
        world
            .call(Method::DELETE, &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(world.simulator.releases(REPO).len(), 1);
}

#[tokio::test]
async fn uploads_state_their_length_and_type() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    let url = upload_url(&draft, "a");
    let call = || world.client.post(&url).bearer_auth("simulated-token");
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("content")]);
    let chunked = call()
        .header(CONTENT_TYPE, "text/plain")
        .body(Body::wrap_stream(chunks));
    assert_eq!(chunked.send().await.unwrap().status(), 400);
    let untyped = call().body("content").send().await.unwrap();
    assert_eq!(untyped.status(), 400);

    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("con"), Ok("tent")]);
    let streamed = call()
        .header(CONTENT_TYPE, "text/plain")
        .header(CONTENT_LENGTH, 7)
        .body(Body::wrap_stream(chunks));
    assert_eq!(streamed.send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn assets_are_paged_read_and_deleted() {
    let world = World::start().await;
    let draft = world.draft("v1").await;
    for name in ["a", "b", "c"] {
        assert_eq!(world.upload(&draft, name, b"content").await.status(), 201);
    }
    let list = format!("/releases/{}/assets?per_page=2&page=2", draft["id"]);
    let page = world.get(&list).await;
    assert_eq!(
        (page.as_array().unwrap().len(), &page[0]["name"]),
        (1, &json!("c"))
    );

    let path = format!("/releases/assets/{}", page[0]["id"]);
    assert_eq!(
        world.get(&path).await["content_type"],
        "application/octet-stream"
    );
    let call = world
        .call(Method::GET, &path)
        .header(ACCEPT, "application/octet-stream");
    let answer = call.send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let file = world
        .client
        .get(answer.headers()[LOCATION].to_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(file.bytes().await.unwrap(), "content");
    assert_eq!(
        world
            .call(Method::DELETE, &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    assert_eq!(
        world
            .call(Method::GET, &path)
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn an_immutable_release_takes_and_loses_nothing() {
    let world = World::start().await;
    world.simulator.add_repository(Repository {
        immutable_releases: true,
        ..Repository::default()
    });
    let draft = world.draft("v1").await;
    let asset: Value = world.upload(&draft, "a", b"a").await.json().await.unwrap();
    let publish = world.patch(&draft["id"], json!({ "draft": false })).await;
    let published: Value = publish.json().await.unwrap();
    assert_eq!(published["immutable"], true);

    assert_eq!(world.upload(&draft, "b", b"b").await.status(), 422);
    let delete = format!("/releases/assets/{}", asset["id"]);
    let delete = world.call(Method::DELETE, &delete).send().await.unwrap();
    assert_eq!(delete.status(), 422);
    for change in [json!({ "draft": true }), json!({ "tag_name": "v2" })] {
        let changed = world.patch(&draft["id"], change).await;
        assert_eq!(changed.status(), 422);
    }
    let notes = world.patch(&draft["id"], json!({ "body": "Notes" })).await;
    assert_eq!(notes.status(), 200, "notes are not locked");
    let releases = world.simulator.releases(REPO);
    assert_eq!((releases[0].draft, releases[0].assets.len()), (false, 1));
}

#[tokio::test]
async fn the_tag_of_an_immutable_release_is_never_free_again() {
    let world = World::start().await;
    let setting = async || {
        let call = world.call(Method::GET, "/immutable-releases");
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(setting().await, 404);
    world.simulator.add_repository(Repository {
        immutable_releases: true,
        ..Repository::default()
    });
    assert_eq!(setting().await, 200);
    assert_eq!(world.get("/immutable-releases").await["enabled"], true);
    let draft = world.draft("v1").await;
    world.patch(&draft["id"], json!({ "draft": false })).await;
    let path = format!("/releases/{}", draft["id"]);
    let deleted = world.call(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let again = world.draft("v1").await;
    for refused in [
        world.patch(&again["id"], json!({ "draft": false })).await,
        world.post("/releases", json!({ "tag_name": "v1" })).await,
    ] {
        assert_eq!(refused.status(), 422);
        let refused: Value = refused.json().await.unwrap();
        let said = &refused["errors"][1]["message"];
        assert_eq!(said, "tag_name was used by an immutable release");
    }
}
