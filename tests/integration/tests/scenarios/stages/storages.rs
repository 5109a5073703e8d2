//! Collect: what serves an artifact's bytes is odd, slow, broken or hostile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commons_collect::Next;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::names::Sha256;
use commons_runtime::StageError;
use github_simulator::{Artifact, FaultKind, Storage};
use integration::{MANIFEST, MovedClock, StageWorld, fixture, noise};

use super::collect::{DOWNLOAD, green_sdk, list, nothing_is_left, refused, with};

const BLOB: &str = "/_blob/{key}";

/// A zip of so many bytes and a few more, served so.
fn zip(size: usize, storage: Storage) -> Artifact {
    Artifact {
        name: "z".into(),
        files: vec![("noise".into(), noise(size))],
        storage,
        ..Artifact::default()
    }
}

/// Every asset is in the bucket as it was built; their number.
async fn built(world: &StageWorld) -> usize {
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    let assets = list(world, &world.build("bllvm-sdk").await).await.assets;
    for asset in &assets {
        assert_eq!(Sha256::of(&world.object(&asset.key).await), asset.sha256);
    }
    assets.len()
}

#[tokio::test]
async fn a_zip_comes_from_a_storage_that_knows_no_ranges_or_lengths() {
    for storage in [Storage::NoRanges, Storage::NoLength] {
        for size in [1_000, 12 << 20] {
            let world = with(zip(size, storage.clone())).await;
            assert_eq!(built(&world).await, 7, "{storage:?}: {size}");
        }
    }
}

#[tokio::test]
async fn more_bytes_than_announced_fail_the_build_before_they_fill_anything() {
    let unknown = |artifact: Artifact| Artifact {
        digest: false,
        ..artifact
    };
    let longer = || Storage::Longer(1 << 40);
    let file = |storage| Artifact {
        storage,
        ..Artifact::raw("z", noise(100_000))
    };
    for artifact in [
        zip(1_000, Storage::Endless),
        zip(200_000, Storage::Endless),
        unknown(zip(1_000, Storage::Endless)),
        unknown(zip(200_000, Storage::Endless)),
        file(Storage::Endless),
        unknown(file(Storage::Endless)),
        zip(200_000, longer()),
        unknown(zip(200_000, longer())),
        unknown(file(longer())),
    ] {
        let told = format!("{:?}, digest {}", artifact.storage, artifact.digest);
        let world = with(artifact).await;
        let error = refused(&world).await;
        let expected = error.starts_with("artifact z: has more bytes than the ");
        assert!(expected && error.ends_with(" announced"), "{told}: {error}");
    }
}

/// A world whose clock is moved, and an artifact of it that comes a byte at a time.
async fn slow(artifact: Artifact) -> (StageWorld, Arc<MovedClock>) {
    let clock = Arc::new(MovedClock::default());
    let world = StageWorld::by(clock.clone(), fixture(MANIFEST)).await;
    world.planned().await;
    world.script("bllvm-sdk", |script| script.artifacts = vec![artifact]);
    world.built("bllvm-sdk").await;
    (world, clock)
}

#[tokio::test]
async fn a_slow_body_is_left_when_the_time_is_up_and_not_waited_for_without_end() {
    let raw = Artifact {
        storage: Storage::Slow,
        ..Artifact::raw("bllvm-sign", noise(100_000))
    };
    let zips = [5_000, 200_000].map(|size| zip(size, Storage::Slow));
    for artifact in zips.into_iter().chain([raw]) {
        let (world, clock) = slow(artifact).await;
        let began = Instant::now();
        let answer = collect_while(&world, &clock, 14 * 60 + 1).await;
        assert_eq!(answer.unwrap().next, Next::Again);
        nothing_is_left(&world).await;
        let build = world.build("bllvm-sdk").await;
        assert!(build.unseen_since.is_some(), "nothing came whole");
        assert_eq!(build.status, BuildStatus::Success);
        // Half an hour later it is given up, by its name.
        let answer = collect_while(&world, &clock, 31 * 60).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, StageError::Blind(_)), "{error:?}");
        // It would take half an hour, or a minute; others have the machine too.
        assert!(began.elapsed() < Duration::from_secs(50), "{began:?}");
    }
}

/// Collects, while so many seconds pass after the storage was asked.
async fn collect_while(
    world: &StageWorld,
    clock: &MovedClock,
    seconds: u64,
) -> Result<commons_collect::Output, StageError> {
    let asked = || world.github.calls().get(&format!("GET {BLOB}")).copied();
    let before = asked();
    let time_passes = async {
        while asked() == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clock.advance(Duration::from_secs(seconds));
    };
    let (answer, ()) = tokio::join!(world.collect("bllvm-sdk"), time_passes);
    answer
}

