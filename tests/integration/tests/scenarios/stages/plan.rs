//! Plan: the lease, the manifest, the pins, the builds in their order.

use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;
use commons_runtime::StageError;
use github_simulator::FaultKind;
use integration::{MANIFEST, RELEASE_REPOSITORY, StageWorld, fixture};
use serde_json::{Value, json};
use std::time::Duration;

async fn items(world: &StageWorld, key: &str) -> Vec<String> {
    let items: Vec<Value> = serde_json::from_slice(&world.object(key).await).unwrap();
    let component = |item: &Value| item["component"].as_str().unwrap().to_owned();
    items.iter().map(component).collect()
}

#[tokio::test]
async fn six_builds_are_written_in_dependency_order() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    let output = world.plan_as(&me).await.unwrap();
    assert_eq!((output.generation, output.to_build), (1, 6));

    let order = items(&world, &output.items_key).await;
    let events = world.events().await;
    let written: Vec<&str> = events
        .iter()
        .filter(|event| event["what"] != "release")
        .map(|event| event["what"].as_str().unwrap())
        .collect();
    assert_eq!(order, written, "the items are in the order of the writes");
    for (place, component) in order.iter().enumerate() {
        let build = world.build(component).await;
        assert_eq!(build.status, BuildStatus::Pending);
        assert_eq!(build.generation, 1);
        let waits: Vec<String> = build.waiting_on.iter().cloned().collect();
        let mut requires = build.requires.clone();
        requires.sort();
        assert_eq!(waits, requires, "{component} waits for what it requires");
        for required in &build.requires {
            assert!(order[..place].contains(required), "{component} too early");
        }
        let head = world.stage.github.head(&build.repository, "main").await;
        assert_eq!(build.pin, head.unwrap().sha);
        assert_eq!(build.git_ref, "main");
        assert_eq!(build.workflow_path, ".github/workflows/build.yml");
    }
    let item = &serde_json::from_slice::<Value>(&world.object(&output.items_key).await).unwrap()[0];
    assert_eq!(item["sk"], format!("build#{}", order[0]));
    assert_eq!(item["release"], world.key().as_str());
    assert_eq!(item["generation"], 1);
    assert_eq!(item["generation_text"], "1");

    let release = world.release().await;
    assert_eq!(release.status, ReleaseStatus::Building);
    assert_eq!(release.lease.as_deref(), Some(me.as_str()));
    assert_eq!(release.manifest_ref.as_deref(), Some("main"));
    assert!(release.manifest_commit.is_some() && !release.prerelease);
    let last = events.last().unwrap();
    assert_eq!(
        (&last["from"], &last["to"]),
        (&json!("planning"), &json!("building"))
    );
}

#[tokio::test]
async fn the_next_execution_raises_the_generation_and_adopts() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    let first = world.plan_as(&me).await.unwrap();
    world.green(&["bllvm-consensus", "bllvm-sdk"]).await;
    world
        .alter("bllvm-sdk", |b| b.status = BuildStatus::Collected)
        .await;
    let running = world
        .alter("bllvm-protocol", |b| {
            b.status = BuildStatus::InProgress;
            b.workflow_run_id = Some(77);
            b.nonce = Some("bc-0123456789abcdef".into());
        })
        .await;

    let second = world.plan_as(&world.execution("two")).await.unwrap();
    assert_eq!((second.generation, second.to_build), (2, 5));
    assert_ne!(first.items_key, second.items_key);
    let order = items(&world, &second.items_key).await;
    assert!(!order.contains(&"bllvm-sdk".to_owned()), "{order:?}");

    assert_eq!(
        world.build("bllvm-sdk").await.status,
        BuildStatus::Collected
    );
    let green = world.build("bllvm-consensus").await;
    assert_eq!((green.status, green.generation), (BuildStatus::Success, 2));
    let adopted = world.build("bllvm-protocol").await;
    assert_eq!(adopted.status, BuildStatus::InProgress);
    assert_eq!(adopted.workflow_run_id, Some(77));
    assert_eq!((adopted.nonce, adopted.generation), (running.nonce, 2));
    let node = world.build("bllvm-node").await;
    assert!(node.waiting_on.contains("bllvm-protocol"));
    assert!(!node.waiting_on.contains("bllvm-consensus"), "it is green");
    assert!(world.build("bllvm-commons").await.waiting_on.is_empty());
}

