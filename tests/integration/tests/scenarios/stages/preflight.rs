//! What Plan finds before anything is dispatched: all faults at once, each with its
//! fix; and the release that is at GitHub already.

use commons_domain::build::BuildStatus;
use commons_runtime::StageError;
use github_simulator::{Fault, FaultKind, ForeignRelease, Repository};
use integration::{COMPONENTS, MANIFEST, RELEASE_REPOSITORY, StageWorld, fixture};
use serde_json::json;

const STRANGER: &str = "somebody";

/// Plans a release that is refused; the sentence.
async fn refused(world: &StageWorld, input: serde_json::Value) -> String {
    let error = world.plan_with(&world.execution("one"), input).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    for method in ["POST", "PATCH", "DELETE"] {
        let wrote = world.github.requests().iter().any(|r| r.method == method);
        assert!(!wrote, "something was written to GitHub");
    }
    error.to_string()
}

fn version() -> serde_json::Value {
    json!({"version": "v0.1.0"})
}

/// The six repositories, one of them changed.
fn with(component: &str, change: impl FnOnce(&mut Repository)) -> Vec<Repository> {
    let mut repositories = fixture(MANIFEST);
    let name = format!("BTCDecoded/{component}");
    change(repositories.iter_mut().find(|r| r.name == name).unwrap());
    repositories
}

fn foreign(draft: bool, assets: &[&str]) -> ForeignRelease {
    ForeignRelease {
        tag: "v0.1.0".into(),
        draft,
        prerelease: false,
        assets: assets
            .iter()
            .map(|name| ((*name).into(), b"theirs".to_vec()))
            .collect(),
    }
}

#[tokio::test]
async fn every_fault_is_told_at_once_with_its_fix() {
    let mut repositories = fixture(MANIFEST);
    repositories.retain(|r| r.name != "BTCDecoded/bllvm-node");
    for repository in &mut repositories {
        match repository.name.as_str() {
            "BTCDecoded/bllvm-consensus" => repository.archived = true,
            "BTCDecoded/bllvm-protocol" => repository.may_push = false,
            "BTCDecoded/bllvm-sdk" => repository.workflows[0].state = "disabled_manually".into(),
            "BTCDecoded/bllvm-commons" => repository.workflows.clear(),
            _ => {}
        }
    }
    let world = StageWorld::with(repositories).await;
    let theirs = foreign(true, &["theirs.txt"]);
    world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, theirs);
    let text = refused(&world, version()).await;
    for fault in [
        "component 'bllvm-node': BTCDecoded/bllvm-node is not there, or the token may not see it: check",
        "component 'bllvm-consensus': BTCDecoded/bllvm-consensus is archived: un-archive it",
        "component 'bllvm-protocol': the token may not dispatch in BTCDecoded/bllvm-protocol: give it",
        "component 'bllvm-sdk': the workflow .github/workflows/build.yml of BTCDecoded/bllvm-sdk is disabled_manually: enable it",
        "component 'bllvm-commons': BTCDecoded/bllvm-commons has no workflow build.yml or ci.yml: copy",
        "the release v0.1.0 holds assets that were not uploaded here, theirs.txt: delete them",
    ] {
        assert!(text.contains(fault), "'{fault}' is not in: {text}");
    }
}

#[tokio::test]
async fn a_workflow_that_does_not_listen_is_refused() {
    let deaf = "name: Build\non:\n  repository_dispatch:\n    types: [other]\njobs: {}\n";
    let repositories = with("bllvm-sdk", |repository| {
        let path = ".github/workflows/build.yml".to_owned();
        repository.files.insert(path, deaf.into());
    });
    let world = StageWorld::with(repositories).await;
    let text = refused(&world, version()).await;
    assert!(
        text.contains("does not listen to the event type 'build-chain'"),
        "{text}"
    );
}

#[tokio::test]
async fn more_pins_than_a_dispatch_may_carry_are_refused() {
    let names = (0..460).map(|n| format!("{}{n:03}", "a-very-long-name-of-a-component-".repeat(3)));
    let names: Vec<String> = names.collect();
    let mut repositories = with("bllvm", |repository| {
        let components = names
            .iter()
            .map(|n| format!("{n} = {{ version = \"1.0.0\" }}\n"));
        let manifest = format!("[versions]\n{}", components.collect::<String>());
        let path = "versions.toml".to_owned();
        repository.files.insert(path, manifest.into());
    });
    let like = repositories.last().unwrap().clone();
    repositories.extend(names.iter().map(|name| Repository {
        name: format!("BTCDecoded/{name}"),
        ..like.clone()
    }));
    let world = StageWorld::with(repositories).await;
    let text = refused(&world, version()).await;
    assert!(
        text.starts_with("the pins of 460 components make a client_payload of 6"),
        "{text}"
    );
    assert!(text.contains("GitHub takes less than 64000"), "{text}");
}

