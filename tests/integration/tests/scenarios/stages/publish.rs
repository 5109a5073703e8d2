//! Publish: one release, whole or not seen.

use std::collections::BTreeMap;

use commons_artifacts::AssetList;
use commons_domain::build::BuildStatus;
use commons_domain::documents;
use commons_domain::names::{RepoName, Sha256};
use commons_domain::release::ReleaseStatus;
use commons_github::NewRelease;
use commons_publish::Next;
use commons_runtime::StageError;
use github_simulator::{FaultKind, ReleaseView};
use integration::{RELEASE_REPOSITORY, StageWorld};
use std::time::Duration;

const RELEASES: &str = "/repos/{owner}/{repo}/releases";
const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";
pub(super) const ASSETS: &str = "/repos/{owner}/{repo}/releases/{release_id}/assets";
/// The components, what is required before what requires it.
pub const ORDER: [&str; 6] = [
    "bllvm-consensus",
    "bllvm-sdk",
    "bllvm-protocol",
    "bllvm-commons",
    "bllvm-node",
    "bllvm",
];

/// A world whose six builds are complete.
pub(super) async fn complete() -> StageWorld {
    completed(StageWorld::start().await).await
}

/// This world, its six builds complete.
pub async fn completed(world: StageWorld) -> StageWorld {
    world.planned().await;
    world.quick_runs();
    for component in ORDER {
        world.built(component).await;
        world.collect(component).await.unwrap();
        let build = world.build(component).await;
        assert_eq!(build.status, BuildStatus::Collected, "{build:?}");
    }
    world
}

fn home() -> RepoName {
    RepoName::new(RELEASE_REPOSITORY).unwrap()
}

fn draft(tag: &str) -> NewRelease {
    NewRelease {
        tag_name: tag.into(),
        target_commitish: None,
        name: tag.into(),
        body: String::new(),
        draft: true,
        prerelease: false,
    }
}

/// What the builds collected, by name.
async fn collected(world: &StageWorld) -> BTreeMap<String, Sha256> {
    let mut all = BTreeMap::new();
    for component in ORDER {
        let build = world.build(component).await;
        let bytes = world.object(&build.collected.unwrap().key).await;
        let list: AssetList = serde_json::from_slice(&bytes).unwrap();
        all.extend(list.assets.into_iter().map(|a| (a.name, a.sha256)));
    }
    all
}

/// The one release there is, whole: every collected file once, with its digest.
pub(super) async fn whole(world: &StageWorld) -> ReleaseView {
    let mut releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!(releases.len(), 1);
    let release = releases.remove(0);
    assert!(!release.draft);
    let wanted = collected(world).await;
    let signed = world.stage.signer.is_some();
    assert_eq!(
        release.assets.len(),
        wanted.len() + documents::count(signed),
        "each once, and the documents"
    );
    let mut summed = Vec::new();
    for (name, sha256) in &wanted {
        let asset = release.assets.iter().find(|asset| asset.name == *name);
        let asset = asset.unwrap();
        assert_eq!(Sha256::of(&asset.content), *sha256, "{name}");
        assert_eq!(asset.digest, Some(format!("sha256:{sha256}")), "{name}");
        summed.push((name.clone(), sha256.clone()));
    }
    let content = |name: &str| {
        let file = release.assets.iter().find(|asset| asset.name == name);
        file.unwrap().content.clone()
    };
    let mut before = vec![documents::RELEASE_MANIFEST, documents::VERSIONS];
    before.extend(signed.then_some(documents::PROVENANCE));
    summed.extend(
        before
            .iter()
            .map(|name| ((*name).to_owned(), Sha256::of(&content(name)))),
    );
    summed.sort();
    let sums: String = summed
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    assert_eq!(
        String::from_utf8(content(documents::SUMS).into()).unwrap(),
        sums
    );
    release
}

pub(super) fn writes(world: &StageWorld) -> usize {
    let requests = world.github.requests();
    requests
        .iter()
        .filter(|r| r.method != "GET" && r.path.contains("/releases"))
        .count()
}

#[tokio::test]
async fn complete_builds_are_published_once() {
    let world = complete().await;
    let generation = world.release().await.generation;
    let answer = world.publish().await.unwrap();
    assert_eq!(answer.next, Next::Published);
    let seen = whole(&world).await;
    assert_eq!((seen.tag_name.as_str(), seen.prerelease), ("v0.1.0", false));
    let release = world.release().await;
    assert_eq!(release.status, ReleaseStatus::Published);
    assert_eq!(release.generation, generation);
    assert_eq!(release.github_release_id, Some(seen.id));
    assert_eq!(release.lease, None);
    assert!(release.html_url.is_some() && release.completed_at.is_some());
    assert_eq!(Some(seen.target_commitish), release.manifest_commit);
    for component in ORDER {
        let build = world.build(component).await;
        assert!(seen.body.contains(component) && seen.body.contains(&build.pin[..7]));
    }
    let last = world.events().await.pop().unwrap();
    assert_eq!(
        (&last["from"], &last["to"]),
        (&"publishing".into(), &"published".into())
    );

    let before = writes(&world);
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    assert_eq!(writes(&world), before, "GitHub is left alone");
    assert_eq!(world.release().await, release);
}

