//! Tags, annotated or not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{REPO, World};

#[tokio::test]
async fn a_commit_is_tagged_once() {
    let world = World::start().await;
    let first = world.get("/commits/main").await["sha"].clone();
    world.simulator.push_commit(REPO);
    let tagging = async |name: &str, sha: &Value| {
        let answer = world.post("/git/refs", json!({"ref": name, "sha": sha}));
        let answer = answer.await;
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let (status, made) = tagging("refs/tags/v1", &first).await;
    assert_eq!((status, &made["ref"]), (201, &json!("refs/tags/v1")));
    assert_eq!(
        (&made["object"]["type"], &made["object"]["sha"]),
        (&json!("commit"), &first)
    );
    assert_eq!(world.get("/git/ref/tags/v1").await, made);
    assert_eq!(world.get("/commits/v1").await["sha"], first);
    let unknown = json!("0123456789012345678901234567890123456789");
    for (name, sha, message) in [
        ("refs/tags/v1", &first, "Reference already exists"),
        ("refs/tags/v2", &unknown, "Object does not exist"),
        (
            "v2",
            &first,
            "Reference name must start with 'refs/' and have at least two slashes",
        ),
    ] {
        let (status, refused) = tagging(name, sha).await;
        assert_eq!((status, &refused["message"]), (422, &json!(message)));
    }
}

#[tokio::test]
async fn an_annotated_tag_has_an_object_of_its_own() {
    let world = World::start().await;
    let head = world.get("/commits/main").await["sha"].clone();
    let object = world.simulator.annotate_tag(REPO, "v1", "The first");
    let reference = world.get("/git/ref/tags/v1").await;
    assert_eq!(reference["object"]["type"], "tag");
    assert_eq!(reference["object"]["sha"], object);
    let tag = world.get(&format!("/git/tags/{object}")).await;
    assert_eq!(
        (&tag["tag"], &tag["message"]),
        (&json!("v1"), &json!("The first"))
    );
    assert_eq!(
        (&tag["object"]["type"], &tag["object"]["sha"]),
        (&json!("commit"), &head)
    );
    assert_eq!(world.get("/commits/v1").await["sha"], head);
    let path = format!("/git/tags/{}", head.as_str().unwrap());
    let answer = world.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}