#[tokio::test]
async fn a_tag_that_is_elsewhere_than_the_pin_is_refused() {
    let world = StageWorld::start().await;
    let tagged = world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let head = world.github.push_commit(RELEASE_REPOSITORY);
    let text = refused(&world, version()).await;
    assert!(text.contains(&format!("is at commit {tagged}")), "{text}");
    assert!(
        text.contains(&format!("{head} is what would be built")),
        "{text}"
    );
}

#[tokio::test]
async fn the_tag_is_made_at_the_release_repositorys_pin() {
    let world = StageWorld::start().await;
    world.planned().await;
    let release = world.release().await;
    let pin = world.build("bllvm").await.pin;
    assert_eq!(release.target_commit, Some(pin));
}

#[tokio::test]
async fn the_manifest_may_be_read_elsewhere() {
    let world = StageWorld::start().await;
    let earlier = world.github.push_commit(RELEASE_REPOSITORY);
    world.github.push_commit(RELEASE_REPOSITORY);
    let input = json!({"version": "v0.1.0", "manifest_ref": earlier});
    world
        .plan_with(&world.execution("one"), input)
        .await
        .unwrap();
    let release = world.release().await;
    assert_eq!(release.manifest_commit, Some(earlier));
    let other = StageWorld::start().await;
    let input = json!({"version": "v0.1.0", "manifest_ref": "no-such-branch"});
    let text = refused(&other, input).await;
    assert_eq!(
        text,
        "BTCDecoded/bllvm has no branch, tag or commit no-such-branch"
    );
}

#[tokio::test]
async fn a_published_release_becomes_a_draft_before_anything_is_dispatched() {
    let world = StageWorld::start().await;
    let id = world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, foreign(false, &[]));
    world.planned().await;
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((releases[0].id, releases[0].draft), (id, true));
    // Whoever plans again finds the draft.
    world.plan_as(&world.execution("planned")).await.unwrap();
    assert_eq!(world.github.releases(RELEASE_REPOSITORY).len(), 1);
    let words = format!("release {id} at GitHub, which is published, becomes a draft");
    assert_eq!(world.times_told("release", &words).await, 1);
}

#[tokio::test]
async fn a_release_with_assets_of_others_is_refused_and_stays_as_it_is() {
    for draft in [true, false] {
        let world = StageWorld::start().await;
        let theirs = foreign(draft, &["a.txt", "b.txt"]);
        world
            .github
            .release_as(STRANGER, RELEASE_REPOSITORY, theirs);
        let text = refused(&world, version()).await;
        assert!(
            text.contains("assets that were not uploaded here, a.txt, b.txt: delete"),
            "{text}"
        );
        let releases = world.github.releases(RELEASE_REPOSITORY);
        assert_eq!((releases[0].draft, releases[0].assets.len()), (draft, 2));
    }
}

#[tokio::test]
async fn an_immutable_release_is_refused() {
    let world = StageWorld::with(with("bllvm", |r| r.immutable_releases = true)).await;
    world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, foreign(false, &[]));
    let text = refused(&world, version()).await;
    assert!(
        text.contains("is published and immutable: release another version"),
        "{text}"
    );
}

