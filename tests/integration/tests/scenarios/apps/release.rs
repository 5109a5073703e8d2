//! Releases through every stage with an App's tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use commons_github::permissions::PERMISSIONS;
use commons_publish::Next;
use commons_runtime::{StageError, Work};
use github_simulator::{App, Settings};
use integration::{RELEASE_REPOSITORY, StageWorld};
use secrecy::SecretString;
use serde_json::json;

use super::{OWNER, app, secret};
use crate::stages::publish::ORDER;

/// How long something is waited for that comes in a moment on a machine that is not busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world where only the App is let in; nothing but the actor tells whose runs are whose.
async fn of(app: &App) -> StageWorld {
    let mut world = StageWorld::without_nonces().await;
    world.github.set_app(app.clone());
    world.github.revoke_token(&Settings::default().token);
    world.authorise(secret(app));
    world.quick_runs();
    world
}

async fn complete(world: &StageWorld) {
    for component in ORDER {
        world.built(component).await;
        world.collect(component).await.unwrap();
    }
}

async fn published(world: &StageWorld) {
    let began = Instant::now();
    while world.publish().await.unwrap().next != Next::Published {
        let patient = began.elapsed() < PATIENCE;
        assert!(patient, "it is not published: {:?}", world.release().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the table gives a stage.
fn permissions(work: Work) -> BTreeMap<String, String> {
    let of = |p: &commons_github::permissions::Permission| {
        Some((p.name.to_owned(), p.of(work)?.as_str().to_owned()))
    };
    PERMISSIONS.iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_release_goes_through_every_stage_with_what_the_table_gives() {
    let mut world = of(&app()).await;
    world.stage.config.tag_components = true;
    let draft = json!({"version": "v0.1.0", "publish": "draft"});
    world
        .plan_with(&world.execution("one"), draft)
        .await
        .unwrap();
    complete(&world).await;
    published(&world).await;
    assert!(world.github.releases(RELEASE_REPOSITORY)[0].draft);
    // The draft's assets are known as the App's own.
    world.plan_as(&world.execution("two")).await.unwrap();
    published(&world).await;
    let release = world.github.releases(RELEASE_REPOSITORY).remove(0);
    assert!(!release.draft && release.assets.len() > 8);

    for component in ORDER {
        let runs = world.runs(component);
        assert_eq!(runs.len(), 1, "{component}");
        assert_eq!(runs[0].actor, "release-train[bot]");
    }
    let refused: Vec<_> = world.github.requests();
    let refused: Vec<_> = refused
        .iter()
        .filter(|r| [401, 403].contains(&r.status))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
    let minted = world.github.minted();
    let given: BTreeSet<_> = minted.iter().map(|token| &token.permissions).collect();
    let stages = [
        Work::Plan,
        Work::Dispatch,
        Work::Poll,
        Work::Collect,
        Work::Publish,
    ];
    let table: Vec<_> = stages.map(permissions).into();
    assert_eq!(given, table.iter().collect());
    // Plan pins, and Publish tags, what is of all components.
    for token in &minted {
        let names = token.repositories.clone().unwrap();
        let of_all = [Work::Plan, Work::Publish].map(permissions);
        let most = if of_all.contains(&token.permissions) {
            6
        } else {
            1
        };
        assert!(names.len() <= most, "{token:?}");
    }
    let mut of_publish = minted
        .iter()
        .filter(|token| token.permissions == permissions(Work::Publish));
    let first = of_publish.next().unwrap().repositories.as_deref();
    assert_eq!(first, Some(&["bllvm".to_owned()][..]));
}

#[tokio::test]
async fn a_release_that_ends_is_settled_with_what_the_table_gives() {
    let world = of(&app()).await;
    let execution = world.execution("one");
    world.plan_as(&execution).await.unwrap();
    world.script("bllvm-sdk", |script| script.run_seconds = 3600.0);
    world.dispatch("bllvm-sdk").await.unwrap();
    world.poll("bllvm-sdk").await.unwrap();
    let event = json!({"detail": {
        "executionArn": execution,
        "status": "ABORTED",
        "cause": "enough",
        "input": json!({"version": "v0.1.0"}).to_string(),
    }});
    world.settle(event).await.unwrap();
    // What is cancelled ends a moment later.
    let began = Instant::now();
    let conclusion = loop {
        let run = world.runs("bllvm-sdk").remove(0);
        if run.conclusion.is_some() || began.elapsed() > PATIENCE {
            break run.conclusion;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(conclusion.as_deref(), Some("cancelled"));
    let minted = world.github.minted();
    let of_settle = minted
        .iter()
        .filter(|m| m.permissions == permissions(Work::Settle));
    assert!(of_settle.count() >= 1, "{minted:?}");
}

/// All that a stage said, wherever it said it.
async fn said(world: &StageWorld, outcome: Result<String, StageError>) -> String {
    let outcome = outcome.unwrap_or_else(|error| error.to_string());
    let events = world.events().await;
    let events: Vec<String> = events.iter().map(ToString::to_string).collect();
    format!("{outcome}\n{}", events.join("\n"))
}

#[tokio::test]
async fn each_permission_that_is_missing_is_named() {
    for work in Work::ALL {
        for permission in PERMISSIONS
            .iter()
            .filter(|p| !p.optional && p.name != "metadata")
        {
            let Some(access) = permission.of(work) else {
                continue;
            };
            let whole = app();
            let mut less = whole.clone();
            less.installations[0].permissions.remove(permission.name);
            let mut world = of(&whole).await;
            let execution = world.execution("one");
            if work != Work::Plan {
                world.plan_as(&execution).await.unwrap();
            }
            match work {
                Work::Plan | Work::Dispatch => {}
                Work::Publish => complete(&world).await,
                Work::Collect => world.built("bllvm-sdk").await,
                Work::Poll | Work::Settle => {
                    world.script("bllvm-sdk", |script| script.run_seconds = 3600.0);
                    world.dispatch("bllvm-sdk").await.unwrap();
                }
            }
            if work == Work::Settle {
                world.poll("bllvm-sdk").await.unwrap();
            }
            world.github.set_app(less.clone());
            world.authorise(secret(&less));
            let outcome = match work {
                Work::Plan => world.plan_as(&execution).await.map(|o| format!("{o:?}")),
                Work::Dispatch => world.dispatch("bllvm-sdk").await.map(|o| format!("{o:?}")),
                Work::Poll => world.poll("bllvm-sdk").await.map(|o| format!("{o:?}")),
                Work::Collect => world.collect("bllvm-sdk").await.map(|o| format!("{o:?}")),
                Work::Publish => world.publish().await.map(|o| format!("{o:?}")),
                Work::Settle => {
                    let error = json!({"Error": "E", "Cause": "c"});
                    let input = json!({"version": "v0.1.0"});
                    let end = json!({"kind": "release", "execution": execution, "input": input, "error": error});
                    world.settle(end).await.map(|o| format!("{o:?}"))
                }
            };
            let said = said(&world, outcome).await;
            let named = format!(
                "installation of {OWNER} lacks {}: {}",
                permission.name,
                access.as_str()
            );
            assert!(said.contains(&named), "{work}, {named}: {said}");
        }
    }
}

#[tokio::test]
async fn a_secret_that_is_no_good_is_told_by_its_field() {
    let mut world = of(&app()).await;
    let half = json!({"app_id": 4711});
    world.authorise(SecretString::from(half.to_string()));
    let refused = world.plan_as(&world.execution("one")).await.unwrap_err();
    let told = "the secret for GitHub needs private_key: ";
    assert!(
        matches!(&refused, StageError::Refused(why) if why.starts_with(told)),
        "{refused}"
    );
    assert!(world.github.requests().is_empty());
}

#[tokio::test]
async fn tokens_that_die_while_it_publishes_are_minted_anew() {
    let world = of(&app()).await;
    world.planned().await;
    complete(&world).await;
    let killer = async {
        let mut killed = 0;
        // Each time a few more assets are there, every token dies.
        while killed < 3 {
            let releases = world.github.releases(RELEASE_REPOSITORY);
            if releases
                .first()
                .is_some_and(|draft| draft.assets.len() > 3 * killed)
            {
                for token in world.github.minted() {
                    world.github.revoke_token(&token.token);
                }
                killed += 1;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(published(&world), killer);
    let release = world.github.releases(RELEASE_REPOSITORY).remove(0);
    assert!(!release.draft);
    let refused = world.github.requests();
    assert!(refused.iter().any(|request| request.status == 401));
    let sums = release
        .assets
        .iter()
        .find(|a| a.name == "SHA256SUMS")
        .unwrap();
    let lines = String::from_utf8_lossy(&sums.content).lines().count();
    assert_eq!(lines, release.assets.len() - 1);
}