#[tokio::test]
async fn one_that_died_after_the_last_write_to_github_makes_nothing_twice() {
    let world = complete().await;
    let execution = world.release().await.lease;
    world.publish().await.unwrap();
    let first = whole(&world).await;
    let published = world.release().await;
    let mut publishing = published.clone();
    publishing.status = ReleaseStatus::Publishing;
    publishing.lease = execution;
    let store = &world.stage.store;
    let changed = store.change_release(&published, &publishing, "the test");
    changed.await.unwrap();

    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let again = whole(&world).await;
    let ids = |view: &ReleaseView| view.assets.iter().map(|a| a.id).collect::<Vec<_>>();
    assert_eq!((again.id, ids(&again)), (first.id, ids(&first)));
    assert_eq!(again.body, first.body);
    assert_eq!(world.release().await.status, ReleaseStatus::Published);
}

#[tokio::test]
async fn what_is_not_complete_is_refused_and_nothing_is_made() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&ORDER).await;
    for component in &ORDER[1..5] {
        world
            .alter(component, |b| b.status = BuildStatus::Collected)
            .await;
    }
    world
        .alter("bllvm", |b| {
            b.status = BuildStatus::Failure;
            b.error = Some("it broke".into());
        })
        .await;
    let error = world.publish().await.unwrap_err();
    assert!(matches!(error, StageError::NotComplete(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "bllvm is failure: it broke; bllvm-consensus is success"
    );
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    assert_eq!(writes(&world), 0);
    assert_eq!(world.release().await.status, ReleaseStatus::Building);
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    let world = complete().await;
    // Each is done by GitHub, and nobody hears of it.
    for (method, route) in [("POST", RELEASES), ("POST", ASSETS), ("PATCH", RELEASE)] {
        world.fault(method, route, FaultKind::LostAnswer);
    }
    for lost in ["the draft", "an asset", "the last write"] {
        let answer = world.publish().await.unwrap();
        assert_eq!(answer.next, Next::Again, "{lost}");
        assert!(answer.wait_seconds >= 1);
        assert_eq!(world.release().await.status, ReleaseStatus::Publishing);
    }
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(&world).await;
    let calls = world.github.calls();
    assert_eq!(calls[&format!("POST {RELEASES}")], 1);
    assert_eq!(
        calls[&format!("POST {ASSETS}")],
        (collected(&world).await.len() + documents::count(false)) as u64
    );
}

#[tokio::test]
async fn an_upload_that_broke_off_is_made_anew_unseen() {
    let world = complete().await;
    world.fault("POST", ASSETS, FaultKind::StarterAsset);
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert!(releases[0].draft, "nobody sees it");
    assert_eq!(releases[0].assets[0].state, "starter");
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let seen = whole(&world).await;
    assert!(seen.assets.iter().all(|asset| asset.state == "uploaded"));
}

#[tokio::test]
async fn an_upload_that_arrives_after_its_502_is_taken_for_what_it_is() {
    let world = complete().await;
    world.fault("POST", ASSETS, FaultKind::Deferred(502, Some(2.0)));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    // The next one asks while it is not there yet, and sends it when it is.
    world.fault("POST", ASSETS, FaultKind::Delay(3.0));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(&world).await;
}

#[tokio::test]
async fn a_foreign_asset_in_the_draft_is_named_and_kept_and_nothing_is_seen() {
    let world = complete().await;
    let github = &world.stage.github;
    let made = github
        .create_release(&home(), &draft("v0.1.0"))
        .await
        .unwrap();
    github
        .upload_asset(
            &made.upload_url,
            "theirs.txt",
            5,
            "hello".into(),
            integration::MINUTE,
        )
        .await
        .unwrap();
    let error = world.publish().await.unwrap_err();
    assert!(
        matches!(error, StageError::VerificationFailed(_)),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("theirs.txt is not ours"),
        "{error}"
    );
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((releases.len(), releases[0].draft), (1, true));
    let theirs = releases[0].assets.iter().find(|a| a.name == "theirs.txt");
    assert_eq!(&theirs.unwrap().content[..], b"hello");
}

#[tokio::test]
async fn an_asset_of_ours_that_differs_in_the_draft_is_replaced() {
    let world = complete().await;
    let github = &world.stage.github;
    let made = github
        .create_release(&home(), &draft("v0.1.0"))
        .await
        .unwrap();
    github
        .upload_asset(
            &made.upload_url,
            "bllvm",
            3,
            "old".into(),
            integration::MINUTE,
        )
        .await
        .unwrap();
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    assert_eq!(whole(&world).await.id, made.id, "the draft is taken up");
}

#[tokio::test]
async fn what_changed_in_the_bucket_is_not_published() {
    let world = complete().await;
    let key = world.build("bllvm").await.collected.unwrap().key;
    let bytes = world.object(&key).await;
    let list: AssetList = serde_json::from_slice(&bytes).unwrap();
    let asset = &list.assets[0];
    // The same size, another content.
    let mut content = world.object(&asset.key).await;
    content[0] ^= 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    let objects = &world.stage.objects;
    let sum = Sha256::of(&content);
    objects
        .put_file(&asset.key, file.path(), &sum)
        .await
        .unwrap();
    let error = world.publish().await.unwrap_err();
    assert!(
        matches!(error, StageError::VerificationFailed(_)),
        "{error:?}"
    );
    assert!(error.to_string().contains(&asset.name), "{error}");
    assert!(world.github.releases(RELEASE_REPOSITORY)[0].draft);
}

#[tokio::test]
async fn an_asset_list_that_changed_stops_before_anything_is_made() {
    let world = complete().await;
    let key = world.build("bllvm").await.collected.unwrap().key;
    let mut list: AssetList = serde_json::from_slice(&world.object(&key).await).unwrap();
    list.assets.pop();
    world.stage.objects.put_json(&key, &list).await.unwrap();
    let error = world.publish().await.unwrap_err();
    assert!(
        matches!(error, StageError::VerificationFailed(_)),
        "{error:?}"
    );
    assert!(error.to_string().contains(&key), "{error}");
    assert_eq!(writes(&world), 0);
}

#[tokio::test]
async fn a_release_that_somebody_else_published_is_refused() {
    let world = complete().await;
    let github = &world.stage.github;
    let theirs = NewRelease {
        draft: false,
        ..draft("v0.1.0")
    };
    let theirs = github.create_release(&home(), &theirs).await.unwrap();
    let before = writes(&world);
    let error = world.publish().await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains(&theirs.html_url), "{error}");
    assert_eq!(writes(&world), before);
    assert!(
        world.github.releases(RELEASE_REPOSITORY)[0]
            .assets
            .is_empty()
    );
}

