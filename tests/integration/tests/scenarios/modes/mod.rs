//! The ways in which releases go wrong, as docs/failure-modes.md lists them: each is
//! played on the deployed train, and what is seen from outside in the end is a whole
//! release, once, or none.

mod files;
mod limits;
mod releases;
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::time::{Duration, Instant};

use commons_artifacts::AssetList;
use commons_domain::documents::{self, SIGNATURE, SUMS, is_document};
use commons_domain::names::Sha256;
use github_simulator::{Fault, FaultKind, ReleaseView, Repository, RunView, Script};
use integration::{MANIFEST, RELEASE_REPOSITORY, World, fixture};
use serde_json::Value;

const VERSION: &str = "v0.1.0";
/// What is released, and what it requires.
const CHAIN: &str = r#"[versions]
bllvm-consensus = { version = "0.1.0", artifacts = ["bllvm-consensus-*"] }
bllvm = { version = "0.1.0", requires = ["bllvm-consensus=0.1.0"], binaries = ["bllvm"] }
"#;
const CONSENSUS: &str = "BTCDecoded/bllvm-consensus";
/// Whose token the train has.
const LOGIN: &str = "release-bot";

const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";
const WORKFLOW_DISPATCHES: &str =
    "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches";
const RUNS: &str = "/repos/{owner}/{repo}/actions/runs";
const RUN: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}";
const ARTIFACTS: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/artifacts";
const DOWNLOAD: &str = "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}";
const BLOB: &str = "/_blob/{key}";
const RELEASES: &str = "/repos/{owner}/{repo}/releases";
const RELEASE: &str = "/repos/{owner}/{repo}/releases/{release_id}";
const ASSETS: &str = "/repos/{owner}/{repo}/releases/{release_id}/assets";

/// The repositories of a manifest; their runs take seconds, not minutes.
fn quick(manifest: &str) -> Vec<Repository> {
    let mut repositories = fixture(manifest);
    for repository in &mut repositories {
        let script = &mut repository.script;
        (script.queue_seconds, script.run_seconds) = (2.0, 10.0);
    }
    repositories
}

/// The six components, or the two of [`CHAIN`], after a change to some repository.
async fn world_with(manifest: &str, change: impl Fn(&mut Repository)) -> World {
    let mut repositories = quick(manifest);
    repositories.iter_mut().for_each(change);
    World::with(repositories).await
}

/// The same with a change to what the runs of one repository do.
async fn scripted(manifest: &str, name: &str, change: impl Fn(&mut Script)) -> World {
    let of = |repository: &mut Repository| {
        if repository.name == name {
            change(&mut repository.script);
        }
    };
    world_with(manifest, of).await
}

/// What runs of a repository do as long as nobody says otherwise.
fn script_of(manifest: &str, name: &str) -> Script {
    let found = quick(manifest).into_iter().find(|r| r.name == name);
    found.unwrap().script
}

