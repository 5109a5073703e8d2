//! Secrets that can be told apart are looked for in everything that is written.

use std::collections::BTreeMap;

use github_simulator::{Fault, FaultKind, Script};
use integration::{RELEASE_REPOSITORY, World};
use local_cloud::Service;
use secrecy::ExposeSecret as _;
use serde_json::json;

const TOKEN: &str = "canary-token-4f1d6b1c8a";
const WEBHOOK_SECRET: &str = "canary-signature-77b0c2e9d3";
/// What all of them begin with.
const CANARY: &str = "canary-";

/// Everything that a release writes, by the kind of place.
async fn written(world: &World) -> BTreeMap<&'static str, Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut add = |kind, text: String| found.entry(kind).or_default().push(text);

    let log = std::fs::read(&world.log).unwrap();
    add(
        "the cloud's log",
        String::from_utf8_lossy(&log).into_owned(),
    );
    let call = async |service, action: &str, body| {
        let answer = world.account.call(service, action, body).await;
        answer.unwrap()
    };
    let groups = call(Service::Logs, "DescribeLogGroups", json!({})).await;
    for group in groups["logGroups"].as_array().unwrap() {
        let mut body = json!({"logGroupName": group["logGroupName"]});
        loop {
            let page = call(Service::Logs, "FilterLogEvents", body.clone()).await;
            add("a function's log", page.to_string());
            if page["nextToken"].is_null() {
                break;
            }
            body["nextToken"] = page["nextToken"].clone();
        }
    }

    let mut executions: Vec<String> = Vec::new();
    for execution in world.executions().await {
        let arn = execution["executionArn"].as_str().unwrap().to_owned();
        executions.extend(world.children(&arn).await);
        executions.push(arn);
    }
    for execution in executions {
        let arn = json!({"executionArn": execution});
        let state = call(Service::States, "DescribeExecution", arn).await;
        add("an execution", state.to_string());
        for event in world.history(&execution).await {
            add("a history", event.to_string());
        }
    }

    for item in world.table().await {
        add("the table", item.to_string());
    }
    for (key, bytes) in world.objects().await {
        add("the bucket", key);
        add("the bucket", String::from_utf8_lossy(&bytes).into_owned());
    }
    for release in world.github.releases(RELEASE_REPOSITORY) {
        add("a release", release.body);
        for asset in release.assets {
            add("an asset", asset.name);
            add(
                "an asset",
                String::from_utf8_lossy(&asset.content).into_owned(),
            );
        }
    }
    for mut exchange in world.github.exchanges() {
        if exchange.route.ends_with("/access_tokens") {
            // Where it comes from.
            let token = exchange.response.as_mut().and_then(|r| r.get_mut("token"));
            token.map(serde_json::Value::take);
        }
        add("a call to GitHub", format!("{exchange:?}"));
    }
    found
}

/// None of these is in what is written; and what is looked through is what was meant.
async fn nothing_shows(world: &World, secrets: &[String]) {
    let written = written(world).await;
    let kinds = [
        "a call to GitHub",
        "a function's log",
        "a history",
        "a release",
        "an asset",
        "an execution",
        "the bucket",
        "the cloud's log",
        "the table",
    ];
    assert_eq!(written.keys().copied().collect::<Vec<_>>(), kinds);
    for (kind, texts) in &written {
        let whole = texts
            .iter()
            .any(|text| text.to_lowercase().contains("bllvm"));
        assert!(whole || *kind == "the cloud's log", "{kind} is empty");
        for text in texts {
            for secret in secrets {
                let at = text.find(secret.as_str());
                let at = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(80))..]);
                assert_eq!(at, None, "in {kind}");
            }
        }
    }
}

/// How many of the kept secrets hold this.
async fn kept(world: &World, what: &str) -> usize {
    let secrets = world
        .account
        .call(Service::Secrets, "ListSecrets", json!({}));
    let secrets = secrets.await.unwrap();
    let mut kept = 0;
    for secret in secrets["SecretList"].as_array().unwrap() {
        let id = json!({"SecretId": secret["ARN"]});
        let value = world.account.call(Service::Secrets, "GetSecretValue", id);
        let value = value.await.unwrap()["SecretString"].to_string();
        kept += usize::from(value.contains(what));
    }
    kept
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    let world = World::start_with_secrets(TOKEN, WEBHOOK_SECRET).await;
    // One that arrives, started by a signed webhook.
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    assert_eq!(world.ended(&execution).await["status"], "SUCCEEDED");
    // One whose build fails, and one whose token GitHub suddenly refuses, aloud.
    let failing = Script {
        conclusions: vec!["failure".into()],
        run_seconds: 60.0,
        ..Script::default()
    };
    world.github.script("BTCDecoded/bllvm-protocol", failing);
    let execution = world.release("v0.2.0").await;
    assert_eq!(world.ended(&execution).await["status"], "FAILED");
    world.github.fault(Fault {
        method: "GET".into(),
        route: "/repos/{owner}/{repo}".into(),
        repo: None,
        times: 100,
        kind: FaultKind::Status(401, None),
    });
    let execution = world.release("v0.3.0").await;
    assert_eq!(world.ended(&execution).await["status"], "FAILED");
    // Deliveries that are refused and ignored.
    let http = local_cloud::http_client().unwrap();
    let forged = http.post(&world.stack.webhook_url).body(WEBHOOK_SECRET);
    assert_eq!(forged.send().await.unwrap().status().as_u16(), 401);
    let ignored = world
        .github
        .send_webhook("star", json!({"action": "created"}));
    ignored.await.unwrap();

    nothing_shows(&world, &[CANARY.to_owned()]).await;
    assert_eq!(kept(&world, CANARY).await, 2, "they were in use");
    world.stop().await;
}

#[tokio::test]
async fn no_secret_of_an_app_is_written_anywhere() {
    let app = crate::apps::app();
    let stored = crate::apps::secret(&app);
    let world = World::start_with_secrets(stored.expose_secret(), WEBHOOK_SECRET).await;
    world.github.set_app(app.clone());
    // The functions as they are deployed release by the App's tokens.
    let execution = world.release("v0.1.0").await;
    assert_eq!(world.ended(&execution).await["status"], "SUCCEEDED");
    let runs = world.github.runs("BTCDecoded/bllvm-sdk");
    assert_eq!(runs[0].actor, "release-train[bot]");
    let minted = world.github.minted();
    // One whose tokens GitHub does not know any more, and mints none.
    for token in &minted {
        world.github.revoke_token(&token.token);
    }
    let mut gone = app.clone();
    gone.installations.clear();
    world.github.set_app(gone);
    let execution = world.release("v0.2.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED");
    let why = ended["cause"].as_str().unwrap_or_default();
    assert!(why.contains("the App is not installed for"), "{why}");

    let mut secrets: Vec<String> = minted.into_iter().map(|minted| minted.token).collect();
    assert!(secrets.len() >= 6, "one per stage and component");
    let pem = app.private_key();
    secrets.extend(
        pem.lines()
            .map(str::to_owned)
            .filter(|line| !line.starts_with('-')),
    );
    // The header of every JWT.
    secrets.push("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9".into());
    nothing_shows(&world, &secrets).await;
    let line = pem.lines().nth(1).unwrap();
    assert_eq!(kept(&world, line).await, 1, "it was in use");
    world.stop().await;
}
