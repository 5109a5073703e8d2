//! What decides call by call what goes wrong, and what is kept of what came about.

use std::sync::Arc;
use std::time::Duration;

use github_simulator::{
    Call, FaultKind, Foreseen, Repository, Script, Settings, Simulator, Weather, WebhookFaultKind,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{REPO, World, artifact, client};

/// Answers nobody who has the other token; loses every webhook.
#[derive(Debug)]
struct Silent;

impl Weather for Silent {
    fn call<'a>(&'a self, call: Call<'a>) -> Foreseen<'a> {
        Box::pin(async move {
            let carried_out = call.path.ends_with("/dispatches");
            (call.token == "another").then_some(FaultKind::Silence { carried_out })
        })
    }

    fn webhook(&self, _: &str, _: &Value) -> Option<WebhookFaultKind> {
        Some(WebhookFaultKind::Lost)
    }
}

async fn world(script: Script) -> World {
    let settings = Settings {
        speed: 1000.0,
        weather: Some(Arc::new(Silent)),
        record: true,
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).await.unwrap();
    simulator.add_token("another");
    simulator.add_repository(Repository {
        script,
        ..Repository::default()
    });
    World {
        simulator,
        client: client(),
    }
}

#[tokio::test]
async fn the_weather_decides_call_by_call() {
    let world = world(Script::default()).await;
    world.simulator.set_webhook("http://127.0.0.1:9", "secret");
    let unanswered = async |method: Method, path: &str| {
        let url = format!("{}/repos/{REPO}{path}", world.simulator.api_url());
        let call = world.client.request(method, url).bearer_auth("another");
        let call = call.json(&json!({ "event_type": "build-chain" }));
        let sent = call.timeout(Duration::from_millis(100)).send().await;
        assert!(sent.unwrap_err().is_timeout());
    };
    unanswered(Method::POST, "/dispatches").await;
    assert_eq!(world.simulator.runs(REPO).len(), 1, "it took effect");
    unanswered(Method::POST, "/releases").await;
    assert!(world.simulator.releases(REPO).is_empty(), "it did not");
    assert_eq!(world.get("").await["full_name"], REPO, "the other token's");
    let answers = world.simulator.answers();
    let lost = |(_, status): &(String, Option<u16>)| status.is_none();
    assert!(
        !answers.is_empty() && answers.iter().all(lost),
        "{answers:?}"
    );
}

#[tokio::test]
async fn every_file_tells_who_built_it() {
    let script = Script {
        queue_seconds: 1.0,
        run_seconds: 1.0,
        artifacts: vec![artifact("linux", "bllvm")],
        provenance: true,
        ..Script::default()
    };
    let world = world(script).await;
    let asked = json!({ "release": "o/r/v1", "version": "v1", "component": "bllvm" });
    let run = world.dispatch(asked).await;
    world.until(run.id, "completed").await;
    let run = world.simulator.runs(REPO).remove(0);
    let artifact = &run.artifacts[0];
    assert!(artifact.sound && !artifact.expired);
    let (name, content) = &artifact.files[0];
    let text = String::from_utf8_lossy(content);
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let expected = json!({
        "repository": REPO, "commit": run.head_sha, "run": run.id, "attempt": 1,
        "actor": "release-bot", "release": "o/r/v1", "version": "v1", "component": "bllvm",
    });
    assert_eq!((name.as_str(), told), ("bllvm", expected));
    assert_eq!(run.attempts.len(), 1);
    assert_eq!(run.attempts[0].completed_at, run.completed_at);
}

#[tokio::test]
async fn what_a_release_looked_like_is_kept() {
    let world = world(Script::default()).await;
    let draft = world.draft("v1").await;
    let uploaded = world.upload(&draft, "bllvm", b"content").await;
    let asset: Value = uploaded.json().await.unwrap();
    let path = format!("/releases/{}", draft["id"]);
    let published = json!({ "draft": false });
    let changed = world.call(Method::PATCH, &path).json(&published).send();
    assert_eq!(changed.await.unwrap().status(), 200);
    for path in [format!("/releases/assets/{}", asset["id"]), path] {
        let deleted = world.call(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(deleted.status(), 204);
    }
    let moments = world.simulator.moments();
    let seen = moments.iter().map(|moment| {
        let release = moment.release.as_ref();
        release.map(|release| (release.draft, release.assets.len()))
    });
    let seen: Vec<_> = seen.collect();
    let expected = [
        Some((true, 0)),
        Some((true, 1)),
        Some((false, 1)),
        Some((false, 0)),
        None,
    ];
    assert_eq!(seen, expected);
    assert!(moments.windows(2).all(|two| two[0].time <= two[1].time));
}