#[tokio::test]
async fn two_drafts_of_one_tag_are_refused_by_their_ids() {
    let world = StageWorld::start().await;
    let one = world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, foreign(true, &[]));
    let two = world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, foreign(true, &[]));
    let text = refused(&world, version()).await;
    assert!(
        text.contains(&one.to_string()) && text.contains(&two.to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn limits_that_the_last_release_came_close_to_are_told() {
    let world = StageWorld::start().await;
    let names: Vec<String> = (0..995).map(|n| format!("asset-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut last = foreign(false, &names);
    last.tag = "v0.0.9".into();
    world.github.release_as(STRANGER, RELEASE_REPOSITORY, last);
    let text = refused(&world, version()).await;
    assert!(
        text.contains("the last release, v0.0.9, had 995 assets"),
        "{text}"
    );
    // Who means to stay below them shows it with a draft.
    let draft = json!({"version": "v0.1.0", "publish": "draft"});
    world
        .plan_with(&world.execution("draft"), draft)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_token_that_may_not_publish_is_refused_at_once() {
    let manifest = "[versions]\nbllvm-sdk = { version = \"0.1.0\", git_tag = \"v0.1.0\" }\n";
    let mut repositories = fixture(manifest);
    for repository in &mut repositories {
        repository.may_push = repository.name != RELEASE_REPOSITORY;
    }
    let world = StageWorld::with(repositories).await;
    let text = refused(&world, version()).await;
    assert_eq!(
        text,
        "the token may not publish in BTCDecoded/bllvm: give it write access to contents"
    );
}

#[tokio::test]
async fn a_setting_that_the_token_may_not_read_refuses_nobody() {
    let world = StageWorld::start().await;
    world.fault(
        "GET",
        "/repos/{owner}/{repo}/immutable-releases",
        FaultKind::Status(403, None),
    );
    world.planned().await;
}

#[tokio::test]
async fn a_repository_that_github_refuses_to_read_hides_no_other_fault() {
    let repositories = with("bllvm-sdk", |r| r.archived = true);
    let world = StageWorld::with(repositories).await;
    // As of an empty repository.
    world.github.fault(Fault {
        method: "GET".into(),
        route: "/repos/{owner}/{repo}/commits/{ref}".into(),
        repo: Some("BTCDecoded/bllvm-node".into()),
        times: 1,
        kind: FaultKind::Status(409, None),
    });
    let text = refused(&world, version()).await;
    assert!(
        text.contains("component 'bllvm-node': GitHub refuses"),
        "{text}"
    );
    assert!(text.contains("bllvm-sdk is archived"), "{text}");
}

#[tokio::test]
async fn a_tag_that_a_workflow_dispatch_needs_is_refused_where_it_is_missing() {
    let manifest = "[versions]\nbllvm-sdk = { version = \"0.1.0\", git_tag = \"v9.9.9\", trigger = \"workflow_dispatch\", workflow = \"build.yml\" }\n";
    let mut repositories = fixture(manifest);
    repositories.iter_mut().for_each(|r| r.tags.clear());
    let world = StageWorld::with(repositories).await;
    let text = refused(&world, version()).await;
    let fault = "component 'bllvm-sdk': BTCDecoded/bllvm-sdk has no v9.9.9: push it, or correct git_tag in the manifest";
    assert!(text.contains(fault), "{text}");
}

#[tokio::test]
async fn the_tag_is_made_at_the_manifests_commit_where_the_release_repository_is_no_component() {
    let manifest = "[versions]\nbllvm-sdk = { version = \"0.1.0\", git_tag = \"v0.1.0\" }\n";
    let world = StageWorld::with_manifest(manifest).await;
    world.planned().await;
    let release = world.release().await;
    assert!(release.manifest_commit.is_some());
    assert_eq!(release.target_commit, release.manifest_commit);
    assert_ne!(
        release.target_commit,
        Some(world.build("bllvm-sdk").await.pin)
    );
}

#[tokio::test]
async fn what_was_published_as_a_prerelease_stays_one_whichever_webhook_came_first() {
    let world = StageWorld::start().await;
    let mut theirs = foreign(false, &[]);
    theirs.prerelease = true;
    world
        .github
        .release_as(STRANGER, RELEASE_REPOSITORY, theirs);
    world.planned().await;
    assert!(world.release().await.prerelease);
}

#[tokio::test]
async fn components_are_built_again_by_name_with_what_depends_on_them() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&COMPONENTS).await;
    let input = json!({"version": "v0.1.0", "only": ["bllvm-protocol"]});
    let output = world
        .plan_with(&world.execution("again"), input)
        .await
        .unwrap();
    for name in ["bllvm-protocol", "bllvm-node", "bllvm"] {
        assert_eq!(
            world.build(name).await.status,
            BuildStatus::Pending,
            "{name}"
        );
    }
    for name in ["bllvm-consensus", "bllvm-sdk", "bllvm-commons"] {
        assert_eq!(
            world.build(name).await.status,
            BuildStatus::Success,
            "{name}"
        );
    }
    let node = world.build("bllvm-node").await;
    assert_eq!(node.waiting_on, ["bllvm-protocol".to_owned()].into());
    assert_eq!(output.to_build, 6, "green ones are still to be collected");
}

#[tokio::test]
async fn by_name_is_refused_where_it_makes_no_sense() {
    let fresh = StageWorld::start().await;
    let only = |name: &str| json!({"version": "v0.1.0", "only": [name]});
    let text = refused(&fresh, only("bllvm-sdk")).await;
    assert!(
        text.contains("only: builds components of a release again, and v0.1.0 has no builds yet"),
        "{text}"
    );
    let world = StageWorld::start().await;
    world.planned().await;
    world
        .alter("bllvm-sdk", |b| b.status = BuildStatus::InProgress)
        .await;
    let before = world.release().await;
    let text = refused(&world, only("nobody")).await;
    assert_eq!(text, "only: 'nobody' is no component of v0.1.0");
    let text = refused(&world, only("bllvm-sdk")).await;
    assert_eq!(text, "only: bllvm-sdk is in_progress: let it end first");
    world
        .alter("bllvm-node", |b| b.status = BuildStatus::Queued)
        .await;
    let text = refused(&world, only("bllvm-protocol")).await;
    assert_eq!(text, "only: bllvm-node is queued: let it end first");
    assert_eq!(world.release().await, before, "the release stays as it is");
}