/// One way of playing a mode, in a world of its own.
type Part = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// Plays a mode in several ways at once, each on a thread of its own: there nothing
/// happens at GitHub while the test does not wait.
fn play<const N: usize>(parts: [Part; N]) {
    std::thread::scope(|threads| {
        let played = parts.map(|part| {
            threads.spawn(move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = runtime.enable_all().build().unwrap();
                runtime.block_on(part());
            })
        });
        for part in played {
            part.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

/// Something that goes wrong at GitHub, so many times.
fn fault(world: &World, method: &str, route: &str, repo: &str, kind: FaultKind, times: u32) {
    world.github.fault(Fault {
        method: method.into(),
        route: route.into(),
        repo: Some(repo.into()),
        times,
        kind,
    });
}

/// Waits for something at GitHub or in the table.
async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !there().await {
        let elapsed = began.elapsed();
        assert!(elapsed < Duration::from_secs(60), "it is never so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The runs of a repository that the train has started.
fn ours(world: &World, repository: &str) -> Vec<RunView> {
    let mut runs = world.github.runs(repository);
    runs.retain(|run| run.client_payload["release"].is_string());
    runs
}

/// Everybody else's.
fn theirs(world: &World, repository: &str) -> Vec<RunView> {
    let mut runs = world.github.runs(repository);
    runs.retain(|run| run.client_payload["release"].is_null());
    runs
}

/// How often a route was called.
fn calls(world: &World, call: &str) -> u64 {
    let calls = world.github.calls();
    calls.get(call).copied().unwrap_or_default()
}

async fn build(world: &World, component: &str) -> Value {
    let builds = world.items(VERSION, &format!("build#{component}")).await;
    let found = builds.into_iter().find(|b| b["component"] == component);
    found.unwrap_or_default()
}

/// Releases the version, which arrives.
async fn arrives(world: &World) -> ReleaseView {
    let execution = world.release(VERSION).await;
    has_arrived(world, &execution).await
}

/// What is seen of a release that arrived: one release of its tag, with exactly what the
/// builds' own runs built of their pins, under sums that verify.
async fn has_arrived(world: &World, execution: &str) -> ReleaseView {
    let ended = world.ended(execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    let release = world.items(VERSION, "release").await.remove(0);
    assert_eq!(release["status"], "published", "{release}");
    assert!(release["lease"].is_null(), "{release}");

    let mut seen = world.github.releases(RELEASE_REPOSITORY);
    seen.retain(|release| release.tag_name == VERSION);
    assert_eq!(seen.len(), 1, "one release");
    let seen = seen.remove(0);
    assert!(!seen.draft);
    assert_eq!(release["github_release_id"], seen.id);

    let objects = world.objects().await;
    let mut built: BTreeSet<Sha256> = BTreeSet::new();
    let mut runs = BTreeSet::new();
    for build in world.items(VERSION, "build#").await {
        let list = asset_list(&build, &objects);
        let repository = build["repository"].as_str().unwrap();
        let all = world.github.runs(repository);
        let run = all.iter().find(|run| run.id == list.run_id).unwrap();
        assert_eq!(run.actor, LOGIN, "{build}");
        assert_eq!(run.head_sha, build["pin"].as_str().unwrap(), "{build}");
        assert_eq!(run.conclusion.as_deref(), Some("success"), "{build}");
        assert_eq!(run.run_attempt, list.run_attempt, "{build}");
        assert!(runs.insert(run.id), "a run of its own: {build}");
        let component = build["component"].as_str().unwrap();
        for run in ours(world, repository) {
            let claimed = claim(world, repository, run.id).await;
            assert_eq!(claimed.as_deref(), Some(component), "{repository} {run:?}");
        }
        for asset in list.assets {
            assert_eq!(Sha256::of(&objects[&asset.key]), asset.sha256);
            built.insert(asset.sha256);
        }
    }

    let files = seen.assets.iter().filter(|a| !is_document(&a.name));
    let published: BTreeSet<Sha256> = files.map(|a| Sha256::of(&a.content)).collect();
    assert_eq!(published, built);
    let mut sums = BTreeMap::new();
    for asset in &seen.assets {
        let sha256 = Sha256::of(&asset.content);
        assert_eq!(asset.state, "uploaded", "{}", asset.name);
        assert_eq!(asset.digest, Some(format!("sha256:{sha256}")));
        sums.insert(asset.name.clone(), sha256.to_string());
    }
    assert_eq!(sums.len(), seen.assets.len(), "each name once");
    let file = seen.assets.iter().find(|a| a.name == SUMS).unwrap();
    sums.retain(|name, _| name != SUMS && name != SIGNATURE);
    let lines = std::str::from_utf8(&file.content).unwrap().lines();
    let told = lines.map(|line| line.split_once("  ").unwrap());
    let told: BTreeMap<String, String> = told
        .map(|(sum, name)| (name.to_owned(), sum.to_owned()))
        .collect();
    assert_eq!(told, sums, "the sums are of the names that are there");
    seen
}

/// What a build collected, as its list in the bucket has it; the table has the list's sum.
fn asset_list(build: &Value, objects: &BTreeMap<String, Vec<u8>>) -> AssetList {
    assert_eq!(build["status"], "collected", "{build}");
    let collected = &build["collected"];
    let bytes = &objects[collected["key"].as_str().unwrap()];
    assert_eq!(collected["sha256"], Sha256::of(bytes).as_str(), "{build}");
    let list: AssetList = serde_json::from_slice(bytes).unwrap();
    assert_eq!(collected["workflow_run_id"], list.run_id, "{build}");
    assert_eq!(collected["run_attempt"], list.run_attempt, "{build}");
    list
}

/// The component that a run belongs to.
async fn claim(world: &World, repository: &str, run: u64) -> Option<String> {
    let key = format!("run#{}/{run}", repository.to_lowercase());
    let table = world.table().await;
    let claim = table.iter().find(|item| item["pk"] == key.as_str())?;
    claim["component"].as_str().map(str::to_owned)
}

/// Releases the version, which does not arrive; why.
async fn fails(world: &World) -> String {
    let execution = world.release(VERSION).await;
    has_failed(world, &execution).await
}

/// What is seen of a release that failed: nothing of its tag, and a reason.
async fn has_failed(world: &World, execution: &str) -> String {
    let ended = world.ended(execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let release = world.items(VERSION, "release").await.remove(0);
    assert_eq!(release["status"], "failed", "{release}");
    assert!(release["lease"].is_null(), "{release}");
    let mut seen = world.github.releases(RELEASE_REPOSITORY);
    seen.retain(|release| release.tag_name == VERSION);
    assert!(seen.iter().all(|release| release.draft), "nobody sees it");
    release["error"].as_str().unwrap().to_owned()
}

/// The manifest of the six components.
const SIX: &str = MANIFEST;
