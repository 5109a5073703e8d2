//! The template's roles, enforced: what they allow suffices.

use github_simulator::Script;
use integration::{RELEASE_REPOSITORY, World};

#[tokio::test]
async fn the_roles_of_the_template_suffice_for_a_release() {
    let world = World::start_with_roles_enforced().await;
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    assert_eq!(world.github.releases(RELEASE_REPOSITORY).len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn they_suffice_for_a_release_that_fails() {
    let world = World::start_with_roles_enforced().await;
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
    let release = &world.items("v0.1.0", "release").await[0];
    assert_eq!(release["status"], "failed", "{release}");
    let error = release["error"].as_str().unwrap();
    assert!(error.starts_with("bllvm-protocol is failure"), "{error}");
    world.stop().await;
}
