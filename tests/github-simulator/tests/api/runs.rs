//! Dispatches, runs, artifacts.

use std::io::{Cursor, Read as _};

use github_simulator::{Artifact, Corrupt, Repository, Script, Trigger, Workflow};
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{REPO, World, artifact};

#[tokio::test]
async fn a_dispatch_becomes_a_run_with_artifacts() {
    let world = World::start().await;
    let payload = json!({ "version": "v0.1.0", "component": "bllvm", "nonce": "n0n" });
    let run = world.dispatch(payload.clone()).await;
    assert_eq!(run.client_payload, payload);
    assert_eq!(run.display_title, "v0.1.0 bllvm [n0n]");

    let seen = world.get(&format!("/actions/runs/{}", run.id)).await;
    assert_eq!(seen["status"], "queued");
    assert_eq!(seen["path"], ".github/workflows/build.yml");
    assert_eq!(seen["actor"]["login"], "release-bot");
    assert_eq!(seen["head_sha"], world.get("/commits/main").await["sha"]);
    world.until(run.id, "in_progress").await;
    let seen = world.until(run.id, "completed").await;
    assert_eq!(
        (&seen["conclusion"], &seen["run_attempt"]),
        (&json!("success"), &json!(1))
    );

    // As long as the script says, in simulated seconds: 200 of them are 0.2 s.
    let run = world.simulator.runs(REPO).pop().unwrap();
    let took = run.completed_at.unwrap().duration_since(run.dispatched_at);
    assert_eq!(took.as_millis(), 200);

    let list = world
        .get(&format!("/actions/runs/{}/artifacts", run.id))
        .await;
    assert_eq!(list["total_count"], 1);
    let artifact = &list["artifacts"][0];
    let path = format!("/actions/artifacts/{}/zip", artifact["id"]);
    let answer = world.call(Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let url = answer.headers()[LOCATION].to_str().unwrap().to_string();
    assert!(url.starts_with("http://localhost:"), "{url}");

    let refused = world
        .client
        .get(&url)
        .bearer_auth("simulated-token")
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 400);
    let zip = world
        .client
        .get(&url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(artifact["size_in_bytes"], zip.len());
    assert_eq!(
        artifact["digest"],
        format!("sha256:{}", hex::encode(Sha256::digest(&zip)))
    );
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    let mut content = Vec::new();
    archive
        .by_name("bllvm")
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    assert_eq!(content, [42; 10_000]);
}

#[tokio::test]
async fn dispatches_are_checked_and_may_start_nothing() {
    let world = World::start().await;
    let keys: serde_json::Map<_, _> = (0..11).map(|i| (i.to_string(), json!(i))).collect();
    for body in [
        json!({ "event_type": "e".repeat(101) }),
        json!({ "event_type": "build-chain", "client_payload": keys }),
        json!({ "client_payload": {} }),
    ] {
        assert_eq!(world.post("/dispatches", body).await.status(), 422);
    }
    let unheard = world
        .post("/dispatches", json!({ "event_type": "other" }))
        .await;
    assert_eq!(unheard.status(), 204);
    assert!(world.simulator.runs(REPO).is_empty());
}

#[tokio::test]
async fn strangers_start_runs_too() {
    let world = World::start().await;
    let id = world
        .simulator
        .dispatch_as("stranger", REPO, "build-chain", json!({}));
    let run = world.get(&format!("/actions/runs/{id}")).await;
    assert_eq!(run["actor"]["login"], "stranger");
}

#[tokio::test]
async fn a_workflow_dispatch_tells_its_run_if_asked() {
    let world = World::start().await;
    let path = "/actions/workflows/build.yml/dispatches";
    world.simulator.create_tag(REPO, "v1");
    world.simulator.push_commit(REPO);
    let body = json!({ "ref": "v1", "inputs": { "nonce": "n" }, "return_run_details": true });
    let answer = world.post(path, body).await;
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = answer.json().await.unwrap();
    let run = world.simulator.runs(REPO).pop().unwrap();
    assert_eq!(answer["workflow_run_id"], run.id);
    assert_eq!(
        run.head_sha,
        world.get("/git/ref/tags/v1").await["object"]["sha"]
    );
    assert_ne!(run.head_sha, world.get("/commits/main").await["sha"]);

    assert_eq!(
        world.post(path, json!({ "ref": "main" })).await.status(),
        204
    );
    assert_eq!(world.post(path, json!({ "ref": "v9" })).await.status(), 422);
    let on = vec![Trigger::RepositoryDispatch("build-chain".into())];
    let workflows = vec![Workflow {
        on,
        ..Workflow::default()
    }];
    world.simulator.add_repository(Repository {
        workflows,
        ..Repository::default()
    });
    assert_eq!(
        world.post(path, json!({ "ref": "main" })).await.status(),
        422
    );
}

#[tokio::test]
async fn runs_are_listed_newest_first_in_pages() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.dispatch(json!({ "n": n })).await.id);
    }
    ids.reverse();
    let answer = world
        .call(Method::GET, "/actions/runs?per_page=2&page=2")
        .send()
        .await
        .unwrap();
    let link = answer.headers()["link"].to_str().unwrap().to_string();
    assert!(
        link.contains("page=3>; rel=\"next\"") && link.contains("rel=\"prev\""),
        "{link}"
    );
    let page: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(page["total_count"], 5);
    let seen: Vec<_> = page["workflow_runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["id"])
        .collect();
    assert_eq!(json!(seen), json!(&ids[2..4]));

    world
        .simulator
        .dispatch_as("stranger", REPO, "build-chain", json!({}));
    let filtered = world
        .get("/actions/runs?event=repository_dispatch&actor=stranger")
        .await;
    assert_eq!(filtered["total_count"], 1);
    assert_eq!(
        world.get("/actions/runs?created=%3E2100-01-01").await["total_count"],
        0
    );
}