#[tokio::test]
async fn an_old_generation_publishes_nothing() {
    let world = complete().await;
    let old = world.release().await.generation;
    world.planned().await;
    let input = commons_publish::Input {
        release: world.key(),
        generation: old,
    };
    let error = commons_publish::handle(world.stage.clone(), input).await;
    let error = error.unwrap_err();
    assert!(matches!(error, StageError::LeaseLost(_)), "{error:?}");
    assert_eq!(writes(&world), 0);
    // The new owner has nothing to build, and publishes what is complete.
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(&world).await;
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_github_asks() {
    let world = complete().await;
    let asked = vec![("retry-after".to_owned(), "240".to_owned())];
    world.faults("POST", RELEASES, FaultKind::Status(429, Some(asked)), 2);
    for _ in 0..2 {
        let answer = world.publish().await.unwrap();
        assert_eq!(answer.next, Next::Again);
        assert_eq!(answer.wait_seconds, 2, "240 simulated seconds");
    }
    assert!(world.release().await.unseen_since.is_some());
    let told = world.times_told("release", "out of sight: ").await;
    assert_eq!(told, 1, "once, however often GitHub asks to wait");
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    whole(&world).await;
    assert_eq!(world.release().await.unseen_since, None);
}

#[tokio::test]
async fn one_that_is_killed_anywhere_is_finished_by_the_next() {
    let world = complete().await;
    for milliseconds in [10, 30, 60, 90, 130, 180, 240, 310] {
        let cut = Duration::from_millis(milliseconds);
        let _killed = tokio::time::timeout(cut, world.publish()).await;
        for release in world.github.releases(RELEASE_REPOSITORY) {
            let whole =
                release.assets.len() == collected(&world).await.len() + documents::count(false);
            assert!(release.draft || whole, "seen before it is whole");
        }
    }
    // As the state machine does: a draft that somebody is making is waited for.
    let began = std::time::Instant::now();
    loop {
        let answer = world.publish().await.unwrap();
        if answer.next == Next::Published {
            break;
        }
        let elapsed = began.elapsed();
        assert!(elapsed.as_secs() < 60, "it does not come to its end");
        tokio::time::sleep(Duration::from_secs(answer.wait_seconds)).await;
    }
    whole(&world).await;
}

#[tokio::test]
async fn what_we_published_ourselves_is_taken_up_by_the_next_owner() {
    let world = complete().await;
    let first = world.release().await;
    world.publish().await.unwrap();
    let seen = whole(&world).await;
    // Nobody wrote down that it is published: its execution was killed right then.
    let published = world.release().await;
    let mut publishing = published.clone();
    publishing.status = ReleaseStatus::Publishing;
    publishing.lease = first.lease;
    let store = &world.stage.store;
    let changed = store.change_release(&published, &publishing, "the test");
    changed.await.unwrap();
    let other = world.execution("another");
    assert_eq!(world.plan_as(&other).await.unwrap().to_build, 0);
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    assert_eq!(whole(&world).await.id, seen.id);
    assert_eq!(world.release().await.status, ReleaseStatus::Published);
}

#[tokio::test]
async fn two_contents_of_one_name_are_refused_by_both_components() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.quick_runs();
    world.script("bllvm-consensus", |script| {
        script.artifacts[0].files = vec![("bllvm".into(), b"not the node".to_vec())];
    });
    for component in ORDER {
        world.built(component).await;
        world.collect(component).await.unwrap();
    }
    let error = world.publish().await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "bllvm (bllvm) and bllvm-consensus (bllvm) both built an asset named bllvm at GitHub, with different contents: give one an asset_prefix"
    );
    assert_eq!(writes(&world), 0);
}

