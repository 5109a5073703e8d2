//! Tokens, files, references, and what every answer carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use github_simulator::{Settings, Simulator, fixture_repositories};
use reqwest::Method;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::{REPO, World};

#[tokio::test]
async fn a_known_token_is_required() {
    let world = World::start().await;
    let url = format!("{}/user", world.simulator.api_url());
    let call = || world.client.get(&url);
    assert_eq!(call().send().await.unwrap().status(), 401);
    let refused = call().bearer_auth("other").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(
        refused.json::<Value>().await.unwrap()["message"],
        "Bad credentials"
    );
    let answer = call().bearer_auth("simulated-token").send().await.unwrap();
    for name in ["limit", "remaining", "reset", "used", "resource"] {
        assert!(
            answer.headers().contains_key(format!("x-ratelimit-{name}")),
            "{name}"
        );
    }
    assert!(answer.headers().contains_key("date"));
    assert_eq!(
        answer.json::<Value>().await.unwrap()["login"],
        "release-bot"
    );
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let world = World::start().await;
    for path in [
        "/contents/none",
        "/git/ref/tags/none",
        "/actions/runs/1",
        "/nothing",
    ] {
        let answer = world.call(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(
            (&body["message"], &body["status"]),
            (&json!("Not Found"), &json!("404"))
        );
    }
    assert_eq!(
        world.simulator.calls()["GET /repos/{owner}/{repo}/contents/{path}"],
        1
    );
    assert_eq!(world.simulator.requests().last().unwrap().status, 404);
}

#[tokio::test]
async fn files_are_read_as_json_or_raw() {
    let world = World::start().await;
    let expected = b"[versions]\n".repeat(20);
    let file = world.get("/contents/versions.toml?ref=main").await;
    let encoded = file["content"].as_str().unwrap();
    assert!(encoded.contains('\n'));
    assert_eq!(
        STANDARD.decode(encoded.replace('\n', "")).unwrap(),
        expected
    );
    let raw = world.call(Method::GET, "/contents/versions.toml");
    let raw = raw
        .header(ACCEPT, "application/vnd.github.raw+json")
        .send()
        .await
        .unwrap();
    assert_eq!(raw.bytes().await.unwrap(), expected);
    assert_eq!(world.get("/contents").await[0]["name"], "versions.toml");
}

#[tokio::test]
async fn heads_move_and_compare() {
    let world = World::start().await;
    let before = world.get("/git/ref/heads/main").await["object"]["sha"].clone();
    let after = world.simulator.push_commit(REPO);
    assert_eq!(
        world.get("/git/ref/heads/main").await["object"]["sha"],
        after
    );
    let compared = world
        .get(&format!("/compare/{}...{after}", before.as_str().unwrap()))
        .await;
    assert_eq!(
        (&compared["status"], &compared["ahead_by"]),
        (&json!("ahead"), &json!(1))
    );
}

#[tokio::test]
async fn comparisons_come_by_pages_and_show_merges() {
    let world = World::start().await;
    let before = world.simulator.push_commit(REPO);
    for n in 0..255 {
        world.simulator.commit(REPO, &format!("feat: {n}"));
    }
    let after = world.simulator.merge(REPO, "Merge a branch");
    let path = format!("/compare/{before}...{after}");
    let whole = world.get(&path).await;
    assert_eq!(whole["total_commits"], 256);
    let commits = whole["commits"].as_array().unwrap();
    assert_eq!((commits.len(), &commits[249]["sha"]), (250, &json!(after)));
    let last = world.get(&format!("{path}?per_page=100&page=3")).await;
    assert_eq!(last["total_commits"], 256);
    let commits = last["commits"].as_array().unwrap();
    assert_eq!(commits.len(), 56);
    assert_eq!(commits[0]["commit"]["message"], "feat: 200");
    let parents = |commit: &serde_json::Value| commit["parents"].as_array().unwrap().len();
    assert_eq!((parents(&commits[0]), parents(&commits[55])), (1, 2));
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let world = World::start().await;
    let answer = world.call(Method::GET, "").send().await.unwrap();
    let etag = answer.headers()[ETAG].clone();
    let again = world
        .call(Method::GET, "")
        .header(IF_NONE_MATCH, &etag)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (again.status().as_u16(), again.bytes().await.unwrap().len()),
        (304, 0)
    );
    world.simulator.push_commit(REPO);
    let commit = world
        .call(Method::GET, "/commits/main")
        .header(IF_NONE_MATCH, &etag);
    assert_eq!(commit.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_fixture_serves_its_workflow_and_stops() {
    let simulator = Simulator::start(Settings::default()).await.unwrap();
    for repository in fixture_repositories(
        include_str!("../../../fixtures/versions.toml"),
        "BTCDecoded/bllvm",
    )
    .unwrap()
    {
        simulator.add_repository(repository);
    }
    let get = |path: &str| {
        let url = format!("{}/repos/BTCDecoded/{path}", simulator.api_url());
        let call = crate::client().get(url).bearer_auth("simulated-token");
        call.header(ACCEPT, "application/vnd.github.raw+json")
            .send()
    };
    let file = get("bllvm-node/contents/.github/workflows/build.yml")
        .await
        .unwrap();
    assert!(file.text().await.unwrap().contains("build-chain"));
    assert_eq!(
        get("bllvm/contents/versions.toml").await.unwrap().status(),
        200
    );
    let url = format!("{}/user", simulator.api_url());
    simulator.stop().await;
    assert!(crate::client().get(url).send().await.is_err());
}
