//! Collect: what a green run built, verified, in S3, once.

use commons_artifacts::AssetList;
use commons_collect::Next;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::clock::Clock;
use commons_domain::names::Sha256;
use commons_runtime::SystemClock;
use github_simulator::{Artifact, Corrupt, FaultKind, Repository, Script, Storage};
use integration::{
    MANIFEST, MovedClock, RELEASE_REPOSITORY, StageWorld, fixture, noise, repository,
};
use serde_json::Value;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

const ARTIFACTS: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts";
pub(super) const DOWNLOAD: &str =
    "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}";

/// A world in which the sdk is green, after a run that `change` scripted.
pub(super) async fn green_sdk(change: impl FnOnce(&mut Script)) -> StageWorld {
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

/// The sdk after Collect gave it an end: failed, with a reason, nothing collected, nothing
/// left in the bucket, nothing published.
pub(super) async fn refused(world: &StageWorld) -> String {
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
    nothing_is_left(world).await;
    world.publish().await.unwrap_err();
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    build.error.unwrap()
}

pub(super) async fn list(world: &StageWorld, build: &Build) -> AssetList {
    let collected = build.collected.as_ref().unwrap();
    let bytes = world.object(&collected.key).await;
    assert_eq!(Sha256::of(&bytes), collected.sha256);
    let schema = include_str!("../../../../../docs/asset-list.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let read = serde_json::from_slice(&bytes).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<String> = schema.iter_errors(&read).map(|e| e.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
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
async fn artifacts_that_are_declared_and_not_there_fail_the_build() {
    let world = green_sdk(|_| {}).await;
    let other = |build: &mut Build| {
        build.spec.artifacts = vec!["other-*".into(), "more".into()];
        build.spec.binaries.clear();
    };
    world.alter("bllvm-sdk", other).await;
    assert_eq!(
        refused(&world).await,
        "bllvm-sdk declares the artifacts other-*, more, which match none of: \
         bllvm-sdk-x86_64-windows, bllvm-sdk-x86_64-linux"
    );
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
async fn a_build_whose_artifact_has_expired_is_built_again() {
    let world = green_sdk(|script| script.artifacts[0].expired = true).await;
    world.quick_runs();
    let answer = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(answer.next, Next::Retry);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(
        (build.status, build.retry_count, build.workflow_run_id),
        (BuildStatus::Retrying, 1, None)
    );
    // Once more, as where the answer was lost, says the same.
    let again = world.collect("bllvm-sdk").await.unwrap();
    assert_eq!(again.next, Next::Retry);
    assert_eq!(world.build("bllvm-sdk").await, build);
    tokio::time::sleep(Duration::from_secs(answer.wait_seconds)).await;
    world.built("bllvm-sdk").await;
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!(world.runs("bllvm-sdk").len(), 2);
}

#[tokio::test]
async fn an_expired_artifact_ends_the_build_where_the_manifest_says_so() {
    let world = green_sdk(|script| script.artifacts[0].expired = true).await;
    world
        .alter("bllvm-sdk", |build| build.spec.rebuild_expired = false)
        .await;
    let error = refused(&world).await;
    assert!(error.starts_with("ArtifactExpired"), "{error}");
    assert!(error.contains("bllvm-sdk-x86_64-linux"), "{error}");
}

/// Nothing of the sdk's run is in the bucket.
pub(super) async fn nothing_is_left(world: &StageWorld) {
    let s3 = world.s3();
    let bucket = &world.stage.config.bucket;
    let prefix = format!("{}/bllvm-sdk/", world.key());
    let listed = s3.list_objects_v2().bucket(bucket).prefix(prefix);
    let listed = listed.send().await.unwrap();
    assert_eq!(listed.contents().len(), 0, "{:?}", listed.contents());
    let open = s3.list_multipart_uploads().bucket(bucket).send().await;
    assert_eq!(open.unwrap().uploads().len(), 0);
}

/// An artifact beside the others, which count too, with these files.
pub(super) async fn with_files(files: &[(&str, &[u8])]) -> StageWorld {
    let files = files
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
    let more = Artifact {
        name: "more".into(),
        files: files.collect(),
        ..Artifact::default()
    };
    with(more).await
}

/// An artifact beside the others, which count too.
pub(super) async fn with(artifact: Artifact) -> StageWorld {
    let world = green_sdk(|script| script.artifacts.push(artifact)).await;
    let all = |build: &mut Build| build.spec.artifacts = vec!["*".into()];
    world.alter("bllvm-sdk", all).await;
    world
}

#[tokio::test]
async fn an_archive_that_is_not_what_it_says_leaves_nothing_behind() {
    let noise = noise(100_000);
    let world = green_sdk(|script| {
        script.artifacts.push(Artifact {
            name: "z".into(),
            files: vec![("noise".into(), noise)],
            corrupt: Some(Corrupt::Inside),
            ..Artifact::default()
        });
    })
    .await;
    let error = refused(&world).await;
    assert!(error.contains("artifact z: entry 'noise'"), "{error}");
}

#[tokio::test]
async fn a_sum_that_is_another_names_the_file_and_both_sums() {
    let (said, got) = (Sha256::of(b"2"), Sha256::of(b"1"));
    let sums = format!("{said}  file\n");
    for name in ["SHA256SUMS", "SHA256SUMS-linux"] {
        let world = with_files(&[("file", b"1"), (name, sums.as_bytes())]).await;
        let error = refused(&world).await;
        for named in [name, "file", said.as_str(), got.as_str()] {
            assert!(error.contains(named), "{error}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_missing_fails_only_the_file_of_all_sums() {
    let sums = format!("{}  elsewhere\n", Sha256::of(b"1"));
    let world = with_files(&[("SHA256SUMS", sums.as_bytes())]).await;
    let error = refused(&world).await;
    assert_eq!(error, "SHA256SUMS names elsewhere, which is not there");
    let world = with_files(&[("SHA256SUMS-linux", sums.as_bytes())]).await;
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
}

#[tokio::test]
async fn a_sum_of_what_is_within_an_archive_is_checked() {
    let (said, got) = (Sha256::of(b"right"), Sha256::of(b"wrong"));
    let sums = format!("{said}  program\n");
    for (name, packed) in [("all.tar", false), ("all.tar.gz", true)] {
        let world = async |content: &[u8]| {
            let tarball = tarball("dir/program", content, packed);
            let sums = ("SHA256SUMS-bllvm-linux", sums.as_bytes());
            with_files(&[(name, &tarball), sums]).await
        };
        let answer = world(b"right").await.collect("bllvm-sdk").await;
        assert_eq!(answer.unwrap().next, Next::Built);
        let error = refused(&world(b"wrong").await).await;
        for named in [
            "SHA256SUMS-bllvm-linux",
            "program",
            said.as_str(),
            got.as_str(),
        ] {
            assert!(error.contains(named), "{error}");
        }
    }
}

/// A tarball of one file.
pub(super) fn tarball(path: &str, content: &[u8], packed: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append_data(&mut header, path, content).unwrap();
    let tar = tar.into_inner().unwrap();
    if !packed {
        return tar;
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

/// A green sdk with one artifact more that takes a while at first; its run, and the ids of a
/// small artifact and of that one.
async fn one_takes_a_while(clock: Arc<dyn Clock>) -> (StageWorld, u64, u64, u64) {
    let slow = Artifact {
        name: "z".into(),
        files: vec![("noise".into(), noise(200_000))],
        storage: Storage::SlowOnce,
        ..Artifact::default()
    };
    let world = StageWorld::by(clock, fixture(MANIFEST)).await;
    world.planned().await;
    world.script("bllvm-sdk", |script| script.artifacts.push(slow));
    world.built("bllvm-sdk").await;
    let run = world.runs("bllvm-sdk")[0].id;
    let sdk = repository("bllvm-sdk");
    let found = world.stage.github.artifacts(&sdk, run).await.unwrap();
    let id = |name: &str| found.iter().find(|a| a.name == name).unwrap().id;
    let (small, slow) = (id("bllvm-sdk-x86_64-linux"), id("z"));
    (world, run, small, slow)
}

/// Ends when it is written down that an artifact came whole.
async fn has_come(world: &StageWorld, run: u64, artifact: u64) {
    let record = format!("{}/bllvm-sdk/{run}.1/{artifact}.json", world.key());
    let objects = &world.stage.objects;
    while objects.get_json::<Value>(&record).await.unwrap().is_none() {}
}

/// How often an artifact was asked for.
fn fetched(world: &StageWorld, artifact: u64) -> usize {
    let path = format!("/repos/BTCDecoded/bllvm-sdk/actions/artifacts/{artifact}/zip");
    let requests = world.github.requests();
    requests.iter().filter(|r| r.path == path).count()
}

#[tokio::test]
async fn one_that_is_killed_fetches_only_what_was_in_flight_again() {
    let (world, run, small, slow) = one_takes_a_while(Arc::new(SystemClock)).await;
    tokio::select! {
        answer = world.collect("bllvm-sdk") => panic!("{answer:?}"),
        () = has_come(&world, run, small) => {}
    }
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!((fetched(&world, small), fetched(&world, slow)), (1, 2));
}

#[tokio::test]
async fn one_whose_time_is_up_is_called_again_and_goes_on_where_it_was() {
    let clock = Arc::new(MovedClock::default());
    let (world, run, small, slow) = one_takes_a_while(clock.clone()).await;
    let time_passes = async {
        has_come(&world, run, small).await;
        clock.advance(Duration::from_secs(14 * 60 + 1));
    };
    let (answer, ()) = tokio::join!(world.collect("bllvm-sdk"), time_passes);
    assert_eq!(answer.unwrap().next, Next::Again);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(
        (build.status, build.unseen_since),
        (BuildStatus::Success, None)
    );
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    assert_eq!((fetched(&world, small), fetched(&world, slow)), (1, 2));
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_not_followed() {
    let mut world = green_sdk(|_| {}).await;
    world.public_only();
    let error = refused(&world).await;
    assert!(error.contains("to where we do not go"), "{error}");
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
async fn a_transfer_that_is_cut_short_unsaid_is_begun_again() {
    let world = green_sdk(|_| {}).await;
    world.faults("GET", "/_blob/{key}", FaultKind::CutShort, 2);
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    let build = world.build("bllvm-sdk").await;
    for asset in list(&world, &build).await.assets {
        assert_eq!(Sha256::of(&world.object(&asset.key).await), asset.sha256);
    }
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
