//! Collect: artifacts that are no zip.

use commons_artifacts::Asset;
use commons_collect::Next;
use commons_domain::build::Build;
use commons_domain::names::Sha256;
use github_simulator::{Artifact, Corrupt, Storage};
use integration::{StageWorld, noise};

use super::collect::{list, refused, tarball, with};

/// What was collected of the artifact that is no zip.
async fn collected(world: &StageWorld, artifact: &str) -> Asset {
    assert_eq!(world.collect("bllvm-sdk").await.unwrap().next, Next::Built);
    let build = world.build("bllvm-sdk").await;
    let mut assets = list(world, &build).await.assets.into_iter();
    assets
        .find(|asset| asset.artifact.name == artifact)
        .unwrap()
}

/// One whose download says its name so.
fn disposed(content: &[u8], disposition: Option<&str>) -> Artifact {
    let mut artifact = Artifact::raw("of-the-artifact.bin", content);
    artifact.raw.as_mut().unwrap().disposition = disposition.map(str::to_owned);
    artifact
}

#[tokio::test]
async fn a_file_is_an_asset_under_the_name_that_its_download_has() {
    // The second one's end is read before the rest.
    for (content, disposition, name) in [
        (
            noise(1_000),
            Some("attachment; filename=\"plain; 1.bin\""),
            "plain; 1.bin",
        ),
        (
            noise(7 << 20),
            Some("attachment; filename=\"r_sum_.txt\"; filename*=UTF-8''r%C3%A9sum%C3%A9.txt"),
            "résumé.txt",
        ),
        (noise(70_000), None, "of-the-artifact.bin"),
        (noise(0), Some("attachment"), "of-the-artifact.bin"),
    ] {
        let world = with(disposed(&content, disposition)).await;
        let asset = collected(&world, "of-the-artifact.bin").await;
        assert_eq!(
            (asset.name.as_str(), asset.path_in_artifact.as_str()),
            (name, name)
        );
        assert_eq!(asset.size, content.len() as u64);
        assert_eq!(asset.sha256, Sha256::of(&content));
        assert_eq!(asset.artifact.digest.as_ref(), Some(&asset.sha256));
        assert!(world.object(&asset.key).await == content, "{name}");
    }
}

#[tokio::test]
async fn a_declared_binary_is_found_in_a_tarball_that_came_as_it_is() {
    let tarball = tarball("bin/program", b"content", true);
    let world = with(Artifact::raw("all.tar.gz", tarball.clone())).await;
    let declared = |build: &mut Build| {
        build.spec.artifacts.clear();
        build.spec.binaries = vec!["program".into()];
    };
    world.alter("bllvm-sdk", declared).await;
    let asset = collected(&world, "all.tar.gz").await;
    assert_eq!(asset.name, "all.tar.gz");
    assert!(world.object(&asset.key).await == tarball);
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.collected.unwrap().count, 1, "the others hold none");
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_fails_the_build() {
    for (disposition, why) in [
        ("attachment; filename=\"../x\"", "leads elsewhere"),
        ("attachment; filename*=UTF-8''..%2Fx", "leads elsewhere"),
        ("attachment; filename=\"..\"", "leads elsewhere"),
        ("attachment; filename=\"a/x\"", "is no file's"),
        ("attachment; filename=\"/etc/x\"", "is no relative path"),
        ("attachment; filename=\"C:x\"", "is no relative path"),
        (
            "attachment; filename*=UTF-8''%5C%5Chost%5Cx",
            "is no relative path",
        ),
        ("attachment; filename*=UTF-8''a%E2%80%AEb", "do not show"),
        ("attachment; filename*=UTF-8''a%0Ab", "do not show"),
    ] {
        let world = with(disposed(b"content", Some(disposition))).await;
        let error = refused(&world).await;
        let of = "artifact of-the-artifact.bin: its name '";
        assert!(
            error.starts_with(of) && error.contains(why),
            "{disposition}: {error}"
        );
        assert_eq!(error.lines().count(), 1);
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_was_announced_fails_the_build() {
    let raw = || Artifact::raw("file.bin", noise(100_000));
    for (corrupt, digest, why) in [
        (Corrupt::WrongDigest, true, "has the digest"),
        (Corrupt::Truncated, true, "has the digest"),
        (
            Corrupt::Truncated,
            false,
            "has 50000 bytes, but GitHub announced 100000",
        ),
    ] {
        let world = with(Artifact {
            corrupt: Some(corrupt),
            digest,
            ..raw()
        })
        .await;
        let error = refused(&world).await;
        assert!(error.contains("file.bin") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_file_comes_from_a_storage_that_knows_no_ranges_or_lengths() {
    for storage in [Storage::NoRanges, Storage::NoLength] {
        for size in [1_000, 6 << 20] {
            let content = noise(size);
            let world = with(Artifact {
                storage: storage.clone(),
                ..Artifact::raw("file.bin", content.clone())
            })
            .await;
            let asset = collected(&world, "file.bin").await;
            assert!(
                world.object(&asset.key).await == content,
                "{storage:?}: {size}"
            );
        }
    }
}
