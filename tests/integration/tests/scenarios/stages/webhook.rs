//! The door, by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;
use commons_webhook::{Door, SigningSecrets, handle};
use github_simulator::{Delivery, signature};
use integration::oracle::Oracle;
use integration::{RELEASE_REPOSITORY, StageWorld};
use serde_json::{Value, json};

const SECRET: &str = "It's a Secret to Everybody";

struct Knock {
    world: StageWorld,
    door: Door,
    secrets: aws_sdk_secretsmanager::Client,
}

struct Answer {
    status: i64,
    sentence: String,
}

impl Knock {
    async fn start() -> Knock {
        let mut world = StageWorld::start().await;
        world.stage.config.state_machine_arn = world.waiting_machine().await;
        let secrets = aws_sdk_secretsmanager::Client::new(&world.aws);
        let created = secrets
            .create_secret()
            .name("signing")
            .secret_string(SECRET);
        created.send().await.unwrap();
        let signing = SigningSecrets::read(world.aws.clone(), "signing".into()).await;
        let door = Door {
            config: world.stage.config.clone(),
            store: world.stage.store.clone(),
            states: world.stage.states.clone(),
            secrets: Arc::new(signing.unwrap()),
        };
        Knock {
            world,
            door,
            secrets,
        }
    }

    async fn send(&self, request: Value) -> Answer {
        let request: ApiGatewayV2httpRequest = serde_json::from_value(request).unwrap();
        let response = handle(&self.door, request).await;
        let Some(Body::Text(text)) = response.body else {
            panic!("no text in the answer");
        };
        let body: Value = serde_json::from_str(&text).unwrap();
        Answer {
            status: response.status_code,
            sentence: body["message"].as_str().unwrap().to_owned(),
        }
    }

    /// Sends what GitHub would: the event's fixture with what is said here.
    async fn event(&self, event: &str, delivery: &str, said: Value) -> Answer {
        let payload = payload(event, said);
        let sent = Delivery {
            event: event.to_owned(),
            payload: payload.clone(),
        };
        if let Some(oracle) = Oracle::get() {
            assert_eq!(oracle.delivery(&sent), Vec::<String>::new());
        }
        self.send(request(event, delivery, &payload.to_string(), SECRET))
            .await
    }

    async fn executions(&self) -> Vec<(String, Value)> {
        let states = &self.world.stage.states;
        let machine = &self.world.stage.config.state_machine_arn;
        let list = states.list_executions().state_machine_arn(machine);
        let mut found = Vec::new();
        for execution in list.send().await.unwrap().executions() {
            let arn = execution.execution_arn();
            let described = states.describe_execution().execution_arn(arn);
            let input = described.send().await.unwrap().input().unwrap().to_owned();
            let input = serde_json::from_str(&input).unwrap();
            found.push((execution.name().to_owned(), input));
        }
        found
    }
}

