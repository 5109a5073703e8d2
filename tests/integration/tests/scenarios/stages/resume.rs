//! A release that is taken up again: what was built stays what it was.

use commons_domain::build::BuildStatus;
use commons_domain::release::ReleaseStatus;
use integration::{COMPONENTS, RELEASE_REPOSITORY, StageWorld};
use serde_json::json;

#[tokio::test]
async fn the_tag_stays_at_the_commit_that_was_built_though_the_branch_moves_on() {
    let world = StageWorld::start().await;
    world.planned().await;
    world.green(&COMPONENTS).await;
    let built = world.build("bllvm").await.pin;
    world.github.push_commit(RELEASE_REPOSITORY);
    world.planned().await;
    assert_eq!(world.build("bllvm").await.pin, built);
    assert_eq!(world.release().await.target_commit, Some(built));
}

#[tokio::test]
async fn a_release_of_a_tag_is_taken_up_though_the_branch_moves_on() {
    let world = StageWorld::start().await;
    let tagged = world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    world.planned().await;
    world.green(&COMPONENTS).await;
    let ended = |b: &mut commons_domain::build::Build| b.status = BuildStatus::Failure;
    world.alter("bllvm-sdk", ended).await;
    world.github.push_commit(RELEASE_REPOSITORY);
    world.planned().await;
    assert_eq!(world.build("bllvm-sdk").await.status, BuildStatus::Pending);
    assert_eq!(world.release().await.target_commit, Some(tagged));
}

#[tokio::test]
async fn a_prerelease_stays_one_until_somebody_says_otherwise() {
    let world = StageWorld::start().await;
    for (name, input, expected) in [
        ("1", json!({"version": "v0.1.0", "prerelease": true}), true),
        ("2", json!({"version": "v0.1.0"}), true),
        (
            "3",
            json!({"version": "v0.1.0", "prerelease": false}),
            false,
        ),
        ("4", json!({"version": "v0.1.0"}), false),
    ] {
        let me = world.execution(name);
        world.plan_with(&me, input.clone()).await.unwrap();
        assert_eq!(world.release().await.prerelease, expected, "{input}");
    }
}

#[tokio::test]
async fn a_nightly_is_the_commit_that_it_is_named_after() {
    let world = StageWorld::start().await;
    let named = world.github.push_commit(RELEASE_REPOSITORY);
    let version = format!("nightly-20261123-{}", &named[..12]);
    let me = world.execution("night");
    let input = json!({ "version": version });
    let planned = world.plan_with(&me, input.clone()).await.unwrap();
    let release = world.stage.store.release(&planned.release).await.unwrap();
    let release = release.unwrap();
    assert_eq!(release.manifest_commit.as_ref(), Some(&named));
    assert_eq!(release.target_commit.as_ref(), Some(&named));
    // What is built of it already stays; another commit is another night's.
    world.github.push_commit(RELEASE_REPOSITORY);
    let next = world.execution("the next");
    let error = world.plan_with(&next, input).await.unwrap_err().to_string();
    assert!(error.contains("the nightly is named after"), "{error}");
}

/// An aborted execution is settled while its successor plans, in every order.
#[tokio::test]
async fn who_takes_over_is_not_disturbed_by_the_end_of_who_was_before() {
    for round in 0..6 {
        let mut world = StageWorld::start().await;
        let machine = world.waiting_machine().await;
        world.stage.config.state_machine_arn = machine.clone();
        let first = world.execute(&machine).await;
        world.plan_as(&first).await.unwrap();
        world.abort(&first).await;
        let second = world.execute(&machine).await;
        let event = json!({"detail": {
            "executionArn": first, "status": "ABORTED", "input": "{\"version\":\"v0.1.0\"}",
        }});
        let plan = async {
            tokio::time::sleep(std::time::Duration::from_millis(round * 12)).await;
            // As the state machine does.
            loop {
                match world.plan_as(&second).await {
                    Err(commons_runtime::StageError::Unavailable(_)) => {}
                    planned => break planned,
                }
            }
        };
        let (settled, planned) = tokio::join!(world.settle(event), plan);
        settled.unwrap();
        let generation = planned.unwrap().generation;
        let release = world.release().await;
        assert_eq!(release.lease.as_deref(), Some(second.as_str()), "{round}");
        assert_eq!(release.status, ReleaseStatus::Building, "{round}");
        for component in COMPONENTS {
            let build = world.build(component).await;
            assert_eq!(
                (build.status, build.generation),
                (BuildStatus::Pending, generation),
                "{component} in round {round}"
            );
        }
    }
}