#[tokio::test]
async fn a_release_that_is_to_stop_at_a_draft_is_verified_and_not_seen() {
    let world = complete().await;
    let again = |publish: &str| serde_json::json!({"version": "v0.1.0", "publish": publish});
    let me = world.execution("again");
    let output = world.plan_with(&me, again("draft")).await.unwrap();
    assert_eq!(output.to_build, 0, "everything is complete");
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let release = world.release().await;
    assert_eq!(
        (release.status, release.lease),
        (ReleaseStatus::Drafted, None)
    );
    let drafts = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((drafts.len(), drafts[0].draft), (1, true));
    assert!(
        drafts[0].body.contains("bllvm-consensus"),
        "{}",
        drafts[0].body
    );
    assert_eq!(
        drafts[0].assets.len(),
        collected(&world).await.len() + documents::count(false)
    );
    let error = world
        .plan_with(&world.execution("two"), again("draft"))
        .await;
    assert!(
        matches!(error, Err(StageError::AlreadyPublished(_))),
        "{error:?}"
    );

    // Whoever starts it again without that publishes the draft.
    world
        .plan_with(&world.execution("two"), again("release"))
        .await
        .unwrap();
    world.publish().await.unwrap();
    assert_eq!(world.release().await.status, ReleaseStatus::Published);
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((releases.len(), releases[0].draft), (1, false));
    assert_eq!(releases[0].assets.len(), drafts[0].assets.len());
}

#[tokio::test]
async fn what_an_earlier_owner_uploaded_and_nothing_builds_any_more_is_deleted() {
    let world = complete().await;
    let github = &world.stage.github;
    let made = github
        .create_release(&home(), &draft("v0.1.0"))
        .await
        .unwrap();
    let upload = github.upload_asset(
        &made.upload_url,
        "old.txt",
        3,
        "old".into(),
        integration::MINUTE,
    );
    upload.await.unwrap();
    let before = world.release().await;
    let mut known = before.clone();
    known.github_release_id = Some(made.id);
    world
        .stage
        .store
        .change_release(&before, &known, "the test")
        .await
        .unwrap();
    world.publish().await.unwrap();
    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!((releases.len(), releases[0].draft), (1, false));
    assert!(
        releases[0]
            .assets
            .iter()
            .all(|asset| asset.name != "old.txt")
    );
    let words = "old.txt is deleted from the draft";
    assert_eq!(world.times_told("release", words).await, 1);
}

#[tokio::test]
async fn of_two_calls_at_once_one_makes_the_draft() {
    let world = complete().await;
    // Both find the release being published, and no draft.
    world.fault("POST", RELEASES, FaultKind::Status(502, None));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    world.fault("POST", RELEASES, FaultKind::Delay(0.5));
    let (one, two) = tokio::join!(world.publish(), world.publish());
    assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
    let began = std::time::Instant::now();
    while world.release().await.status != ReleaseStatus::Published {
        assert!(began.elapsed() < Duration::from_secs(30));
        // Two at once may also find the other's upload in their way: then again.
        let _again = world.publish().await;
    }
    assert_eq!(world.github.releases(RELEASE_REPOSITORY).len(), 1);
    whole(&world).await;
}