/// As an HTTP API calls a function, payload format 2.0.
fn request(event: &str, delivery: &str, body: &str, secret: &str) -> Value {
    json!({
        "version": "2.0",
        "rawPath": "/webhook",
        "headers": {
            "content-type": "application/json",
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": signature(secret, body.as_bytes()),
        },
        "requestContext": {"http": {"method": "POST", "path": "/webhook"}},
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A fixture with some of its fields changed.
fn payload(event: &str, said: Value) -> Value {
    let fixture = match event {
        "create" => include_str!("../../../../fixtures/webhooks/create.json"),
        "ping" => include_str!("../../../../fixtures/webhooks/ping.json"),
        "release" => include_str!("../../../../fixtures/webhooks/release.json"),
        "repository_dispatch" => {
            include_str!("../../../../fixtures/webhooks/repository_dispatch.json")
        }
        "workflow_run" => include_str!("../../../../fixtures/webhooks/workflow_run.json"),
        other => panic!("{other} has no fixture"),
    };
    let mut payload = serde_json::from_str(fixture).unwrap();
    merge(&mut payload, said);
    payload
}

fn merge(into: &mut Value, said: Value) {
    match (into, said) {
        (Value::Object(into), Value::Object(said)) => {
            for (name, value) in said {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, said) => *into = said,
    }
}

fn tag(version: &str) -> Value {
    json!({"ref": version, "ref_type": "tag", "repository": {"full_name": RELEASE_REPOSITORY}})
}

#[tokio::test]
async fn a_ping_is_answered() {
    let knock = Knock::start().await;
    assert_eq!(knock.event("ping", "1", json!({})).await.status, 200);
}

#[tokio::test]
async fn only_what_a_secret_signed_comes_in() {
    let knock = Knock::start().await;
    let body = payload("create", tag("v0.1.0")).to_string();
    let good = request("create", "1", &body, SECRET);
    let mut missing = good.clone();
    missing["headers"]
        .as_object_mut()
        .unwrap()
        .remove("x-hub-signature-256");
    let mut altered = good.clone();
    altered["body"] = body.replace("v0.1.0", "v6.6.6").into();
    for bad in [request("create", "1", &body, "another"), missing, altered] {
        let answer = knock.send(bad).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.sentence, "the signature is missing or wrong");
    }
    assert!(knock.executions().await.is_empty());
    assert_eq!(knock.send(good).await.status, 202);
    assert_eq!(knock.executions().await.len(), 1);
}

#[tokio::test]
async fn the_signature_is_over_the_decoded_body() {
    let knock = Knock::start().await;
    let body = payload("create", tag("v0.1.0")).to_string();
    let mut request = request("create", "1", &body, SECRET);
    request["body"] = base64::engine::general_purpose::STANDARD
        .encode(&body)
        .into();
    request["isBase64Encoded"] = true.into();
    assert_eq!(knock.send(request.clone()).await.status, 202);
    request["body"] = "%%%".into();
    assert_eq!(knock.send(request).await.status, 400);
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_refused_in_a_sentence() {
    let knock = Knock::start().await;
    let large = "x".repeat(4 * 1024 * 1024 + 1);
    let answer = knock.send(request("create", "1", &large, SECRET)).await;
    assert_eq!(
        (answer.status, answer.sentence.as_str()),
        (413, "the body is too large")
    );
    for (body, why) in [
        ("{", "the body is not JSON"),
        ("{}", "repository.full_name is missing"),
        ("[1]", "repository.full_name is missing"),
    ] {
        let answer = knock.send(request("create", "1", body, SECRET)).await;
        assert_eq!((answer.status, answer.sentence.as_str()), (400, why));
    }
    let mut nameless = request("create", "1", "{}", SECRET);
    nameless["headers"]
        .as_object_mut()
        .unwrap()
        .remove("x-github-delivery");
    assert_eq!(knock.send(nameless).await.status, 400);
    let run = json!({"action": "completed", "repository": {"full_name": "o/r"}}).to_string();
    let answer = knock.send(request("workflow_run", "1", &run, SECRET)).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let knock = Knock::start().await;
    let mut get = request("ping", "1", "{}", SECRET);
    get["requestContext"]["http"]["method"] = "GET".into();
    assert_eq!(knock.send(get).await.status, 405);
    let mut elsewhere = request("ping", "1", "{}", SECRET);
    elsewhere["requestContext"]["http"]["path"] = "/admin".into();
    assert_eq!(knock.send(elsewhere).await.status, 404);
}

#[tokio::test]
async fn a_redelivery_starts_nothing_more() {
    let knock = Knock::start().await;
    let first = knock.event("create", "d-1", tag("v0.1.0")).await;
    assert!(
        first.sentence.starts_with("started arn:"),
        "{}",
        first.sentence
    );
    let again = knock.event("create", "d-1", tag("v0.1.0")).await;
    assert_eq!(
        (again.status, again.sentence.as_str()),
        (202, "started before")
    );
    let executions = knock.executions().await;
    assert_eq!(executions.len(), 1);
    assert_eq!(executions[0].0, "v0-1-0-d-1");
    assert_eq!(executions[0].1, json!({"version": "v0.1.0"}));
}

#[tokio::test]
async fn a_published_release_starts_one_too_as_a_prerelease_if_it_is_one() {
    let knock = Knock::start().await;
    let payload = |action: &str, repository: &str| {
        json!({
            "action": action,
            "release": {"tag_name": "v0.3.0", "prerelease": true},
            "repository": {"full_name": repository},
        })
    };
    for ignored in [
        payload("created", RELEASE_REPOSITORY),
        payload("published", "BTCDecoded/bllvm-sdk"),
    ] {
        assert_eq!(
            knock.event("release", "1", ignored).await.sentence,
            "ignored"
        );
    }
    assert!(knock.executions().await.is_empty());
    let answer = knock
        .event("release", "2", payload("published", RELEASE_REPOSITORY))
        .await;
    assert_eq!(answer.status, 202);
    let executions = knock.executions().await;
    assert_eq!(
        executions[0].1,
        json!({"version": "v0.3.0", "prerelease": true})
    );
}

#[tokio::test]
async fn components_tags_branches_and_other_events_are_ignored() {
    let knock = Knock::start().await;
    let repository = json!({"full_name": RELEASE_REPOSITORY});
    for (event, payload) in [
        (
            "create",
            json!({"ref": "v1.0.0", "ref_type": "tag", "repository": {"full_name": "BTCDecoded/bllvm-sdk"}}),
        ),
        (
            "create",
            json!({"ref": "v1.0.0", "ref_type": "branch", "repository": repository}),
        ),
        (
            "create",
            json!({"ref": "latest", "ref_type": "tag", "repository": repository}),
        ),
        (
            "repository_dispatch",
            json!({"action": "build-chain", "repository": repository}),
        ),
    ] {
        let answer = knock.event(event, "1", payload).await;
        assert_eq!(answer.status, 202);
        assert!(
            answer.sentence.starts_with("ignored"),
            "{}",
            answer.sentence
        );
    }
    for event in ["push", "star", "check_run"] {
        let body = json!({"ref": "refs/tags/v1.0.0", "repository": repository}).to_string();
        let answer = knock.send(request(event, "1", &body, SECRET)).await;
        assert_eq!(
            (answer.status, answer.sentence.as_str()),
            (202, "ignored"),
            "{event}"
        );
    }
    assert!(knock.executions().await.is_empty());
}

#[tokio::test]
async fn a_repository_is_the_same_in_any_case() {
    let knock = Knock::start().await;
    let mut shouted = tag("v0.1.0");
    shouted["repository"]["full_name"] = RELEASE_REPOSITORY.to_uppercase().into();
    let answer = knock.event("create", "1", shouted).await;
    assert!(
        answer.sentence.starts_with("started arn:"),
        "{}",
        answer.sentence
    );
}

#[tokio::test]
async fn only_a_failed_or_cancelled_version_starts_again() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    for (n, (status, starts)) in [
        (ReleaseStatus::Planning, false),
        (ReleaseStatus::Building, false),
        (ReleaseStatus::Publishing, false),
        (ReleaseStatus::Published, false),
        (ReleaseStatus::Drafted, false),
        (ReleaseStatus::Failed, true),
        (ReleaseStatus::Cancelled, true),
    ]
    .into_iter()
    .enumerate()
    {
        let before = knock.world.release().await;
        let mut after = before.clone();
        after.status = status;
        let store = &knock.world.stage.store;
        store
            .change_release(&before, &after, "the test")
            .await
            .unwrap();
        let answer = knock.event("create", &n.to_string(), tag("v0.1.0")).await;
        assert_eq!(answer.status, 202);
        let started = answer.sentence.starts_with("started arn:");
        assert_eq!(started, starts, "{status:?}: {}", answer.sentence);
    }
}

#[tokio::test]
async fn a_run_wakes_the_build_that_claimed_it() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    knock.world.built("bllvm-sdk").await;
    let before = knock.world.build("bllvm-sdk").await;
    let run = json!({
        "action": "completed",
        "workflow_run": {"id": before.workflow_run_id, "conclusion": "failure"},
        "repository": {"full_name": "BTCDecoded/bllvm-sdk"},
    });
    let answer = knock.event("workflow_run", "1", run).await;
    assert!(
        answer.sentence.starts_with("woke bllvm-sdk"),
        "{}",
        answer.sentence
    );
    let after = knock.world.build("bllvm-sdk").await;
    assert_eq!(after.seq, before.seq + 1);
    // A wake-up is only a hint.
    assert_eq!(after.status, BuildStatus::Success);
}

#[tokio::test]
async fn a_run_without_a_claim_wakes_who_holds_the_repositorys_lock() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    knock.world.dispatch("bllvm-sdk").await.unwrap();
    let before = knock.world.build("bllvm-sdk").await;
    let run = |repository: &str| {
        json!({
            "action": "requested",
            "workflow_run": {"id": 77},
            "repository": {"full_name": repository},
        })
    };
    let answer = knock
        .event("workflow_run", "1", run("BTCDecoded/bllvm-sdk"))
        .await;
    assert!(
        answer.sentence.starts_with("woke bllvm-sdk"),
        "{}",
        answer.sentence
    );
    assert_eq!(knock.world.build("bllvm-sdk").await.seq, before.seq + 1);
    let nobody = knock
        .event("workflow_run", "2", run("BTCDecoded/bllvm-node"))
        .await;
    assert!(
        nobody.sentence.starts_with("ignored"),
        "{}",
        nobody.sentence
    );
}

#[tokio::test]
async fn a_claimed_run_that_begins_is_noted_and_wakes_nobody() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    knock.world.dispatch("bllvm-sdk").await.unwrap();
    knock
        .world
        .polled("bllvm-sdk", commons_poll::Next::Normal)
        .await;
    let before = knock.world.build("bllvm-sdk").await;
    let run = json!({
        "action": "in_progress",
        "workflow_run": {"id": before.workflow_run_id, "run_attempt": 1},
        "repository": {"full_name": "BTCDecoded/bllvm-sdk"},
    });
    let answer = knock.event("workflow_run", "1", run.clone()).await;
    let noted = "noted: the run of bllvm-sdk";
    assert!(answer.sentence.starts_with(noted), "{}", answer.sentence);
    let after = knock.world.build("bllvm-sdk").await;
    assert_eq!((after.seq, after.woken), (before.seq, true));
    // One that nobody has claimed is looked for.
    let mut other = run;
    other["workflow_run"]["id"] = 77.into();
    other["repository"]["full_name"] = "BTCDecoded/bllvm-consensus".into();
    knock.world.dispatch("bllvm-consensus").await.unwrap();
    let answer = knock.event("workflow_run", "2", other).await;
    let woke = "woke bllvm-consensus";
    assert!(answer.sentence.starts_with(woke), "{}", answer.sentence);
}

