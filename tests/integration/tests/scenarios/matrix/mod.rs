//! Every call of every stage, disturbed: `integration::matrix` says how.

mod collect;
mod dispatch;
mod plan;
mod poll;
mod publish;
mod settle;
mod trust;
mod webhook;

use std::io::Write as _;

use github_simulator::{Repository, Script};
use integration::matrix::{Before, Place, Scenario, Step, run};
use integration::{fixture, repository};
use serde_json::json;

const SDK: &str = "bllvm-sdk";
const COMMONS: &str = "bllvm-commons";
/// A component whose workflow a `repository_dispatch` starts.
const ALONE: &str = "\
[versions]
bllvm-sdk = { version = \"0.1.0\", git_tag = \"v0.1.0\", git_commit = \"\", binaries = [\"bllvm-keygen\"], max_retries = 2 }
";
/// And one that requires it, whose workflow a `workflow_dispatch` starts.
const REQUIRES: &str = "\
bllvm-commons = { version = \"0.1.0\", git_tag = \"v0.1.0\", git_commit = \"\", requires = [\"bllvm-sdk=0.1.0\"], trigger = \"workflow_dispatch\", workflow = \"build.yml\", binaries = [\"key-manager\"] }
";

/// Components whose runs end at once, and upload one small file each.
fn repositories(manifest: &str) -> Vec<Repository> {
    let mut repositories = fixture(manifest);
    for repository in &mut repositories {
        let script = &mut repository.script;
        (script.queue_seconds, script.run_seconds) = (0.0, 0.0);
        script.artifacts.truncate(1);
        let files = script.artifacts.iter_mut().flat_map(|a| &mut a.files);
        files.for_each(|(_, content)| content.truncate(64));
    }
    repositories
}

/// Two components, nothing is planned yet.
async fn empty() -> Place {
    Place::with(repositories(&format!("{ALONE}{REQUIRES}"))).await
}

/// Both builds are planned.
async fn planned() -> Place {
    let place = empty().await;
    place.world.planned().await;
    place
}

/// One component, its build is planned.
async fn alone() -> Place {
    let place = Place::with(repositories(ALONE)).await;
    place.world.planned().await;
    place
}

/// The runs of a component from now on.
fn script(place: &Place, component: &str, change: impl FnOnce(&mut Script)) {
    let name = format!("BTCDecoded/{component}");
    let mut repositories = repositories(&format!("{ALONE}{REQUIRES}")).into_iter();
    let mut script = repositories.find(|r| r.name == name).unwrap().script;
    change(&mut script);
    place.world.github.script(&name, script);
}

/// Runs of a component that do not end by themselves.
fn endless(place: &Place, component: &str) {
    script(place, component, |script| script.run_seconds = 1e6);
}

/// Runs of a component that end at once, well.
fn quick(place: &Place, component: &str) {
    script(place, component, |_| {});
}

/// Runs of a component whose attempts end so.
fn concluding(place: &Place, component: &str, conclusions: &[&str]) {
    let conclusions = conclusions.iter().map(|c| (*c).to_owned()).collect();
    script(place, component, |script| script.conclusions = conclusions);
}

/// Calls a stage as what goes before it.
async fn done(place: &Place, step: Step) {
    step.once(place.world.stage.clone()).await.unwrap();
}

async fn dispatched(place: &Place, component: &str) {
    done(place, Step::Dispatch(place.child(component).await)).await;
}

async fn polled(place: &Place, component: &str) {
    done(place, Step::Poll(place.child(component).await)).await;
}

/// A token that nobody waits for stands on a build.
async fn parked(place: &Place, component: &str) {
    let token = Some("a token".to_owned());
    place.world.alter(component, |b| b.wait_token = token).await;
}

/// The run of a component, cancelled by a person.
async fn cancelled(place: &Place, component: &str) {
    let run = place.world.runs(component)[0].id;
    let github = &place.world.stage.github;
    github.cancel(&repository(component), run).await.unwrap();
}

/// The one build is complete.
async fn complete(place: &Place) {
    place.world.built(SDK).await;
    place.world.collect(SDK).await.unwrap();
}

fn plan_as(place: &Place, execution: &str) -> Step {
    Step::Plan {
        execution: place.world.execution(execution),
        input: json!({"version": "v0.1.0"}),
    }
}

/// What the state machine gives when an execution fails.
fn failed(place: &Place, execution: &str) -> Step {
    Step::Settle(json!({
        "kind": "release",
        "execution": place.world.execution(execution),
        "input": {"version": "v0.1.0"},
        "error": {"Error": "NotComplete", "Cause": "bllvm-sdk is failure"},
    }))
}

fn sweep() -> Step {
    Step::Settle(json!({"kind": "sweep"}))
}

async fn dispatch(place: Place, component: &str) -> (Place, Step) {
    let step = Step::Dispatch(place.child(component).await);
    (place, step)
}

async fn poll(place: Place, component: &str) -> (Place, Step) {
    let step = Step::Poll(place.child(component).await);
    (place, step)
}

fn before<F: Future<Output = (Place, Step)> + 'static>(future: F) -> Before {
    Box::pin(future)
}

/// Prints how large the matrix of a stage is. Not with a macro: what a test says is kept
/// while it passes.
async fn all(stage: &str, scenarios: &'static [Scenario]) {
    let began = std::time::Instant::now();
    let size = run(scenarios).await;
    let line = format!("the matrix of {stage}: {size}, in {:?}\n", began.elapsed());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