#[tokio::test]
async fn a_build_that_failed_starts_afresh_at_the_present_head() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    world.plan_as(&me).await.unwrap();
    let failed = world
        .alter("bllvm-sdk", |b| {
            b.status = BuildStatus::Failure;
            b.error = Some("it broke".into());
            b.attempt = 2;
            b.nonce = Some("bc-0123456789abcdef".into());
        })
        .await;
    let head = world.github.push_commit("BTCDecoded/bllvm-sdk");
    world.planned().await;
    let fresh = world.build("bllvm-sdk").await;
    assert_eq!((fresh.status, fresh.error), (BuildStatus::Pending, None));
    assert_eq!(fresh.pin, head);
    assert_ne!(fresh.pin, failed.pin);
    // Its run never showed: one that comes late is known by this.
    assert_eq!(fresh.abandoned, ["bc-0123456789abcdef"]);
    assert_eq!(fresh.attempt, 2, "no nonce is used twice");
}

#[tokio::test]
async fn a_missing_manifest_is_refused_in_a_sentence() {
    let mut repositories = fixture(MANIFEST);
    for repository in &mut repositories {
        repository.files.remove("versions.toml");
    }
    let world = StageWorld::with(repositories).await;
    let error = world.plan_as(&world.execution("one")).await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "BTCDecoded/bllvm has no versions.toml at main"
    );
    assert!(
        world
            .stage
            .store
            .builds(&world.key())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_manifest_s_faults_are_named_and_nothing_is_written() {
    let manifest = "[versions]\n\
        bllvm-sdk = { version = \"0.1.0\", git_tag = \"v0.1.0\", git_commit = \"\", requires = [\"nobody=0.1.0\"], max_retries = 99 }\n";
    let world = StageWorld::with_manifest(manifest).await;
    let error = world.plan_as(&world.execution("one")).await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("nobody") && text.contains("max_retries"),
        "{text}"
    );
    assert!(
        world
            .stage
            .store
            .builds(&world.key())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn bad_input_is_refused_by_the_field_s_name_before_anything_is_written() {
    let world = StageWorld::start().await;
    for (input, named) in [
        (json!({"version": "v0.1.0", "sped": 3}), "`sped`"),
        (json!({"version": 3}), "integer `3`"),
        (json!({"version": "v0.1.0", "prerelease": "no"}), "boolean"),
        (json!({"version": "0.1.0"}), "version '0.1.0'"),
        (json!({}), "`version`"),
        (json!([]), "no object"),
        (json!("v0.1.0"), "no object"),
        (json!({"version": "v0.1.0", "only": [7]}), "only[0]"),
        (json!({"version": "v0.1.0", "publish": "now"}), "publish"),
    ] {
        let error = world
            .plan_with(&world.execution("one"), input.clone())
            .await
            .unwrap_err();
        assert!(
            matches!(error, StageError::Refused(_)),
            "{input}: {error:?}"
        );
        assert!(error.to_string().contains(named), "{input}: {error}");
    }
    assert!(
        world
            .stage
            .store
            .release(&world.key())
            .await
            .unwrap()
            .is_none()
    );
    assert!(world.github.requests().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn a_lease_is_held_while_its_execution_runs_and_taken_over_after() {
    let world = StageWorld::start().await;
    let machine = world.waiting_machine().await;
    let holder = world.execute(&machine).await;
    world.plan_as(&holder).await.unwrap();

    let error = world.plan_as(&world.execution("other")).await.unwrap_err();
    assert!(matches!(error, StageError::LeaseHeld(_)), "{error:?}");
    assert!(error.to_string().contains(&holder), "{error}");
    let release = world.release().await;
    assert_eq!(
        (release.generation, release.lease),
        (1, Some(holder.clone()))
    );

    world.abort(&holder).await;
    let other = world.execution("other");
    assert_eq!(world.plan_as(&other).await.unwrap().generation, 2);
    assert_eq!(world.release().await.lease, Some(other));
}

#[tokio::test]
async fn what_is_published_is_not_started_again() {
    let world = StageWorld::start().await;
    world.planned().await;
    let before = world.release().await;
    let mut published = before.clone();
    published.status = ReleaseStatus::Published;
    published.lease = None;
    let changed = world
        .stage
        .store
        .change_release(&before, &published, "the test");
    changed.await.unwrap();
    let error = world.plan_as(&world.execution("again")).await.unwrap_err();
    assert!(
        matches!(error, StageError::AlreadyPublished(_)),
        "{error:?}"
    );
    assert_eq!(world.release().await, published);
}

#[tokio::test]
async fn the_manifest_is_read_at_the_release_s_tag_where_there_is_one() {
    let world = StageWorld::start().await;
    let tagged = world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let input = json!({"version": "v0.1.0", "prerelease": true});
    let me = world.execution("one");
    world.plan_with(&me, input).await.unwrap();
    let release = world.release().await;
    assert_eq!(release.manifest_ref.as_deref(), Some("v0.1.0"));
    assert_eq!(release.manifest_commit, Some(tagged));
    assert!(release.prerelease, "it was asked for");
}

#[tokio::test]
async fn every_component_that_cannot_be_pinned_is_named() {
    let mut repositories = fixture(MANIFEST);
    repositories.retain(|repository| repository.name != "BTCDecoded/bllvm-node");
    for repository in &mut repositories {
        if repository.name == "BTCDecoded/bllvm-sdk" {
            repository.workflows.clear();
        }
    }
    let world = StageWorld::with(repositories).await;
    let error = world.plan_as(&world.execution("one")).await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("component 'bllvm-node'"), "{text}");
    assert!(
        text.contains(
            "component 'bllvm-sdk': BTCDecoded/bllvm-sdk has no workflow build.yml or ci.yml"
        ),
        "{text}"
    );
}

#[tokio::test]
async fn github_out_of_sight_is_tried_again_not_refused() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    let pins = "/repos/{owner}/{repo}/actions/workflows";
    world.faults("GET", pins, FaultKind::Status(502, None), 18);
    let error = world.plan_as(&me).await.unwrap_err();
    assert!(matches!(error, StageError::Unavailable(_)), "{error:?}");
    assert_eq!(world.release().await.status, ReleaseStatus::Planning);
    // What is left of the faults is used up; then it goes through.
    let mut tries = 0;
    while world.plan_as(&me).await.is_err() {
        tries += 1;
        assert!(tries < 18, "it does not recover");
    }
    assert_eq!(world.release().await.status, ReleaseStatus::Building);
}

#[tokio::test]
async fn a_plan_that_is_killed_anywhere_is_finished_by_the_next() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    for milliseconds in [5, 20, 40, 60, 80, 110, 140, 170] {
        let cut = Duration::from_millis(milliseconds);
        let _killed = tokio::time::timeout(cut, world.plan_as(&me)).await;
    }
    let output = world.plan_as(&me).await.unwrap();
    assert_eq!(output.to_build, 6);
    assert_eq!(items(&world, &output.items_key).await.len(), 6);
    let builds = world.stage.store.builds(&world.key()).await.unwrap();
    assert_eq!(builds.len(), 6);
    for build in builds {
        assert_eq!(build.generation, output.generation, "{}", build.component);
        assert_eq!(build.status, BuildStatus::Pending);
        let requires = build.requires.iter().cloned().collect();
        assert_eq!(build.waiting_on, requires, "{}", build.component);
    }
    let release = world.release().await;
    assert_eq!(release.status, ReleaseStatus::Building);
    assert_eq!(release.generation, output.generation);
}

#[tokio::test]
async fn two_calls_of_one_execution_do_not_step_aside_for_each_other() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    let (one, two) = tokio::join!(world.plan_as(&me), world.plan_as(&me));
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    for error in [one, two].into_iter().filter_map(Result::err) {
        // LeaseHeld would end the execution that has the lease.
        assert!(matches!(error, StageError::Unavailable(_)), "{error:?}");
    }
    let generation = world.release().await.generation;
    assert_eq!(world.plan_as(&me).await.unwrap().generation, generation);
}