#[tokio::test]
async fn build_complete_wakes_and_is_never_believed() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    knock.world.dispatch("bllvm-sdk").await.unwrap();
    let before = knock.world.build("bllvm-sdk").await;
    let said = |client_payload: Value| {
        json!({
            "action": "build-complete",
            "client_payload": client_payload,
            "repository": {"full_name": "BTCDecoded/bllvm-commons"},
        })
    };
    let payload = json!({
        "repo": "bllvm-sdk", "status": "success", "release_version": "v0.1.0",
        "workflow_run_id": "4711", "error_message": "",
    });
    let answer = knock.event("repository_dispatch", "1", said(payload)).await;
    assert!(
        answer.sentence.starts_with("woke bllvm-sdk"),
        "{}",
        answer.sentence
    );
    let after = knock.world.build("bllvm-sdk").await;
    assert_eq!((after.seq, after.status), (before.seq + 1, before.status));
    assert_eq!(after.workflow_run_id, None);
    let nameless = knock
        .event(
            "repository_dispatch",
            "2",
            said(json!({"status": "success"})),
        )
        .await;
    assert_eq!(nameless.status, 400);
}

#[tokio::test]
async fn the_secret_before_the_present_one_is_accepted_after_a_rotation() {
    let knock = Knock::start().await;
    let rotated = knock
        .secrets
        .put_secret_value()
        .secret_id("signing")
        .secret_string("new");
    rotated.send().await.unwrap();
    let signing = SigningSecrets::read(knock.world.aws.clone(), "signing".into()).await;
    let door = Door {
        secrets: Arc::new(signing.unwrap()),
        ..knock.door.clone()
    };
    for (secret, status) in [("new", 200), (SECRET, 200), ("older", 401)] {
        let ping = serde_json::from_value(request("ping", "1", "{}", secret)).unwrap();
        let response = handle(&door, ping).await;
        assert_eq!(response.status_code, status, "{secret}");
    }
}

#[tokio::test]
async fn a_warm_answer_takes_less_than_a_tenth_of_a_second() {
    let knock = Knock::start().await;
    knock.world.planned().await;
    let mut times: Vec<Duration> = Vec::new();
    for n in 0..21 {
        let began = Instant::now();
        let answer = knock.event("create", &n.to_string(), tag("v0.1.0")).await;
        times.push(began.elapsed());
        assert_eq!(answer.status, 202);
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(100), "{times:?}");
}

/// The door reads the secret again at most twice a minute: it waits for that.
#[tokio::test]
async fn a_rotated_secret_is_accepted_by_a_door_that_runs() {
    let knock = Knock::start().await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let rotated = knock.secrets.put_secret_value();
    let rotated = rotated.secret_id("signing").secret_string("new");
    rotated.send().await.unwrap();
    for (secret, status) in [("new", 200), (SECRET, 200), ("older", 401)] {
        let body = payload("ping", json!({})).to_string();
        let answer = knock.send(request("ping", "1", &body, secret)).await;
        assert_eq!(answer.status, status, "{secret}");
    }
}
