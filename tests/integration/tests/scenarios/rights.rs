//! Least privilege: what each function's role allows suffices, and without any one
//! of its permissions the function fails at its work.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::encodings::Body;
use commons_domain::lock::Lock;
use commons_store::Claim;
use commons_webhook::{Door, SigningSecrets};
use futures_util::{StreamExt as _, stream};
use github_simulator::{Artifact, Corrupt, signature};
use integration::{
    Holder, Permission, Rights, StageWorld, WEBHOOK_SECRET, noise, repository, while_told_so,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Worlds at a time.
const AT_A_TIME: usize = 2;
/// One component, for what takes all of them.
const SMALL: &str = "[versions]\n\
    bllvm-sdk = { version = \"0.1.0\", git_tag = \"v0.1.0\", git_commit = \"\", binaries = [\"bllvm-keygen\"] }\n";

/// What went otherwise than it should.
type Done = Result<(), String>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_permission_of_every_function_is_needed_and_no_other_is() {
    let rights = Rights::start().await;
    let functions: Vec<&str> = rights.roles().keys().map(String::as_str).collect();
    assert_eq!(
        functions,
        [
            "collect", "dispatch", "plan", "poll", "publish", "settle", "webhook"
        ]
    );
    let cases = rights.roles().iter().flat_map(|(function, permissions)| {
        let one_less = permissions.iter().map(Some);
        std::iter::once(None)
            .chain(one_less)
            .map(move |without| (function.as_str(), without))
    });
    let outcomes: Vec<(&str, Option<&Permission>, Done)> = stream::iter(cases)
        .map(|(function, without)| {
            let rights = &rights;
            async move { (function, without, play(rights, function, without).await) }
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for (function, without, done) in &outcomes {
        match (without, done) {
            (None, Ok(())) => {}
            (Some(_), Err(why)) if is_refusal(function, why) => {}
            (Some(permission), Err(why)) => wrong.push(format!(
                "{function} fails without {}, but otherwise: {why}",
                permission.action
            )),
            (None, Err(why)) => wrong.push(format!("{function} lacks a permission: {why}")),
            (Some(permission), Ok(())) => wrong.push(format!(
                "{function} does not need {} on {}",
                permission.action, permission.resource
            )),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} cases", outcomes.len());
}

/// Whether the function failed because AWS refused it. The door tells the internet
/// nothing of it; Collect says that it could not see, and is called again.
fn is_refusal(function: &str, why: &str) -> bool {
    why.contains("AccessDenied")
        || function == "webhook" && why.contains("try again later")
        || function == "collect" && why.contains("Again instead of")
}

/// A function's work, with all its permissions or without one.
async fn play(rights: &Rights, function: &str, without: Option<&Permission>) -> Done {
    let manifest = (function == "publish").then_some(SMALL);
    let world = rights.world(manifest).await;
    let holder = rights.hold(&world, function, without).await;
    // No secret, no start. The door has no token: it calls nobody at GitHub.
    let secret = match function {
        "webhook" => "WebhookSigningSecret",
        _ => "GitHubTokenSecret",
    };
    holder.secret(secret).await.map_err(said)?;
    match function {
        "webhook" => webhook(&world, holder).await,
        "plan" => plan(&world, holder).await,
        "dispatch" => dispatch(&world, holder).await,
        "poll" => poll(&world, holder).await,
        "collect" => collect(&world, holder).await,
        "publish" => publish(&world, holder).await,
        "settle" => settle(&world, holder).await,
        other => Err(format!("{other} has no scenario")),
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn expect<T: PartialEq + std::fmt::Debug>(is: T, wanted: T) -> Done {
    if is == wanted {
        Ok(())
    } else {
        Err(format!("{is:?} instead of {wanted:?}"))
    }
}

/// A build is parked on a token: whoever wakes it must be allowed to answer.
async fn parked(world: &StageWorld, component: &str) {
    let token = |b: &mut commons_domain::build::Build| b.wait_token = Some("gone".into());
    world.alter(component, token).await;
}

/// An execution that owns the release and was stopped.
async fn stopped(world: &StageWorld) -> String {
    let machine = world.waiting_machine().await;
    let execution = world.execute(&machine).await;
    world.plan_as(&execution).await.unwrap();
    world.abort(&execution).await;
    execution
}

/// A run is known by its claim and wakes its build; a tag starts a release.
async fn webhook(world: &StageWorld, holder: Holder) -> Done {
    world.waiting_machine().await;
    world.planned().await;
    parked(world, "bllvm-sdk").await;
    let claim = Claim {
        release: world.key(),
        component: "bllvm-sdk".into(),
        nonce: "n".into(),
    };
    let claims = &world.stage.store;
    let claimed = claims.claim(&repository("bllvm-sdk"), 7, &claim).await;
    claimed.unwrap();

    let (aws, id) = holder.secret_id("WebhookSigningSecret");
    let secrets = SigningSecrets::read(aws, id).await.map_err(said)?;
    let stage = holder.stage;
    let door = Door {
        config: stage.config,
        store: stage.store,
        states: stage.states,
        secrets: Arc::new(secrets),
    };
    let run = json!({
        "action": "completed",
        "workflow_run": {"id": 7},
        "repository": {"full_name": "BTCDecoded/bllvm-sdk"},
    });
    deliver(&door, "workflow_run", &run, "woke").await?;
    let tag = json!({
        "ref": "v0.2.0",
        "ref_type": "tag",
        "repository": {"full_name": "BTCDecoded/bllvm"},
    });
    deliver(&door, "create", &tag, "started").await
}

async fn deliver(door: &Door, event: &str, payload: &Value, wanted: &str) -> Done {
    let body = payload.to_string();
    let mut request = ApiGatewayV2httpRequest::default();
    for (name, value) in [
        ("x-github-event", event.to_owned()),
        ("x-github-delivery", "1".to_owned()),
        (
            "x-hub-signature-256",
            signature(WEBHOOK_SECRET, body.as_bytes()),
        ),
    ] {
        request.headers.insert(name, value.parse().unwrap());
    }
    request.body = Some(body);
    request.request_context.http.method = "POST".parse().unwrap();
    request.request_context.http.path = Some("/webhook".into());
    let answer = commons_webhook::handle(door, request).await;
    match answer.body {
        Some(Body::Text(text)) if text.contains(wanted) => Ok(()),
        other => Err(format!("{event} is answered {other:?}")),
    }
}

/// The lease of a release whose owner was stopped is taken over; a nightly is started.
async fn plan(world: &StageWorld, holder: Holder) -> Done {
    stopped(world).await;
    let input = commons_plan::Input {
        execution: world.execution("next"),
        input: json!({"version": "v0.1.0"}),
    };
    let answer = commons_plan::handle(holder.stage.clone(), input).await;
    answer.map_err(said)?;
    let due = serde_json::from_value(json!({"nightly": "2026-11-23T02:00:00Z"})).unwrap();
    let started = commons_plan::call(holder.stage, due).await;
    started.map(drop).map_err(said)
}

/// One build is dispatched; another, whose pin moved, ends and wakes its dependent.
async fn dispatch(world: &StageWorld, holder: Holder) -> Done {
    use commons_dispatch::{Input, Next, handle};
    let generation = world.planned().await;
    parked(world, "bllvm-commons").await;
    world.github.push_commit("BTCDecoded/bllvm-sdk");
    for (component, next) in [
        ("bllvm-consensus", Next::AwaitRun),
        ("bllvm-sdk", Next::Over),
    ] {
        let input = Input {
            release: world.key(),
            component: component.into(),
            generation,
            child: Some("a child".into()),
        };
        let call = || handle(holder.stage.clone(), input.clone());
        let answer = while_told_so(|answer| answer.next == Next::Busy, call).await;
        expect(answer.map_err(said)?.next, next)?;
    }
    Ok(())
}

/// A run is found, claimed and seen green, and its dependent is told.
async fn poll(world: &StageWorld, holder: Holder) -> Done {
    use commons_poll::{Input, Next, handle};
    let generation = world.planned().await;
    parked(world, "bllvm-commons").await;
    world.quick_runs();
    world.dispatch("bllvm-sdk").await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        let input = Input {
            release: world.key(),
            component: "bllvm-sdk".into(),
            generation,
        };
        let answer = handle(holder.stage.clone(), input).await;
        if answer.map_err(said)?.next == Next::Green {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("it is not green".into())
}

/// One green run is collected; another has not built what it should, and its
/// dependent is woken.
async fn collect(world: &StageWorld, holder: Holder) -> Done {
    use commons_collect::{Input, Next, handle};
    let generation = world.planned().await;
    world.quick_runs();
    // In parts, the last of which is not what its archive says.
    world.script("bllvm-sdk", |s| {
        s.artifacts.push(Artifact {
            name: "z".into(),
            files: vec![("noise".into(), noise(12 << 20))],
            corrupt: Some(Corrupt::Inside),
            ..Artifact::default()
        });
    });
    world.built("bllvm-sdk").await;
    world.built("bllvm-consensus").await;
    parked(world, "bllvm-commons").await;
    for (component, next) in [("bllvm-consensus", Next::Built), ("bllvm-sdk", Next::Over)] {
        let input = Input {
            release: world.key(),
            component: component.into(),
            generation,
        };
        let answer = handle(holder.stage.clone(), input).await;
        expect(answer.map_err(said)?.next, next)?;
    }
    Ok(())
}

/// A release whose only build is complete.
async fn publish(world: &StageWorld, holder: Holder) -> Done {
    use commons_publish::{Input, Next, handle};
    let generation = world.planned().await;
    world.script("bllvm-sdk", |_| {});
    world.built("bllvm-sdk").await;
    world.collect("bllvm-sdk").await.unwrap();
    let input = Input {
        release: world.key(),
        generation,
    };
    let call = || handle(holder.stage.clone(), input.clone());
    let answer = while_told_so(|answer| answer.next == Next::Again, call).await;
    expect(answer.map_err(said)?.next, Next::Published)
}

/// The sweeper finds a child that is gone, then a stopped owner; a build of its release
/// is on its way, another is parked, a third holds a lock that it never acted with.
async fn settle(world: &StageWorld, holder: Holder) -> Done {
    let machine = world.waiting_machine().await;
    let parent = world.execute(&machine).await;
    world.plan_as(&parent).await.unwrap();
    let children = machine.replace(":stateMachine:", ":execution:");
    let child = format!("{children}/Builds:gone");
    world.alter("bllvm-node", |b| b.child = Some(child)).await;
    let sweep = || serde_json::from_value(json!({"kind": "sweep"})).unwrap();
    let swept = commons_settle::handle(holder.stage.clone(), sweep()).await;
    swept.map_err(said)?;
    let error = world.build("bllvm-node").await.error;
    expect(error.as_deref(), Some("its child execution is gone"))?;

    world.dispatch("bllvm-sdk").await.unwrap();
    parked(world, "bllvm-commons").await;
    let left = Lock {
        release: world.key(),
        component: "bllvm-protocol".into(),
        nonce: "bc-fedcba9876543210".into(),
        post_deadline: jiff::Timestamp::now(),
        orphaned: false,
    };
    let locks = &world.stage.store;
    let name = repository("bllvm-protocol");
    assert!(locks.take_lock(&name, None, &left).await.unwrap());
    world.abort(&parent).await;
    let swept = commons_settle::handle(holder.stage, sweep()).await;
    swept.map_err(said)?;
    expect(locks.lock(&name).await.unwrap(), None)
}
