//! The train that arrives.

use integration::{RELEASE_REPOSITORY, World};

#[tokio::test]
async fn six_components_are_built_in_order_and_published() {
    let world = World::start().await;
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");

    let builds = world.items("v0.1.0", "build#").await;
    assert_eq!(builds.len(), 6);
    let time = |build: &serde_json::Value, name: &str| build[name].as_str().unwrap().to_owned();
    for build in &builds {
        assert_eq!(build["status"], "collected", "{build}");
        for required in build["requires"].as_array().unwrap() {
            let dependency = builds.iter().find(|b| b["component"] == *required).unwrap();
            assert!(
                time(build, "dispatched_at") >= time(dependency, "completed_at"),
                "{} was dispatched before {required} was green",
                build["component"]
            );
        }
    }
    for repository in builds.iter().map(|b| b["repository"].as_str().unwrap()) {
        assert_eq!(world.github.runs(repository).len(), 1, "{repository}");
    }

    let releases = world.github.releases(RELEASE_REPOSITORY);
    assert_eq!(releases.len(), 1);
    let release = &releases[0];
    assert!(!release.draft && !release.prerelease);
    assert!(release.assets.len() >= 8, "{} assets", release.assets.len());
    let sums = release
        .assets
        .iter()
        .find(|asset| asset.name == "SHA256SUMS")
        .unwrap();
    let sums = String::from_utf8(sums.content.to_vec()).unwrap();
    assert_eq!(
        sums.lines().count(),
        release.assets.len() - 2,
        "all but itself and its signature"
    );
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let asset = release
            .assets
            .iter()
            .find(|asset| asset.name == name)
            .unwrap();
        assert_eq!(
            commons_domain::names::Sha256::of(&asset.content).as_str(),
            sum,
            "{name}"
        );
    }
    assert!(release.body.contains("bllvm-consensus"));
    world.stop().await;
}