#[tokio::test]
async fn what_fails_verification_does_not_wait_for_what_is_slow() {
    let world = green_sdk(|script| {
        script.artifacts = vec![
            zip(100_000, Storage::Slow),
            Artifact {
                name: "hostile".into(),
                files: vec![("../x".into(), b"1".to_vec())],
                ..Artifact::default()
            },
        ];
    })
    .await;
    let began = Instant::now();
    let error = refused(&world).await;
    assert!(
        error.contains("artifact hostile: entry '../x' leads elsewhere"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(50));
}

#[tokio::test]
async fn a_connection_that_dies_in_its_middle_is_asked_again_for_that_artifact_only() {
    let world = with(zip(8 << 20, Storage::Ranges)).await;
    world.faults("GET", BLOB, FaultKind::BrokenOff, 2);
    assert_eq!(built(&world).await, 7);
    let downloads = downloads(&world);
    assert!((4..=5).contains(&downloads), "three artifacts: {downloads}");
}

fn downloads(world: &StageWorld) -> usize {
    let requests = world.github.requests();
    requests.iter().filter(|r| r.path.ends_with("/zip")).count()
}

#[tokio::test]
async fn one_whose_connections_all_die_is_left_green_and_goes_on_where_it_was() {
    let world = with(zip(8 << 20, Storage::Ranges)).await;
    for kind in [
        FaultKind::BrokenOff,
        FaultKind::Status(403, None),
        FaultKind::Status(503, None),
    ] {
        world.faults("GET", BLOB, kind, 1_000);
        assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Again);
        assert_eq!(world.build("bllvm-sdk").await.status, BuildStatus::Success);
        nothing_is_left(&world).await;
        world.github.heal();
    }
    let before = downloads(&world);
    assert_eq!(built(&world).await, 7);
    assert_eq!(downloads(&world) - before, 3);
}

#[tokio::test]
async fn a_redirect_to_what_is_not_public_is_refused_by_a_name() {
    for (location, why) in [
        ("http://example.org/x", "it leads to http, and not to https"),
        ("ftp://example.org/x", "it leads to ftp, and not to https"),
        (
            "https://10.0.0.1/x",
            "it leads to 10.0.0.1, which is no public address",
        ),
        (
            "https://[::1]/x",
            "it leads to ::1, which is no public address",
        ),
        ("https://localhost/x", "localhost is at "),
    ] {
        let elsewhere = zip(1_000, Storage::Elsewhere(location.into()));
        let mut world = green_sdk(|script| script.artifacts = vec![elsewhere]).await;
        world.public_only();
        let error = refused(&world).await;
        let told = error.contains("to where we do not go") && error.contains(why);
        assert!(told, "{location}: {error}");
    }
}

#[tokio::test]
async fn a_storage_that_redirects_once_more_is_refused() {
    let world = green_sdk(|_| {}).await;
    let location = vec![("location".to_owned(), "https://example.org/".to_owned())];
    world.faults("GET", BLOB, FaultKind::Status(302, Some(location)), 10);
    let error = refused(&world).await;
    assert!(error.contains("the storage redirects once more"), "{error}");
}

#[tokio::test]
async fn what_github_says_is_gone_is_built_again_or_ends_the_build() {
    for rebuild in [true, false] {
        let world = green_sdk(|_| {}).await;
        let rebuilt = |build: &mut Build| build.spec.rebuild_expired = rebuild;
        world.alter("bllvm-sdk", rebuilt).await;
        world.faults("GET", DOWNLOAD, FaultKind::Status(410, None), 2);
        gone(&world, rebuild).await;
    }
}

#[tokio::test]
async fn what_is_gone_within_the_hour_is_built_again_or_ends_the_build() {
    for rebuild in [true, false] {
        let clock = Arc::new(MovedClock::default());
        let world = StageWorld::by(clock.clone(), fixture(MANIFEST)).await;
        world.planned().await;
        world.quick_runs();
        world.built("bllvm-sdk").await;
        let rebuilt = |build: &mut Build| build.spec.rebuild_expired = rebuild;
        world.alter("bllvm-sdk", rebuilt).await;
        clock.advance(Duration::from_secs(90 * 24 * 3600 - 59 * 60));
        gone(&world, rebuild).await;
    }
}

async fn gone(world: &StageWorld, rebuild: bool) {
    if rebuild {
        let answer = world.collect("bllvm-sdk").await.unwrap();
        assert_eq!(answer.next, Next::Retry);
        nothing_is_left(world).await;
        let told = world.times_told("bllvm-sdk", "ArtifactExpired").await;
        assert_eq!(told, 1);
        return;
    }
    let error = refused(world).await;
    let run = &world.runs("bllvm-sdk")[0];
    let until = run.completed_at.unwrap() + Duration::from_secs(90 * 24 * 3600);
    let date = until.strftime("%Y-%m-%dT%H:%M").to_string();
    assert!(error.starts_with("ArtifactExpired: "), "{error}");
    assert!(error.contains(&date), "{error}: {date}");
}