#[tokio::test]
async fn a_rerun_is_the_next_attempt_of_the_same_run() {
    let world = World::with(Script {
        queue_seconds: 10.0,
        run_seconds: 30.0,
        conclusions: vec!["failure".into(), "success".into()],
        artifacts: vec![artifact("a", "a")],
        ..Script::default()
    })
    .await;
    let id = world.dispatch(json!({})).await.id;
    let (rerun, artifacts) = (
        format!("/actions/runs/{id}/rerun"),
        format!("/actions/runs/{id}/artifacts"),
    );
    assert_eq!(world.post(&rerun, json!({})).await.status(), 403);
    assert_eq!(world.until(id, "completed").await["conclusion"], "failure");
    assert_eq!(world.get(&artifacts).await["total_count"], 0);

    let failed = format!("{rerun}-failed-jobs");
    assert_eq!(world.post(&failed, json!({})).await.status(), 201);
    let run = world.until(id, "completed").await;
    assert_eq!(
        (&run["run_attempt"], &run["conclusion"]),
        (&json!(2), &json!("success"))
    );
    assert_eq!(world.post(&rerun, json!({})).await.status(), 201);
    world.until(id, "completed").await;
    let list = world.get(&artifacts).await;
    assert_eq!(list["total_count"], 2);
    let created = |n: usize| {
        list["artifacts"][n]["created_at"]
            .as_str()
            .unwrap()
            .to_string()
    };
    assert!(created(0) > created(1));
}

#[tokio::test]
async fn runs_are_cancelled_once() {
    let world = World::start().await;
    let id = world.dispatch(json!({})).await.id;
    let cancel = format!("/actions/runs/{id}/cancel");
    assert_eq!(world.post(&cancel, json!({})).await.status(), 202);
    assert_eq!(
        world.until(id, "completed").await["conclusion"],
        "cancelled"
    );
    assert_eq!(
        world.get(&format!("/actions/runs/{id}/jobs")).await["total_count"],
        0
    );
    assert_eq!(world.post(&cancel, json!({})).await.status(), 409);

    let id = world.dispatch(json!({})).await.id;
    world.until(id, "in_progress").await;
    let force = format!("/actions/runs/{id}/force-cancel");
    assert_eq!(world.post(&force, json!({})).await.status(), 202);
    assert_eq!(
        world.until(id, "completed").await["conclusion"],
        "cancelled"
    );
    let jobs = world.get(&format!("/actions/runs/{id}/jobs")).await;
    assert_eq!(jobs["jobs"][0]["conclusion"], "cancelled");
}

