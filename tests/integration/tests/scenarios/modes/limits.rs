//! Limits of GitHub's and of AWS's, and what is lost on the way between them.

use std::time::Duration;

use github_simulator::{Artifact, FaultKind, Request, WebhookFault, WebhookFaultKind};
use integration::{COMPONENTS, RELEASE_REPOSITORY, World};
use local_cloud::Service;
use serde_json::{Value, json};

use super::*;

/// Simulated seconds per real one, as the worlds have it.
const SPEED: u64 = 120;

/// How long each refused call of a route was not made again, in real time. Others that
/// were on their way with it are not meant.
fn waited(world: &World, method: &str, path: &str) -> Vec<Duration> {
    let mut calls = world.github.requests();
    calls.retain(|call| call.method == method && call.path.contains(path));
    let waited = |(refused, call): (usize, &Request)| {
        let same = |next: &&Request| (&next.path, &next.query) == (&call.path, &call.query);
        let again = calls[refused + 1..].iter().find(same).unwrap();
        Duration::try_from(again.time - call.time).unwrap()
    };
    let calls = calls.iter().enumerate();
    let refused = calls.filter(|(_, call)| call.status == 403);
    refused.map(waited).collect()
}

/// Secondary limits, of writes and of reads, that say how long they hold or do not: what
/// GitHub asks to wait is waited for, a minute where it names no time, and no attempt is
/// counted.
async fn limits_are_waited_for() {
    let world = world_with(CHAIN, |_| {}).await;
    let home = RELEASE_REPOSITORY;
    let run = format!("/repos/{CONSENSUS}/actions/runs/");
    let mut limited = Vec::new();
    for (method, route, repository, path) in [
        (
            "POST",
            DISPATCHES,
            CONSENSUS,
            format!("/repos/{CONSENSUS}/dispatches"),
        ),
        ("GET", RUN, CONSENSUS, run),
        (
            "POST",
            ASSETS,
            home,
            format!("/uploads/repos/{home}/releases/"),
        ),
        ("PATCH", RELEASE, home, format!("/repos/{home}/releases/")),
    ] {
        for seconds in [Some(2 * SPEED), None] {
            let kind = FaultKind::SecondaryLimit(seconds);
            fault(&world, method, route, repository, kind, 1);
        }
        limited.push((method, path));
    }
    arrives(&world).await;
    for (method, path) in limited {
        let waited = waited(&world, method, &path);
        assert_eq!(waited.len(), 2, "{path}");
        assert!(waited[0] >= Duration::from_secs(2), "{path}: {waited:?}");
        assert!(
            waited[1] >= Duration::from_millis(500),
            "{path}: {waited:?}"
        );
    }
    for (repository, component) in [(CONSENSUS, "bllvm-consensus"), (home, "bllvm")] {
        assert_eq!(ours(&world, repository).len(), 1, "{component}");
        assert_eq!(build(&world, component).await["retry_count"], 0);
    }
    world.stop().await;
}

/// The token is replaced and revoked while a run is waited for: what was warm before
/// works with the new one.
async fn a_token_that_dies_mid_wait_is_replaced() {
    let world = scripted(CHAIN, CONSENSUS, |script| script.run_seconds = 1200.0).await;
    let execution = world.release(VERSION).await;
    let running = async || build(&world, "bllvm-consensus").await["status"] == "in_progress";
    until("it runs", running).await;
    let old = "simulated-token";
    let call = async |action: &str, body: Value| {
        let answer = world.account.call(Service::Secrets, action, body).await;
        answer.unwrap()
    };
    let secrets = call("ListSecrets", json!({})).await;
    world.github.add_token("another-token");
    let mut replaced = 0;
    for secret in secrets["SecretList"].as_array().unwrap() {
        let id = json!({"SecretId": secret["ARN"]});
        if call("GetSecretValue", id).await["SecretString"] == old {
            let new = json!({"SecretId": secret["ARN"], "SecretString": "another-token"});
            call("PutSecretValue", new).await;
            replaced += 1;
        }
    }
    assert_eq!(replaced, 1);
    // No call is that long.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(running().await, "it is revoked while the run goes on");
    world.github.revoke_token(old);
    has_arrived(&world, &execution).await;
    let refused = world.github.requests().into_iter();
    assert_eq!(refused.filter(|r| r.status == 401).count(), 0);
    world.stop().await;
}

#[test]
fn mode_11_secondary_limits_and_tokens_that_die_mid_wait() {
    play([
        || Box::pin(limits_are_waited_for()),
        || Box::pin(a_token_that_dies_mid_wait_is_replaced()),
    ]);
}

