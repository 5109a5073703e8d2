//! The oracle catches what GitHub would not say or take. That it finds nothing else to
//! say of any test is checked when each test's world stops.

use github_simulator::{Delivery, Exchange, Repository, Settings, Simulator};
use integration::oracle::{self, Oracle};
use integration::{RELEASE_REPOSITORY, StageWorld, World};
use reqwest::Method;
use serde_json::{Value, json};

/// A call of Plan's, as it was carried out.
async fn genuine(route: &str) -> Exchange {
    let world = StageWorld::start().await;
    world.planned().await;
    let mut exchanges = world.github.exchanges();
    exchanges.retain(|e| e.route == route && e.status == 200);
    exchanges.remove(0)
}

fn one_fault(faults: &[String], words: &str) {
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(words), "{faults:?}");
}

#[tokio::test]
async fn a_wrong_answer_is_caught() {
    let Some(oracle) = Oracle::get() else {
        return;
    };
    let right = genuine("/repos/{owner}/{repo}").await;
    assert_eq!(oracle.exchange(&right), Vec::<String>::new());
    let with = |change: fn(&mut Value)| {
        let mut wrong = right.clone();
        change(wrong.response.as_mut().unwrap());
        oracle.exchange(&wrong)
    };
    let missing = with(|answer| {
        answer.as_object_mut().unwrap().remove("default_branch");
    });
    one_fault(&missing, "default_branch");
    one_fault(&with(|answer| answer["id"] = json!("7")), "integer");
    one_fault(&with(|answer| answer["name"] = Value::Null), "null");
    let mut status = right.clone();
    status.status = 299;
    one_fault(&oracle.exchange(&status), "is never answered 299");
}

#[tokio::test]
async fn a_wrong_request_is_caught() {
    let Some(oracle) = Oracle::get() else {
        return;
    };
    let dispatch = |request: Option<Value>| Exchange {
        time: jiff::Timestamp::UNIX_EPOCH,
        method: "POST".into(),
        route: "/repos/{owner}/{repo}/dispatches".into(),
        parameters: Vec::new(),
        request,
        status: 204,
        response: None,
    };
    let right = dispatch(Some(
        json!({"event_type": "build-chain", "client_payload": {}}),
    ));
    assert_eq!(oracle.exchange(&right), Vec::<String>::new());
    let of = |request| oracle.exchange(&dispatch(request));
    one_fault(&of(Some(json!({"client_payload": {}}))), "event_type");
    one_fault(&of(Some(json!({"event_type": 7}))), "string");
    one_fault(&of(None), "wants a body");
    let mut many = Value::Object(serde_json::Map::new());
    for n in 0..11 {
        many[format!("key{n}")] = n.into();
    }
    let many = json!({"event_type": "build-chain", "client_payload": many});
    one_fault(&of(Some(many)), "10");
    let mut parameter = right.clone();
    parameter.parameters.push("force".into());
    one_fault(
        &oracle.exchange(&parameter),
        "the parameter force is unknown",
    );
    let mut elsewhere = right;
    elsewhere.route = "/repos/{owner}/{repo}/launches".into();
    one_fault(&oracle.exchange(&elsewhere), "GitHub has no such call");
}

#[tokio::test]
async fn every_webhook_that_starts_or_wakes_is_one_that_github_sends() {
    let world = World::start().await;
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    world.ended(&execution).await;
    let deliveries = world.github.deliveries();
    let Some(oracle) = Oracle::get() else {
        return;
    };
    for event in ["create", "release", "workflow_run"] {
        let sent: Vec<&Delivery> = deliveries.iter().filter(|d| d.event == event).collect();
        assert!(!sent.is_empty(), "no {event} was sent");
        let mut wrong = sent[0].clone();
        wrong.payload.as_object_mut().unwrap().remove("repository");
        let faults = oracle.delivery(&wrong);
        assert!(
            faults.iter().any(|fault| fault.contains("repository")),
            "{faults:?}"
        );
    }
    let unknown = Delivery {
        event: "launch".into(),
        payload: json!({}),
    };
    one_fault(&oracle.delivery(&unknown), "GitHub sends no");
    world.stop().await;
}

#[test]
fn every_fixture_of_a_webhook_is_one_that_github_sends() {
    let Some(oracle) = Oracle::get() else {
        return;
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/webhooks");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let delivery = Delivery {
            event: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            payload: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
        };
        assert_eq!(oracle.delivery(&delivery), Vec::<String>::new());
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// What people's tools and verifiers ask for is answered as GitHub would, though no stage
/// asks for it.
#[tokio::test]
async fn every_answer_that_no_stage_asks_for_is_one_of_github() {
    let settings = Settings {
        record: true,
        ..Settings::default()
    };
    let token = settings.token.clone();
    let github = Simulator::start(settings).await.unwrap();
    github.add_repository(Repository::default());
    let name = Repository::default().name;
    let client = reqwest::Client::builder().user_agent("test").build();
    let client = client.unwrap();
    let ask = async |method: Method, path: &str, body: Option<Value>, status: u16| -> Value {
        let url = format!("{}/repos/{name}{path}", github.api_url());
        let mut call = client.request(method, url).bearer_auth(&token);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        answer.json().await.unwrap()
    };
    let read = async |path: &str, status: u16| ask(Method::GET, path, None, status).await;

    let first = read("/commits/main", 200).await["sha"].clone();
    let first = first.as_str().unwrap();
    let second = github.push_commit(&name);
    read(&format!("/compare/{first}...{second}"), 200).await;
    read(
        &format!("/compare/{second}...{first}?per_page=1&page=2"),
        200,
    )
    .await;
    read("/compare/main...nowhere", 404).await;

    let tag = |tag: &str| Some(json!({"ref": format!("refs/tags/{tag}"), "sha": first}));
    ask(Method::POST, "/git/refs", tag("v1"), 201).await;
    ask(Method::POST, "/git/refs", tag("v1"), 422).await;
    let object = github.annotate_tag(&name, "v2", "The second");
    for tag in ["v1", "v2"] {
        read(&format!("/git/ref/tags/{tag}"), 200).await;
    }
    read(&format!("/git/tags/{object}"), 200).await;
    read("/git/tags/0123456", 404).await;

    read("/releases/latest", 404).await;
    let release = |make_latest: &str, prerelease: bool| {
        let (tag_name, prerelease) = (make_latest, prerelease);
        Some(json!({"tag_name": tag_name, "make_latest": make_latest, "prerelease": prerelease}))
    };
    for make_latest in ["true", "false", "legacy"] {
        ask(Method::POST, "/releases", release(make_latest, false), 201).await;
    }
    ask(Method::POST, "/releases", release("true", true), 422).await;
    assert_eq!(read("/releases/latest", 200).await["tag_name"], "legacy");
    read("/immutable-releases", 404).await;
    github.add_repository(Repository {
        immutable_releases: true,
        ..Repository::default()
    });
    read("/immutable-releases", 200).await;
    oracle::check(&github);
}
