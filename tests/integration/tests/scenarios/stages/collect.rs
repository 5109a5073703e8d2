//! Collect: what a green run built, verified, in S3, once.

use commons_artifacts::AssetList;
use commons_collect::Next;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::Sha256;
use github_simulator::{Artifact, Corrupt, FaultKind, Repository, Script};
use integration::{MANIFEST, StageWorld, fixture};
use std::time::Duration;

const ARTIFACTS: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts";
const DOWNLOAD: &str = "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}";

/// A world in which the sdk is green, after a run that `change` scripted.
async fn green_sdk(change: impl FnOnce(&mut Script)) -> StageWorld {
    let world = StageWorld::start().await;
    world.planned().await;
    world.script("bllvm-sdk", change);
    world.built("bllvm-sdk").await;
    world
}

/// What the fixture's sdk uploads.
fn uploads() -> Vec<Artifact> {
    let repositories = fixture(MANIFEST);
    let sdk = |repository: &Repository| repository.name == "BTCDecoded/bllvm-sdk";
    let found = repositories.into_iter().find(sdk);
    found.unwrap().script.artifacts
}

/// The sdk after Collect gave it an end: failed, with a reason, nothing collected.
async fn refused(world: &StageWorld) -> String {
    let answer = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::Failure);
    assert_eq!(build.collected, None);
    let dependent = world.build("bllvm-commons").await;
    assert_eq!(dependent.status, BuildStatus::Blocked);
    // Once more is no more.
    let again = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(again.next, Next::Over);
    assert_eq!(world.build("bllvm-sdk").await, build);
    build.error.unwrap()
}

async fn list(world: &StageWorld, build: &Build) -> AssetList {
    let collected = build.collected.as_ref().unwrap();
    let bytes = world.object(&collected.key).await;
    assert_eq!(Sha256::of(&bytes), collected.sha256);
    let list: AssetList = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(list.assets.len() as u64, collected.count);
    list
}

#[tokio::test]
async fn every_file_is_in_the_bucket_with_its_sum() {
    let world = green_sdk(|_| {}).await;
    let answer = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Built);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::Collected);
    let run = &world.runs("bllvm-sdk")[0];
    let list = list(&world, &build).await;
    assert_eq!(
        (list.component.as_str(), list.run_id),
        ("bllvm-sdk", run.id)
    );
    assert_eq!(list.run_attempt, 1);

    let mut built: Vec<(String, Vec<u8>)> = uploads().into_iter().flat_map(|a| a.files).collect();
    built.sort();
    let names: Vec<&str> = list.assets.iter().map(|a| a.name.as_str()).collect();
    let expected: Vec<&str> = built.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected);
    for (asset, (name, content)) in list.assets.iter().zip(&built) {
        let (release, artifact) = (world.key(), asset.artifact.id);
        let key = format!("{release}/bllvm-sdk/{}.1/{artifact}/{name}", run.id);
        assert_eq!(asset.key, key);
        assert_eq!(&world.object(&asset.key).await, content, "{name}");
        assert_eq!(asset.sha256, Sha256::of(content), "{name}");
        assert_eq!(asset.size, content.len() as u64);
        assert!(asset.artifact.digest.is_some() && asset.path_in_artifact == *name);
    }
}

#[tokio::test]
async fn collecting_twice_gives_the_same() {
    let world = green_sdk(|_| {}).await;
    world.collect("bllvm-sdk").await.unwrap();
    let first = world.build("bllvm-sdk").await;
    let downloads = world.github.requests().len();
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!(world.build("bllvm-sdk").await, first);
    assert_eq!(
        world.github.requests().len(),
        downloads,
        "nothing is read again"
    );

    // One that died before its last write: all of it again, to the same end.
    world
        .alter("bllvm-sdk", |b| {
            b.status = BuildStatus::Success;
            b.collected = None;
        })
        .await;
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!(world.build("bllvm-sdk").await, first);
}

#[tokio::test]
async fn a_component_that_declares_nothing_is_complete_without_files() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&["bllvm-consensus"]).await;
    world.quick_runs();
    world.built("bllvm-protocol").await;
    assert_eq!(
        world.collect("bllvm-protocol").await.unwrap().next,
        Next::Built
    );
    let build = world.build("bllvm-protocol").await;
    assert_eq!(build.status, BuildStatus::Collected);
    assert!(list(&world, &build).await.assets.is_empty());
    assert!(
        !world
            .github
            .calls()
            .contains_key(&format!("GET {ARTIFACTS}"))
    );
}