#[tokio::test]
async fn a_late_call_for_an_execution_that_has_planned_changes_nothing() {
    let world = StageWorld::start().await;
    let me = world.execution("one");
    let first = world.plan_as(&me).await.unwrap();
    world.dispatch("bllvm-sdk").await.unwrap();
    let (events, release) = (world.events().await, world.release().await);
    assert_eq!(world.plan_as(&me).await.unwrap(), first);
    assert_eq!(world.events().await, events);
    assert_eq!(world.release().await, release);
}

#[tokio::test]
async fn the_schedule_starts_the_night_s_version_once() {
    let mut world = StageWorld::start().await;
    let machine = world.waiting_machine().await;
    world.stage.config.state_machine_arn = machine.clone();
    let mut names = Vec::new();
    for _ in 0..2 {
        let due = serde_json::from_value(json!({"nightly": "2026-11-23T02:00:00Z"})).unwrap();
        match commons_plan::call(world.stage.clone(), due).await.unwrap() {
            commons_plan::Answer::Started { execution } => names.push(execution),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(names[0], names[1]);
    assert!(names[0].starts_with("nightly-20261123-"), "{names:?}");
    let list = world
        .stage
        .states
        .list_executions()
        .state_machine_arn(&machine);
    let list = list.send().await.unwrap();
    assert_eq!(list.executions().len(), 1);
    let arn = list.executions()[0].execution_arn();
    let described = world.stage.states.describe_execution().execution_arn(arn);
    let input = described.send().await.unwrap().input().unwrap().to_owned();
    let request: Value = serde_json::from_str(&input).unwrap();
    let request = commons_domain::request::Request::parse(&request).unwrap();
    assert!(
        request.is_prerelease(false)
            && request.version.as_str().len() == "nightly-20261123-".len() + 12
    );
}
