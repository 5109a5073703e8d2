//! Publish: what GitHub shows is held against what was built, before anybody sees it and
//! after.

use std::time::Duration;

use commons_domain::documents::{RELEASE_MANIFEST, SUMS};
use commons_domain::names::Sha256;
use commons_publish::Next;
use commons_runtime::StageError;
use github_simulator::{AssetView, FaultKind, ForeignRelease};
use integration::{MANIFEST, MINUTE, RELEASE_REPOSITORY, StageWorld, fixture, repository};
use serde_json::Value;

use super::publish::{ASSETS, complete, completed, whole, writes};

const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";

async fn refused(world: &StageWorld) -> String {
    match world.publish().await.unwrap_err() {
        StageError::VerificationFailed(why) | StageError::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tag_that_was_moved_since_plan_is_not_published() {
    let world = complete().await;
    let pin = world.release().await.target_commit.unwrap();
    world.github.push_commit(RELEASE_REPOSITORY);
    let moved = world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let why = refused(&world).await;
    assert!(
        why.contains(&format!(
            "its tag v0.1.0 is at commit {moved}, and {pin} was built"
        )),
        "{why}"
    );
    assert!(
        world.github.releases(RELEASE_REPOSITORY)[0].draft,
        "nobody sees it"
    );
}

#[tokio::test]
async fn what_is_found_wrong_once_it_is_seen_is_a_draft_again() {
    let world = complete().await;
    // While the last write is on its way, somebody adds a file.
    world.fault("PATCH", RELEASE, FaultKind::Delay(3.0));
    let uploaded = || {
        let mut releases = world.github.releases(RELEASE_REPOSITORY);
        let assets = releases.pop().map(|release| release.assets);
        assets.is_some_and(|assets| assets.iter().any(|asset| asset.name == SUMS))
    };
    let add = async {
        while !uploaded() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let release = &world.github.releases(RELEASE_REPOSITORY)[0];
        let to = format!(
            "{}/uploads/repos/{RELEASE_REPOSITORY}/releases/{}/assets",
            world.github.api_url(),
            release.id
        );
        let github = &world.stage.github;
        let added = github.upload_asset(&to, "theirs.txt", 5, "hello".into(), MINUTE);
        added.await.unwrap();
    };
    let (why, ()) = tokio::join!(refused(&world), add);
    assert!(why.contains("theirs.txt is not ours"), "{why}");
    assert!(why.ends_with("it is a draft again"), "{why}");
    assert!(world.github.releases(RELEASE_REPOSITORY)[0].draft);
}

/// A complete release whose assets will have no digest at GitHub.
async fn undigested(altered: bool) -> StageWorld {
    let world = complete().await;
    let kind = FaultKind::UndigestedAsset { altered };
    world.faults("POST", ASSETS, kind, 1_000);
    world
}

#[tokio::test]
async fn of_assets_without_a_digest_the_bytes_are_read_before_and_after() {
    let world = undigested(false).await;
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let release = &world.github.releases(RELEASE_REPOSITORY)[0];
    assert!(!release.draft && release.assets.iter().all(|asset| asset.digest.is_none()));
    let read = |asset: &AssetView| {
        let path = format!("/repos/{RELEASE_REPOSITORY}/releases/assets/{}", asset.id);
        let requests = world.github.requests();
        requests.iter().filter(|r| r.path == path).count()
    };
    for asset in &release.assets {
        assert_eq!(read(asset), 2, "{}", asset.name);
    }
}

#[tokio::test]
async fn an_asset_of_other_bytes_is_not_published_though_it_has_no_digest() {
    let world = undigested(true).await;
    let why = refused(&world).await;
    assert!(
        why.contains("SHA256SUMS differs from what was collected"),
        "{why}"
    );
    assert!(world.github.releases(RELEASE_REPOSITORY)[0].draft);
}

/// The `make_latest` that was sent, with releases of these tags there.
async fn latest_beside(tags: &[(&str, bool)]) -> Value {
    let world = complete().await;
    for (tag, prerelease) in tags {
        let release = ForeignRelease {
            tag: (*tag).to_owned(),
            prerelease: *prerelease,
            ..ForeignRelease::default()
        };
        world
            .github
            .release_as("a-person", RELEASE_REPOSITORY, release);
    }
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole_among(&world, tags.len() + 1);
    let exchanges = world.github.exchanges();
    let last = exchanges.iter().rfind(|e| e.method == "PATCH").unwrap();
    last.request.as_ref().unwrap()["make_latest"].clone()
}

fn whole_among(world: &StageWorld, count: usize) {
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!(releases.len(), count);
    assert!(releases.iter().all(|release| !release.draft));
}

#[tokio::test]
async fn a_backport_is_not_the_latest_and_a_greater_version_is() {
    assert_eq!(latest_beside(&[("v0.2.0", false)]).await, "false");
    assert_eq!(
        latest_beside(&[("v0.0.9", false), ("v0.2.0-rc.1", true)]).await,
        "true"
    );
}

#[tokio::test]
async fn what_github_would_not_take_is_told_at_once_before_anything_is_sent() {
    let world = complete().await;
    let build = world.build("bllvm").await;
    let collected = build.collected.clone().unwrap();
    let mut list: Value = serde_json::from_slice(&world.object(&collected.key).await).unwrap();
    let one = list["assets"][0].clone();
    let other = |name: &str, size: u64| {
        let mut asset = one.clone();
        (asset["name"], asset["size"]) = (name.into(), size.into());
        asset
    };
    let assets = list["assets"].as_array_mut().unwrap();
    assets.extend([
        other("huge", 2 << 30),
        other("empty", 0),
        other(RELEASE_MANIFEST, 1),
    ]);
    assets.extend((0..1_000).map(|n| other(&format!("n{n}"), 1)));
    let bytes = serde_json::to_vec(&list).unwrap();
    let sha256 = Sha256::of(&bytes);
    world
        .stage
        .objects
        .put_new("another-list", bytes)
        .await
        .unwrap();
    world
        .alter("bllvm", |build| {
            let collected = build.collected.as_mut().unwrap();
            collected.key = "another-list".into();
            collected.sha256 = sha256;
        })
        .await;
    let why = refused(&world).await;
    for told in [
        "huge of bllvm has 2147483648 bytes, and GitHub takes less than 2147483648",
        "empty of bllvm is empty, and GitHub takes no empty files",
        "bllvm built a file named release-manifest.json, which the release itself needs",
        "files, and GitHub takes 1000",
    ] {
        assert!(why.contains(told), "{told} is not in: {why}");
    }
    assert_eq!(writes(&world), 0);
}

#[tokio::test]
async fn a_component_s_tag_that_is_elsewhere_is_told_in_plan() {
    let mut world = StageWorld::start().await;
    world.stage.config.tag_components = true;
    let at = world.github.create_tag("BTCDecoded/bllvm-sdk", "v0.1.0");
    let head = world.github.push_commit("BTCDecoded/bllvm-sdk");
    let refused = world.plan_as(&world.execution("one")).await.unwrap_err();
    let told = format!(
        "component 'bllvm-sdk' is to be tagged v0.1.0, which is at commit {at} of BTCDecoded/bllvm-sdk, but {head} is what would be built: give it another version or git_tag"
    );
    assert_eq!(refused.to_string(), told);
}
#[tokio::test]
async fn components_are_tagged_at_their_pins_before_the_release_is_seen() {
    let mut repositories = fixture(MANIFEST);
    for repository in &mut repositories {
        repository.tags.retain(|tag| tag != "v0.1.0");
    }
    let mut world = StageWorld::with(repositories).await;
    world.stage.config.tag_components = true;
    let world = completed(world).await;
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(&world).await;
    for component in ["bllvm-consensus", "bllvm-sdk", "bllvm-node"] {
        let build = world.build(component).await;
        let at = world
            .stage
            .github
            .tag(&repository(component), "v0.1.0")
            .await;
        assert_eq!(at.unwrap(), Some(build.pin), "{component}");
    }
    let requests = world.github.requests();
    let seen = requests.iter().position(|r| r.method == "PATCH").unwrap();
    let tagged = requests
        .iter()
        .rposition(|r| r.path.ends_with("/git/refs"))
        .unwrap();
    assert!(tagged < seen);
}

#[tokio::test]
async fn an_asset_of_somebody_else_is_never_replaced() {
    let world = complete().await;
    let theirs = ForeignRelease {
        tag: "v0.1.0".into(),
        prerelease: false,
        draft: true,
        assets: vec![("bllvm".into(), b"theirs".to_vec())],
    };
    let id = world
        .github
        .release_as("somebody", RELEASE_REPOSITORY, theirs);
    let error = world.publish().await.unwrap_err();
    assert!(
        matches!(error, StageError::VerificationFailed(_)),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with("bllvm of the draft is not what"),
        "{error}"
    );
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((releases[0].id, releases[0].draft), (id, true));
    assert_eq!(&releases[0].assets[0].content[..], b"theirs");
}