#[tokio::test]
async fn artifacts_expire_and_lie() {
    let expired = Artifact {
        expired: true,
        digest: false,
        ..artifact("old", "a")
    };
    let wrong = Artifact {
        corrupt: Some(Corrupt::WrongDigest),
        ..artifact("wrong", "a")
    };
    let cut = Artifact {
        corrupt: Some(Corrupt::Truncated),
        ..artifact("cut", "a")
    };
    let world = World::with(Script {
        queue_seconds: 0.0,
        run_seconds: 0.0,
        artifacts: vec![expired, wrong, cut],
        ..Script::default()
    })
    .await;
    let id = world.dispatch(json!({})).await.id;
    world.until(id, "completed").await;
    for (name, status) in [("old", 410), ("wrong", 302), ("cut", 302)] {
        let list = world
            .get(&format!("/actions/runs/{id}/artifacts?name={name}"))
            .await;
        let artifact = &list["artifacts"][0];
        assert_eq!(artifact["digest"].is_null(), name == "old");
        let path = format!("/actions/artifacts/{}/zip", artifact["id"]);
        let answer = world.call(Method::GET, &path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}");
        let Some(url) = answer.headers().get(LOCATION) else {
            continue;
        };
        let zip = world
            .client
            .get(url.to_str().unwrap())
            .send()
            .await
            .unwrap();
        let zip = zip.bytes().await.unwrap();
        assert_eq!(artifact["size_in_bytes"] == zip.len(), name == "wrong");
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&zip)));
        assert_ne!(artifact["digest"], digest, "{name}");
    }
}

#[tokio::test]
async fn a_filtered_list_may_stand_still() {
    let world = World::start().await;
    let ids = |list: &serde_json::Value| -> Vec<u64> {
        let runs = list["workflow_runs"].as_array().unwrap();
        runs.iter().map(|run| run["id"].as_u64().unwrap()).collect()
    };
    let first = world.dispatch(json!({})).await.id;
    world.simulator.freeze_search_index(REPO);
    let second = world.dispatch(json!({})).await.id;
    let filtered = world.get("/actions/runs?event=repository_dispatch").await;
    assert_eq!(
        (ids(&filtered), &filtered["total_count"]),
        (vec![first], &1.into())
    );
    assert_eq!(ids(&world.get("/actions/runs").await), [second, first]);
}

#[tokio::test]
async fn a_concurrency_group_runs_one_and_keeps_the_newest() {
    let world = World::with(Script {
        queue_seconds: 0.0,
        run_seconds: 200.0,
        one_at_a_time: true,
        ..Script::default()
    })
    .await;
    let first = world.dispatch(json!({})).await.id;
    world.until(first, "in_progress").await;
    let second = world.dispatch(json!({})).await.id;
    assert_eq!(
        world.until(second, "queued").await["conclusion"],
        json!(null)
    );
    let third = world.dispatch(json!({})).await.id;
    let dropped = world.until(second, "completed").await;
    assert_eq!(dropped["conclusion"], "cancelled");
    let jobs = world.get(&format!("/actions/runs/{second}/jobs")).await;
    assert_eq!(jobs["total_count"], 0);
    assert_eq!(world.until(third, "queued").await["id"], third);
    assert_eq!(
        world.until(first, "completed").await["conclusion"],
        "success"
    );
    assert_eq!(
        world.until(third, "completed").await["conclusion"],
        "success"
    );
    let runs = world.simulator.runs(REPO);
    assert!(runs[2].started_at >= runs[0].completed_at);
}

#[tokio::test]
async fn what_a_failed_attempt_uploaded_stays_beside_the_next_one_s() {
    let world = World::with(Script {
        queue_seconds: 0.0,
        run_seconds: 0.0,
        conclusions: vec!["failure".into(), "success".into()],
        failed_artifacts: vec![artifact("linux", "a"), artifact("windows", "half")],
        artifacts: vec![artifact("windows", "whole")],
        ..Script::default()
    })
    .await;
    let id = world.dispatch(json!({})).await.id;
    world.until(id, "completed").await;
    let again = format!("/actions/runs/{id}/rerun-failed-jobs");
    assert_eq!(world.post(&again, json!({})).await.status(), 201);
    world.until(id, "completed").await;
    let list = world.get(&format!("/actions/runs/{id}/artifacts")).await;
    let artifacts = list["artifacts"].as_array().unwrap();
    let names: Vec<&str> = artifacts
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["windows", "windows", "linux"], "newest first");
    let (newer, older) = (&artifacts[0], &artifacts[1]);
    assert!(newer["created_at"].as_str() > older["created_at"].as_str());
    assert!(
        newer["id"].as_u64() < older["id"].as_u64(),
        "ids do not tell"
    );
}
