//! Trains that do not arrive: nothing half is seen.

use github_simulator::{Artifact, Script};
use integration::{RELEASE_REPOSITORY, World};

#[tokio::test]
async fn one_failure_blocks_its_dependents_and_publishes_nothing() {
    let world = World::start().await;
    world.github.script(
        "BTCDecoded/bllvm-protocol",
        Script {
            conclusions: vec!["failure".into()],
            run_seconds: 60.0,
            ..Script::default()
        },
    );
    let execution = world.release("v0.1.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let statuses = world.statuses("v0.1.0").await;
    let of = |component: &str| statuses[component].as_str();
    assert_eq!(of("bllvm-protocol"), "failure");
    assert_eq!((of("bllvm-node"), of("bllvm")), ("blocked", "blocked"));
    for component in ["bllvm-consensus", "bllvm-sdk", "bllvm-commons"] {
        assert_eq!(of(component), "collected", "{component}");
    }
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    let release = &world.items("v0.1.0", "release").await[0];
    assert_eq!(release["status"], "failed");
    assert!(release["lease"].is_null());
    let error = release["error"].as_str().unwrap();
    assert!(error.starts_with("bllvm-protocol is failure"), "{error}");
    world.stop().await;
}

#[tokio::test]
async fn a_missing_binary_fails_its_build_by_name() {
    let world = World::start().await;
    let artifact = Artifact {
        name: "bllvm-x86_64-linux".into(),
        files: vec![("something-else".into(), b"not it".to_vec())],
        digest: true,
        ..Artifact::default()
    };
    world.github.script(
        "BTCDecoded/bllvm",
        Script {
            artifacts: vec![artifact],
            run_seconds: 60.0,
            ..Script::default()
        },
    );
    let execution = world.release("v0.1.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let builds = world.items("v0.1.0", "build#").await;
    let bllvm = builds.iter().find(|b| b["component"] == "bllvm").unwrap();
    assert_eq!(bllvm["status"], "failure");
    assert!(
        bllvm["error"].as_str().unwrap().contains("bllvm"),
        "{bllvm}"
    );
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}