/// In one train: the tag is told twice, the runs of one component never, of another when
/// the release is long over, of a third twice.
#[tokio::test]
async fn mode_14_webhooks_are_lost_late_or_doubled() {
    let world = world_with(SIX, |_| {}).await;
    for (event, component, kind) in [
        ("create", "bllvm", WebhookFaultKind::Doubled),
        ("workflow_run", "bllvm-consensus", WebhookFaultKind::Lost),
        ("workflow_run", "bllvm-protocol", WebhookFaultKind::Doubled),
        ("workflow_run", "bllvm-sdk", WebhookFaultKind::Late(8.0)),
    ] {
        world.github.webhook_fault(WebhookFault {
            event: event.into(),
            repo: Some(format!("BTCDecoded/{component}")),
            times: 100,
            kind,
        });
    }
    world.github.create_tag(RELEASE_REPOSITORY, VERSION);
    let execution = world.first_execution().await;
    let seen = has_arrived(&world, &execution).await;
    until("the late ones come", async || {
        world.github.answers().len() == world.github.deliveries().len()
    })
    .await;
    let told = |status: Option<u16>| {
        let answers = world.github.answers().into_iter();
        answers
            .filter(|(event, answer)| event == "workflow_run" && *answer == status)
            .count()
    };
    // Each run is requested, in progress and completed.
    assert_eq!((told(None), told(Some(202))), (3, 5 * 3));

    for component in COMPONENTS {
        let build = build(&world, component).await;
        assert_eq!(build["retry_count"], 0, "{build}");
        let lost = component == "bllvm-consensus";
        assert_eq!(
            build["woken"].as_bool().unwrap_or_default(),
            !lost,
            "{build}"
        );
        let repository = format!("BTCDecoded/{component}");
        assert_eq!(ours(&world, &repository).len(), 1, "{component}");
    }
    assert_eq!(world.executions().await.len(), 1, "the tag started one");
    let after = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((after.len(), after[0].id), (1, seen.id));
    world.stop().await;
}

/// The states that an execution entered, in order.
fn entered(history: &[Value]) -> Vec<&str> {
    let names = history
        .iter()
        .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str());
    names.collect()
}

/// Two builds of twenty minutes, one without webhooks. The local cloud keeps which states
/// were entered, not all events that AWS would count; so what is seen is what they grow
/// with: the release's own history not at all, a child's with its looks only, by the same
/// few states each, and the looks get fewer where webhooks come.
#[tokio::test]
async fn mode_15_the_wait_loop_outgrows_25_000_events() {
    let manifest = format!("{CHAIN}bllvm-sdk = {{ version = \"0.1.0\" }}\n");
    let world = world_with(&manifest, |repository| {
        if repository.name != RELEASE_REPOSITORY {
            repository.script.run_seconds = 1200.0;
        }
    })
    .await;
    world.github.webhook_fault(WebhookFault {
        event: "workflow_run".into(),
        repo: Some(CONSENSUS.into()),
        times: 100,
        kind: WebhookFaultKind::Lost,
    });
    let execution = world.release(VERSION).await;
    has_arrived(&world, &execution).await;
    let own = world.history(&execution).await;
    let states = [
        "Plan",
        "AnythingToBuild",
        "Builds",
        "Publish",
        "PublishedYet",
    ];
    let mut told = entered(&own);
    told.dedup();
    assert_eq!(told[..5], states, "{told:?}");
    assert!(own.len() < 40, "{} events", own.len());

    let mut looks = BTreeMap::new();
    let children = world.children(&execution).await;
    assert_eq!(children.len(), 3, "one per build");
    for child in children {
        let history = world.history(&child).await;
        let input = |event: &Value| {
            let text = event["stateEnteredEventDetails"]["input"].as_str()?;
            let input: Value = serde_json::from_str(text).unwrap();
            input["component"].as_str().map(str::to_owned)
        };
        let component = history.iter().find_map(input).unwrap();
        let states = entered(&history);
        let count = |prefix: &str| states.iter().filter(|s| s.starts_with(prefix)).count();
        let polls = count("Poll");
        let of_looks = count("AwaitRun") + polls + count("WhatNow");
        assert_eq!(of_looks, 3 * polls, "{component}: {states:?}");
        let once = states.len() - of_looks;
        assert!(once < 12, "{component}: {states:?}");
        let long = count("AwaitRunLong") > 0;
        looks.insert(component, (polls, long));
    }
    let (polled, long) = looks["bllvm-consensus"];
    assert!(polled >= 6 && !long, "it asks all the time: {looks:?}");
    let (pushed, long) = looks["bllvm-sdk"];
    assert!(pushed < polled && long, "it is told: {looks:?}");
    world.stop().await;
}

/// A build of so many files, so deep in folders, that their list alone is larger than a
/// state may be.
#[tokio::test]
async fn mode_16_the_state_outgrows_256_kib() {
    let manifest = r#"[versions]
bllvm = { version = "0.1.0", artifacts = ["*"] }
"#;
    let world = scripted(manifest, RELEASE_REPOSITORY, |script| {
        let deep = format!("{}/", "x".repeat(250)).repeat(15);
        let file = |n: u32| (format!("{deep}{n}"), n.to_string().into_bytes());
        script.artifacts = vec![Artifact {
            files: (0..70).map(file).collect(),
            ..Artifact::default()
        }];
    })
    .await;
    let execution = world.release(VERSION).await;
    let seen = has_arrived(&world, &execution).await;
    assert_eq!(seen.assets.len(), 70 + documents::count(true));
    let build = build(&world, "bllvm").await;
    let key = build["collected"]["key"].as_str().unwrap();
    let list = world.objects().await[key].len();
    assert!(list > 256 * 1024, "{list} bytes");
    assert!(build.to_string().len() < 4096, "{build}");
    let transitions = world.account.transitions(&execution).await.unwrap();
    let largest = transitions.max_payload_bytes;
    assert!(largest < 4096, "{largest} bytes");
    world.stop().await;
}
