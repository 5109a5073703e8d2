//! What serves an artifact's bytes, and what is no zip.

use github_simulator::{Artifact, Fault, FaultKind, Script, Storage};
use reqwest::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE,
};
use reqwest::{Method, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::World;

/// A world with a run that uploaded this, and where its download is redirected to.
async fn uploaded(artifact: Artifact) -> (World, String) {
    let world = World::with(Script {
        queue_seconds: 0.0,
        run_seconds: 0.0,
        artifacts: vec![artifact],
        ..Script::default()
    })
    .await;
    let run = world.dispatch(json!({})).await;
    world.until(run.id, "completed").await;
    let path = format!("/actions/runs/{}/artifacts", run.id);
    let artifact = world.get(&path).await["artifacts"][0].clone();
    let path = format!("/actions/artifacts/{}/zip", artifact["id"]);
    let answer = world.call(Method::GET, &path).send().await.unwrap();
    let location = answer.headers()[LOCATION].to_str().unwrap().to_owned();
    (world, location)
}

impl World {
    /// From the fifth byte on, of eleven.
    async fn end(&self, location: &str) -> Response {
        let call = self.client.get(location).header(RANGE, "bytes=4-");
        call.send().await.unwrap()
    }
}

fn served(storage: Storage) -> Artifact {
    Artifact {
        storage,
        ..Artifact::raw("ünï.tar.gz", "eleven byte")
    }
}

#[tokio::test]
async fn a_file_that_is_no_zip_says_its_name_and_what_it_is() {
    let (world, location) = uploaded(served(Storage::Ranges)).await;
    let answer = world.client.get(&location).send().await.unwrap();
    let headers = answer.headers();
    assert_eq!(headers[CONTENT_TYPE], "application/gzip");
    assert_eq!(
        headers[CONTENT_DISPOSITION],
        "attachment; filename=\"_n_.tar.gz\"; filename*=UTF-8''%C3%BCn%C3%AF%2Etar%2Egz"
    );
    assert_eq!(answer.bytes().await.unwrap(), "eleven byte");
    let run = &world.simulator.runs(crate::REPO)[0];
    let listed = format!("/actions/runs/{}/artifacts", run.id);
    let listed = world.get(&listed).await["artifacts"][0].clone();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest("eleven byte")));
    assert_eq!(
        (&listed["name"], &listed["size_in_bytes"], &listed["digest"]),
        (&json!("ünï.tar.gz"), &json!(11), &json!(digest))
    );
}

#[tokio::test]
async fn a_storage_knows_ranges_and_lengths_or_not() {
    for (storage, status, length, bytes) in [
        (Storage::Ranges, 206, Some(7), "en byte"),
        (Storage::NoRanges, 200, Some(11), "eleven byte"),
        (Storage::NoLength, 200, None, "eleven byte"),
        (Storage::Slow, 200, Some(11), "eleven byte"),
        (Storage::SlowOnce, 200, Some(11), "eleven byte"),
    ] {
        let (world, location) = uploaded(served(storage.clone())).await;
        let answer = world.end(&location).await;
        assert_eq!(answer.status(), status, "{storage:?}");
        assert_eq!(answer.content_length(), length, "{storage:?}");
        let range = answer.headers().get(CONTENT_RANGE).cloned();
        let part = (status == 206).then(|| "bytes 4-10/11".parse().unwrap());
        assert_eq!(range, part, "{storage:?}");
        assert_eq!(answer.bytes().await.unwrap(), bytes, "{storage:?}");
    }
}

#[tokio::test]
async fn a_storage_may_send_without_an_end() {
    for (storage, status, begins) in [
        (Storage::Endless, 200, "eleven byte"),
        (Storage::Longer(5), 206, "en byte"),
    ] {
        let (world, location) = uploaded(served(storage)).await;
        let mut answer = world.end(&location).await;
        assert_eq!(answer.status(), status);
        assert!(!answer.headers().contains_key(CONTENT_LENGTH));
        if status == 206 {
            assert_eq!(answer.headers()[CONTENT_RANGE], "bytes 4-15/16");
        }
        let mut bytes = Vec::new();
        while bytes.len() < 1 << 20 {
            bytes.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
        }
        assert!(bytes.starts_with(begins.as_bytes()));
    }
}

#[tokio::test]
async fn a_download_may_be_elsewhere() {
    let elsewhere = "https://10.0.0.1/x";
    let (_, location) = uploaded(served(Storage::Elsewhere(elsewhere.into()))).await;
    assert_eq!(location, elsewhere);
}

#[tokio::test]
async fn a_connection_may_break_off_in_its_middle() {
    let (world, location) = uploaded(served(Storage::Ranges)).await;
    world.simulator.fault(Fault {
        method: "GET".into(),
        route: "/_blob/{key}".into(),
        repo: None,
        times: 1,
        kind: FaultKind::BrokenOff,
    });
    let mut answer = world.client.get(&location).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(11));
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "eleve");
    answer.chunk().await.unwrap_err();
    let again = world.client.get(&location).send().await.unwrap();
    assert_eq!(again.bytes().await.unwrap(), "eleven byte");
}