#[tokio::test]
async fn what_is_not_green_is_not_collected() {
    let world = StageWorld::start().await;
    world.planned().await;
    let before = world.build("bllvm-sdk").await;
    let answer = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Over);
    assert_eq!(world.build("bllvm-sdk").await, before);
}

#[tokio::test]
async fn a_download_that_is_not_what_was_announced_fails_the_build() {
    let world = green_sdk(|script| {
        script.artifacts[1].corrupt = Some(Corrupt::WrongDigest);
    })
    .await;
    let error = refused(&world).await;
    assert!(
        error.contains("bllvm-sdk-x86_64-windows") && error.contains("digest"),
        "{error}"
    );
}

#[tokio::test]
async fn a_truncated_archive_without_a_digest_fails_the_build() {
    let world = green_sdk(|script| {
        script.artifacts[0].digest = false;
        script.artifacts[0].corrupt = Some(Corrupt::Truncated);
    })
    .await;
    let error = refused(&world).await;
    assert!(error.contains("artifact bllvm-sdk-x86_64-linux"), "{error}");
}

#[tokio::test]
async fn a_missing_binary_is_named_with_what_was_looked_at() {
    let world = green_sdk(|script| {
        for artifact in &mut script.artifacts {
            artifact
                .files
                .retain(|(name, _)| !name.starts_with("bllvm-verify"));
        }
    })
    .await;
    let error = refused(&world).await;
    assert!(
        error.starts_with("bllvm-sdk declares the binary bllvm-verify"),
        "{error}"
    );
    assert!(error.contains("bllvm-keygen.exe"), "{error}");
}

#[tokio::test]
async fn two_contents_of_one_name_are_refused_by_both_places() {
    let world = green_sdk(|script| {
        let mut other = script.artifacts[0].clone();
        other.name = "another".into();
        other.files = vec![("bin/bllvm-sign".into(), b"not the same".to_vec())];
        script.artifacts.push(other);
    })
    .await;
    let error = refused(&world).await;
    for named in ["bllvm-sign", "another", "bllvm-sdk-x86_64-linux"] {
        assert!(error.contains(named), "{error}");
    }
}

#[tokio::test]
async fn an_expired_artifact_ends_the_build_and_the_next_plan_builds_it_again() {
    let world = green_sdk(|script| script.artifacts[0].expired = true).await;
    let error = refused(&world).await;
    assert!(error.starts_with("ArtifactExpired"), "{error}");
    assert!(error.contains("bllvm-sdk-x86_64-linux"), "{error}");

    world.planned().await;
    let build = world.build("bllvm-sdk").await;
    assert_eq!(
        (build.status, build.workflow_run_id),
        (BuildStatus::Pending, None)
    );
    world.quick_runs();
    world.built("bllvm-sdk").await;
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!(world.runs("bllvm-sdk").len(), 2);
}

#[tokio::test]
async fn github_out_of_sight_leaves_it_green_for_the_next_call() {
    let world = green_sdk(|_| {}).await;
    let green = world.build("bllvm-sdk").await;
    for (route, times) in [(ARTIFACTS, 3), (DOWNLOAD, 18)] {
        world.faults("GET", route, FaultKind::Status(502, None), times);
        let answer = world.collect("bllvm-sdk").await.unwrap();
        assert_eq!(answer.next, Next::Again, "{route}");
        assert!(answer.wait_seconds >= 1);
        let mut after = world.build("bllvm-sdk").await;
        assert!(after.unseen_since.take().is_some(), "{route}");
        assert_eq!(after, green, "{route}");
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_off_is_begun_again() {
    let world = green_sdk(|_| {}).await;
    world.fault("GET", DOWNLOAD, FaultKind::LostAnswer);
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(list(&world, &build).await.assets.len(), 6);
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_finished_by_the_next() {
    let world = green_sdk(|_| {}).await;
    for milliseconds in [5, 20, 50, 80] {
        let cut = Duration::from_millis(milliseconds);
        let _killed = tokio::time::timeout(cut, world.collect("bllvm-sdk")).await;
        let build = world.build("bllvm-sdk").await;
        let complete = build.status == BuildStatus::Collected;
        assert_eq!(complete, build.collected.is_some());
    }
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    let build = world.build("bllvm-sdk").await;
    for asset in list(&world, &build).await.assets {
        assert_eq!(Sha256::of(&world.object(&asset.key).await), asset.sha256);
    }
}
