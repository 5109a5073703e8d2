//! Whole releases, by the definition's own states, at speed 1.

mod asked;
mod found;
mod manifests;
mod mutants;
mod published;
mod settled;
mod shrunk;
mod stormy;

use std::sync::Arc;
use std::time::Duration;

use commons_domain::names::RepoName;
use github_simulator::{Repository, fixture_repositories};
use storm::weather::Fair;
use storm::{Driver, Execution, Options, Progress, Status};

/// A child's history may have 25,000 events; a fifth of that leaves room for a build
/// that is tried again.
const LONGEST_HISTORY: u64 = 5_000;
/// What a state's payload stays under; AWS allows 256 KiB.
const LARGEST_PAYLOAD: usize = 4 * 1024;
/// What is released.
const VERSION: &str = "v0.1.0";
/// Where.
const RELEASE_REPOSITORY: &str = "BTCDecoded/bllvm";
/// The six components.
const MANIFEST: &str = include_str!("../../../fixtures/versions.toml");

/// The repositories of a manifest, with a few bytes for each file that they build.
fn repositories(manifest: &str) -> Vec<Repository> {
    let mut repositories = fixture_repositories(manifest, RELEASE_REPOSITORY).expect("a manifest");
    let artifacts = repositories
        .iter_mut()
        .flat_map(|r| &mut r.script.artifacts);
    for (name, content) in artifacts.flat_map(|artifact| &mut artifact.files) {
        *content = format!("what is built as {name}").into_bytes();
    }
    repositories
}

async fn driver(repositories: Vec<Repository>, webhooks: bool) -> Driver {
    let options = Options {
        repositories,
        release_repository: RepoName::new(RELEASE_REPOSITORY).expect("a name"),
        webhooks,
        sweeps: false,
        weather: Arc::new(Fair),
        record: false,
        signs: false,
    };
    Driver::start(options).await.expect("a driver")
}

/// Runs a release to its end, which is that it is published, and says what it took.
async fn published(driver: &Driver, what: &str) {
    let execution = driver.release(VERSION);
    driver.run().await.expect("an end");
    let progress = execution.progress();
    assert_eq!(progress.status, Status::Succeeded, "{:?}", progress.failure);
    let releases = driver.github.releases(RELEASE_REPOSITORY);
    let found = releases.iter().find(|release| release.tag_name == VERSION);
    assert!(found.is_some_and(|release| !release.draft), "{releases:?}");
    bounded(driver, what);
}

/// What every release stays under, and what it took.
fn bounded(driver: &Driver, what: &str) {
    let figures = driver.figures();
    println!(
        "{what}: {figures}; {} of virtual time",
        hours(driver.elapsed())
    );
    assert!(figures.longest_child < LONGEST_HISTORY, "{figures}");
    assert!(figures.largest_payload < LARGEST_PAYLOAD, "{figures}");
    for execution in driver.machine.executions.list() {
        counted(&execution);
    }
}

/// What begins in the history of an execution that ended well ends there, as at AWS.
fn counted(execution: &Execution) {
    let Progress {
        status, history, ..
    } = execution.progress();
    if status != Status::Succeeded {
        return;
    }
    let count = |kinds: &[String]| {
        let counts = kinds.iter().map(|kind| history.events.get(kind));
        counts
            .map(|count| count.copied().unwrap_or_default())
            .sum::<u64>()
    };
    let of = |kind: &str, ends: &[&str]| {
        let kinds: Vec<String> = ends.iter().map(|end| format!("{kind}{end}")).collect();
        count(&kinds)
    };
    for kind in ["Task", "Choice", "Wait", "Pass", "Map", "Succeed"] {
        let (entered, exited) = (of(kind, &["StateEntered"]), of(kind, &["StateExited"]));
        assert_eq!(entered, exited, "{kind}: {history:?}");
    }
    for kind in ["Task", "LambdaFunction"] {
        let ended = of(kind, &["Succeeded", "Failed", "TimedOut"]);
        assert_eq!(of(kind, &["Scheduled"]), ended, "{kind}: {history:?}");
        assert_eq!(of(kind, &["Started"]), ended, "{kind}: {history:?}");
    }
    let answered = of("Task", &["Succeeded", "TimedOut"]);
    assert_eq!(of("Task", &["Submitted"]), answered, "{history:?}");
    assert_eq!(of("Execution", &["Started", "Succeeded"]), 2, "{history:?}");
}

fn hours(time: Duration) -> String {
    format!("{:.2} hours", time.as_secs_f64() / 3600.0)
}
