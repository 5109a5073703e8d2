//! What runs built, on its way to GitHub's release.

use commons_artifacts::Asset;
use github_simulator::{Artifact, Corrupt, FaultKind};
use integration::RELEASE_REPOSITORY;
use serde_json::Value;

use super::*;

/// An artifact of one file.
fn artifact(name: &str, file: &str, content: &str) -> Artifact {
    Artifact {
        name: name.into(),
        files: vec![(file.into(), content.into())],
        ..Artifact::default()
    }
}

/// The content of an asset.
fn content<'a>(seen: &'a ReleaseView, name: &str) -> &'a str {
    let asset = seen.assets.iter().find(|asset| asset.name == name);
    std::str::from_utf8(&asset.unwrap().content).unwrap()
}

/// One job of two fails: what it uploaded before stays beside what its next attempt
/// uploads, under a name that is the same and an id that is higher. What the other job
/// built in the first attempt is not built again.
#[tokio::test]
async fn mode_06_artifacts_of_an_old_attempt_are_taken() {
    let world = scripted(CHAIN, RELEASE_REPOSITORY, |script| {
        let linux = artifact("bllvm-x86_64-linux", "bllvm", "linux, of attempt 1");
        let half = artifact("bllvm-x86_64-windows", "bllvm.exe", "half, of attempt 1");
        let whole = artifact("bllvm-x86_64-windows", "bllvm.exe", "whole, of attempt 2");
        script.conclusions = vec!["failure".into(), "success".into()];
        script.failed_artifacts = vec![linux, half];
        script.artifacts = vec![whole];
    })
    .await;
    let seen = arrives(&world).await;
    assert_eq!(content(&seen, "bllvm"), "linux, of attempt 1");
    assert_eq!(content(&seen, "bllvm.exe"), "whole, of attempt 2");

    let build = build(&world, "bllvm").await;
    let run = ours(&world, RELEASE_REPOSITORY)[0].id;
    let objects = world.objects().await;
    let list = asset_list(&build, &objects);
    assert_eq!((list.run_id, list.run_attempt), (run, 2));
    let of = |name: &str| -> &Asset { list.assets.iter().find(|a| a.name == name).unwrap() };
    let (linux, windows) = (of("bllvm"), of("bllvm.exe"));
    for asset in [linux, windows] {
        let (artifact, name) = (asset.artifact.id, &asset.name);
        let key = format!("{RELEASE_REPOSITORY}/{VERSION}/bllvm/{run}.2/{artifact}/{name}");
        assert_eq!(asset.key, key);
        assert!(asset.artifact.digest.is_some());
    }
    let mut exchanges = world.github.exchanges().into_iter();
    let listed = exchanges.find_map(|exchange| {
        let of_both = exchange.route == ARTIFACTS;
        let artifacts = exchange.response?["artifacts"].as_array()?.clone();
        (of_both && artifacts.len() == 3).then_some(artifacts)
    });
    let listed = listed.unwrap();
    let ids = |name: &str| -> Vec<u64> {
        let named = listed.iter().filter(|a| a["name"] == name);
        named.map(|a| a["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids("bllvm-x86_64-linux"), [linux.artifact.id]);
    let twice = ids("bllvm-x86_64-windows");
    assert_eq!(
        (twice.len(), twice[0]),
        (2, windows.artifact.id),
        "the newest"
    );
    assert!(twice[0] < twice[1], "not the highest");
    world.stop().await;
}

/// A download ends in its middle, and its length fits what came: the digest does not.
async fn a_download_that_was_cut_short_is_begun_again() {
    let world = world_with(CHAIN, |_| {}).await;
    world.github.fault(github_simulator::Fault {
        method: "GET".into(),
        route: BLOB.into(),
        repo: None,
        times: 2,
        kind: FaultKind::CutShort,
    });
    arrives(&world).await;
    assert_eq!(build(&world, "bllvm-consensus").await["retry_count"], 0);
    let downloads = calls(
        &world,
        "GET /repos/{owner}/{repo}/actions/artifacts/{artifact_id}/zip",
    );
    assert_eq!(
        downloads,
        3 + 2,
        "three artifacts, two of them twice or one thrice"
    );
    world.stop().await;
}

/// It ends there every time, with a digest or without one: nothing is published.
async fn a_download_that_is_always_cut_short_fails_its_build() {
    let manifest =
        format!("{CHAIN}bllvm-sdk = {{ version = \"0.1.0\", binaries = [\"bllvm-sign\"] }}\n");
    let world = world_with(&manifest, |repository| {
        for artifact in &mut repository.script.artifacts {
            match repository.name.as_str() {
                "BTCDecoded/bllvm-sdk" => artifact.digest = false,
                CONSENSUS => {}
                _ => continue,
            }
            artifact.corrupt = Some(Corrupt::Truncated);
        }
    })
    .await;
    let why = fails(&world).await;
    for told in [
        "bllvm-consensus is failure: artifact bllvm-consensus-0.1.0: is no readable zip",
        // Of two at once, whichever is seen first.
        "bllvm-sdk is failure: artifact bllvm-sdk-x86_64-",
    ] {
        assert!(why.contains(told), "{why}");
    }
    assert_eq!(why.matches(": is no readable zip").count(), 2, "{why}");
    let kept = world.objects().await;
    for component in ["bllvm-consensus", "bllvm-sdk"] {
        let part = format!("/{component}/");
        assert!(!kept.keys().any(|key| key.contains(&part)), "{component}");
    }
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

#[test]
fn mode_07_a_download_is_cut_short_without_an_error() {
    play([
        || Box::pin(a_download_that_was_cut_short_is_begun_again()),
        || Box::pin(a_download_that_is_always_cut_short_fails_its_build()),
    ]);
}

/// Uploads break off and leave a `starter`, are done though GitHub says 502, or are done
/// and not answered: only the starter is deleted, what is there already is left alone.
#[tokio::test]
async fn mode_08_uploads_leave_starters_and_already_exist() {
    let world = world_with(CHAIN, |_| {}).await;
    let home = RELEASE_REPOSITORY;
    for kind in [
        FaultKind::StarterAsset,
        FaultKind::Deferred(502, Some(0.05)),
        FaultKind::LostAnswer,
        // Sent, and there when it is sent again: `already_exists`.
        FaultKind::Deferred(502, Some(3.0)),
        FaultKind::Delay(3.5),
    ] {
        fault(&world, "POST", ASSETS, home, kind, 1);
    }
    let seen = arrives(&world).await;
    assert_eq!(seen.assets.len(), 3 + documents::count(true));
    let calls: Vec<(String, u16)> = world
        .github
        .requests()
        .into_iter()
        .filter(|r| r.path.contains("/assets") && r.method != "GET")
        .map(|r| (r.method, r.status))
        .collect();
    let of = |method: &str, status: u16| {
        let same = calls
            .iter()
            .filter(|call| **call == (method.to_owned(), status));
        same.count()
    };
    assert_eq!(of("DELETE", 204), 1, "the starter: {calls:?}");
    assert_eq!((of("POST", 502), of("POST", 0)), (3, 1), "{calls:?}");
    assert_eq!(of("POST", 422), 1, "already there: {calls:?}");
    let documents = documents::count(true);
    assert_eq!(
        of("POST", 201),
        documents,
        "what was not there yet: {calls:?}"
    );
    world.stop().await;
}

/// GitHub renames assets, by its rules and once by none that anybody knows: the sums are
/// of the names that are there.
#[tokio::test]
async fn mode_13_asset_names_are_changed_by_github() {
    let manifest = r#"[versions]
bllvm = { version = "0.1.0", artifacts = ["*"] }
"#;
    let world = scripted(manifest, RELEASE_REPOSITORY, |script| {
        script.artifacts = [
            ("one", "key manager (linux).bin"),
            ("two", "résumé.txt"),
            ("three", ".env"),
            ("four", "zz-of-no-rule.bin"),
        ]
        .map(|(name, file)| artifact(name, file, name))
        .into();
    })
    .await;
    // The first four are the files; one of them has what is renamed then.
    let kind = FaultKind::RenamedAsset;
    fault(&world, "POST", ASSETS, RELEASE_REPOSITORY, kind, 4);
    let seen = arrives(&world).await;
    let names = seen.assets.iter().map(|a| a.name.as_str());
    let names: BTreeSet<&str> = names.filter(|name| !is_document(name)).collect();
    let wanted = [
        "default.env",
        "key.manager.linux..bin",
        "resume.txt",
        "zz.of.no.rule.bin",
    ];
    assert_eq!(names, BTreeSet::from(wanted));
    let sums = content(&seen, "SHA256SUMS");
    assert!(sums.contains("  zz.of.no.rule.bin\n"), "{sums}");
    world.stop().await;
}

/// One artifact of many has expired: its build fails, and nothing of the others is
/// published.
async fn one_artifact_is_gone() {
    let world = scripted(SIX, "BTCDecoded/bllvm-commons", |script| {
        script.artifacts[1].expired = true;
    })
    .await;
    let why = fails(&world).await;
    assert!(why.contains("bllvm-commons is failure"), "{why}");
    assert!(why.contains("bllvm-commons-x86_64-windows"), "{why}");
    for (component, status) in world.statuses(VERSION).await {
        let expected = if component == "bllvm-commons" {
            "failure"
        } else {
            "collected"
        };
        assert_eq!(status, expected, "{component}");
    }
    assert!(
        world.github.releases(RELEASE_REPOSITORY).is_empty(),
        "not even a draft"
    );
    world.stop().await;
}

/// One artifact cannot be downloaded for longer than anybody waits: nothing is published
/// until it can be, and then nothing is built again.
async fn one_artifact_is_out_of_reach() {
    let world = world_with(CHAIN, |_| {}).await;
    let unseen = FaultKind::Status(503, None);
    fault(
        &world,
        "GET",
        DOWNLOAD,
        RELEASE_REPOSITORY,
        unseen,
        1_000_000,
    );
    let why = fails(&world).await;
    assert!(why.contains("nothing could be seen of bllvm"), "{why}");
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    let green: Value = build(&world, "bllvm").await;
    assert_eq!(green["status"], "success", "{green}");
    world.github.heal();
    arrives(&world).await;
    for repository in [CONSENSUS, RELEASE_REPOSITORY] {
        assert_eq!(ours(&world, repository).len(), 1, "{repository}");
    }
    world.stop().await;
}

#[test]
fn mode_18_a_failed_download_is_skipped_and_the_rest_published() {
    play([
        || Box::pin(one_artifact_is_gone()),
        || Box::pin(one_artifact_is_out_of_reach()),
    ]);
}
