//! What comes after a release has ended: runs that appear late, builds that are written
//! late, sweeps that died.

use std::time::{Duration, Instant};

use commons_domain::build::{Build, BuildStatus};
use commons_domain::release::ReleaseStatus;
use github_simulator::FaultKind;
use integration::{StageWorld, repository};
use serde_json::{Value, json};

const DISPATCHES: &str = "/repos/{owner}/{repo}/dispatches";
const RUN: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}";
const CANCEL: &str = "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel";

fn sweep() -> Value {
    json!({"kind": "sweep"})
}

/// An execution that owns the release; its ARN.
async fn owned() -> (StageWorld, String) {
    owned_in(StageWorld::start().await).await
}

async fn owned_in(mut world: StageWorld) -> (StageWorld, String) {
    let machine = world.waiting_machine().await;
    world.stage.config.state_machine_arn = machine.clone();
    let execution = world.execute(&machine).await;
    world.plan_as(&execution).await.unwrap();
    (world, execution)
}

/// The dispatch of bllvm-sdk was not answered, its run is not there, and the release
/// was stopped and settled.
async fn stopped_in_the_post() -> (StageWorld, Build) {
    stopped_in_the_post_of(StageWorld::start().await).await
}

async fn stopped_in_the_post_of(world: StageWorld) -> (StageWorld, Build) {
    let (world, execution) = owned_in(world).await;
    world.script("bllvm-sdk", |script| script.run_seconds = 1e6);
    world.fault("POST", DISPATCHES, FaultKind::Status(502, None));
    world.dispatch("bllvm-sdk").await.unwrap();
    world.abort(&execution).await;
    world.settle(sweep()).await.unwrap();
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::Cancelled);
    let lock = world.stage.store.lock(&build.repository).await.unwrap();
    assert!(lock.unwrap().orphaned);
    (world, build)
}

/// GitHub was slow: the run of the dispatch appears; its id.
fn appears(world: &StageWorld, build: &Build) -> u64 {
    let payload = json!({"nonce": build.nonce, "component": "bllvm-sdk", "version": "v0.1.0"});
    world.github.dispatch_as(
        "release-bot",
        "BTCDecoded/bllvm-sdk",
        "build-chain",
        payload,
    )
}

async fn is_cancelled(world: &StageWorld, run: u64) {
    let began = Instant::now();
    loop {
        let runs = world.runs("bllvm-sdk");
        let found = runs.iter().find(|r| r.id == run).unwrap();
        if found.conclusion.as_deref() == Some("cancelled") {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_run_that_appears_after_the_end_is_claimed_and_cancelled_by_the_sweeper() {
    let (world, build) = stopped_in_the_post().await;
    world.settle(sweep()).await.unwrap();
    let late = appears(&world, &build);
    for _ in 0..2 {
        world.settle(sweep()).await.unwrap();
        is_cancelled(&world, late).await;
    }
    let store = &world.stage.store;
    let claim = store.claim_of(&build.repository, late).await.unwrap();
    assert_eq!(Some(claim.unwrap().nonce), build.nonce);
    assert_eq!(store.lock(&build.repository).await.unwrap(), None);
    assert_eq!(world.build("bllvm-sdk").await, build, "its end stays");
    for words in [
        "its dispatch lock is orphaned",
        &format!("run {late} of BTCDecoded/bllvm-sdk came late"),
    ] {
        assert_eq!(world.times_told("bllvm-sdk", words).await, 1, "{words}");
    }
}

#[tokio::test]
async fn who_starts_again_waits_for_the_run_that_may_still_come_and_cancels_it() {
    let (world, build) = stopped_in_the_post().await;
    world.planned().await;
    let next = world.dispatch("bllvm-sdk").await.unwrap().next;
    assert_eq!(next, commons_dispatch::Next::Busy);
    assert!(world.runs("bllvm-sdk").is_empty());
    let late = appears(&world, &build);
    let next = world.dispatch("bllvm-sdk").await.unwrap().next;
    assert_eq!(next, commons_dispatch::Next::AwaitRun);
    is_cancelled(&world, late).await;
    world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
    let own = world.build("bllvm-sdk").await.workflow_run_id;
    assert!(own.is_some() && own != Some(late), "{own:?}");
    assert_eq!(world.runs("bllvm-sdk").len(), 2);
}

/// The first run of a component has ended.
async fn completed(world: &StageWorld, component: &str) {
    let began = Instant::now();
    while world.runs(component)[0].status != "completed" {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The run of bllvm-sdk has succeeded since the last look, and the release was stopped.
async fn stopped_before_the_look() -> StageWorld {
    let (world, execution) = owned().await;
    world.script("bllvm-sdk", |script| script.run_seconds = 120.0);
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
    completed(&world, "bllvm-sdk").await;
    world.abort(&execution).await;
    world
}

#[tokio::test]
async fn a_run_that_had_succeeded_before_anybody_looked_is_green_for_who_starts_again() {
    let world = stopped_before_the_look().await;
    world.settle(sweep()).await.unwrap();
    let build = world.build("bllvm-sdk").await;
    assert_eq!(build.status, BuildStatus::Success);
    let run = build.workflow_run_id.unwrap();
    let words = format!("the release ended before this build; run {run} had succeeded");
    assert_eq!(world.times_told("bllvm-sdk", &words).await, 1);
    world.planned().await;
    let next = world.dispatch("bllvm-sdk").await.unwrap().next;
    assert_eq!(next, commons_dispatch::Next::Green);
    assert_eq!(world.runs("bllvm-sdk").len(), 1, "it is not built again");
}

#[tokio::test]
async fn a_run_that_is_over_and_cannot_be_read_is_left_to_who_starts_again() {
    let world = stopped_before_the_look().await;
    world.fault("GET", RUN, FaultKind::Status(403, None));
    world.settle(sweep()).await.unwrap();
    assert!(world.build("bllvm-sdk").await.status.is_on_its_way());
    let words = "its run may go on: the token may not GET";
    let told = world.told("bllvm-sdk").await;
    assert!(told.iter().any(|told| told.contains(words)), "{told:?}");
    world.planned().await;
    world.polled("bllvm-sdk", commons_poll::Next::Green).await;
    assert_eq!(world.runs("bllvm-sdk").len(), 1, "it is not built again");
}

#[tokio::test]
async fn a_rerun_that_was_in_flight_is_cancelled_by_the_sweeper() {
    let (world, execution) = owned().await;
    world.script("bllvm-sdk", |script| script.run_seconds = 1e6);
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
    // The cancellation meets a run that has ended, and the re-run starts it again.
    world.fault("POST", CANCEL, FaultKind::Status(409, None));
    world.abort(&execution).await;
    world.settle(sweep()).await.unwrap();
    let run = world.build("bllvm-sdk").await.workflow_run_id.unwrap();
    world.settle(sweep()).await.unwrap();
    is_cancelled(&world, run).await;
    for words in [
        format!("the release ended before this build; run {run} was over"),
        format!("run {run} had been started again: it is cancelled"),
    ] {
        assert_eq!(world.times_told("bllvm-sdk", &words).await, 1, "{words}");
    }
}

#[tokio::test]
async fn a_run_that_a_person_runs_again_after_the_end_is_left_alone() {
    let (world, execution) = owned().await;
    world.script("bllvm-sdk", |script| {
        script.run_seconds = 480.0;
        script.conclusions = vec!["failure".into(), "success".into()];
    });
    world.alter("bllvm-sdk", |b| b.spec.max_retries = 0).await;
    world.dispatch("bllvm-sdk").await.unwrap();
    world.polled("bllvm-sdk", commons_poll::Next::Over).await;
    world.abort(&execution).await;
    world.settle(sweep()).await.unwrap();
    let build = world.build("bllvm-sdk").await;
    let run = build.workflow_run_id.unwrap();
    let github = &world.stage.github;
    github
        .rerun_failed_jobs(&build.repository, run)
        .await
        .unwrap();
    world.settle(sweep()).await.unwrap();
    let runs = world.runs("bllvm-sdk");
    assert_eq!(runs[0].conclusion, None, "it runs: {runs:?}");
    assert_eq!(world.github.calls().get(&format!("POST {CANCEL}")), None);
}

#[tokio::test]
async fn a_late_run_that_shows_no_nonce_is_cancelled_though_the_first_try_failed() {
    let world = StageWorld::without_nonces().await;
    let (world, build) = stopped_in_the_post_of(world).await;
    let late = appears(&world, &build);
    world.faults("POST", CANCEL, FaultKind::Status(503, None), 3);
    assert!(world.settle(sweep()).await.is_err(), "it is told");
    world.settle(sweep()).await.unwrap();
    is_cancelled(&world, late).await;
}

#[tokio::test]
async fn a_run_that_nobody_has_claimed_is_found_by_who_ends_the_release() {
    for nonces in [true, false] {
        let world = match nonces {
            true => StageWorld::start().await,
            false => StageWorld::without_nonces().await,
        };
        let (world, execution) = owned_in(world).await;
        for component in ["bllvm-consensus", "bllvm-sdk"] {
            let seconds = if component == "bllvm-sdk" { 1e6 } else { 0.0 };
            world.script(component, |script| script.run_seconds = seconds);
            world.dispatch(component).await.unwrap();
        }
        completed(&world, "bllvm-consensus").await;
        world.abort(&execution).await;
        world.settle(sweep()).await.unwrap();
        for (component, status) in [
            ("bllvm-consensus", BuildStatus::Success),
            ("bllvm-sdk", BuildStatus::Cancelled),
        ] {
            let (build, run) = (world.build(component).await, &world.runs(component)[0]);
            assert_eq!(build.workflow_run_id, Some(run.id), "{component}, {nonces}");
            assert_eq!(build.status, status, "{component}, {nonces}");
            let lock = world.stage.store.lock(&build.repository).await.unwrap();
            assert_eq!(lock, None, "{component}, {nonces}");
        }
        is_cancelled(&world, world.runs("bllvm-sdk")[0].id).await;
        world.planned().await;
        let next = world.dispatch("bllvm-consensus").await.unwrap().next;
        assert_eq!(next, commons_dispatch::Next::Green);
        assert_eq!(
            world.runs("bllvm-consensus").len(),
            1,
            "it is not built again"
        );
    }
}

#[tokio::test]
async fn a_late_run_that_shows_no_nonce_is_cancelled_by_who_starts_again() {
    let world = StageWorld::without_nonces().await;
    let (world, build) = stopped_in_the_post_of(world).await;
    world.planned().await;
    let late = appears(&world, &build);
    let next = world.dispatch("bllvm-sdk").await.unwrap().next;
    assert_eq!(
        next,
        commons_dispatch::Next::AwaitRun,
        "nobody is waited for"
    );
    is_cancelled(&world, late).await;
    assert_eq!(world.runs("bllvm-sdk").len(), 2);
}

#[tokio::test]
async fn a_late_run_of_a_release_that_was_stopped_twice_is_cancelled() {
    let (world, build) = stopped_in_the_post().await;
    let machine = world.stage.config.state_machine_arn.clone();
    let second = world.execute(&machine).await;
    world.plan_as(&second).await.unwrap();
    world.abort(&second).await;
    world.settle(sweep()).await.unwrap();
    let lock = world.stage.store.lock(&build.repository).await.unwrap();
    assert_eq!(
        lock.map(|lock| lock.nonce),
        build.nonce,
        "it may still come"
    );
    let late = appears(&world, &build);
    world.settle(sweep()).await.unwrap();
    is_cancelled(&world, late).await;
}

#[tokio::test]
async fn the_run_of_a_build_that_was_adopted_is_nobody_elses_to_cancel() {
    let (world, execution) = owned().await;
    world.script("bllvm-sdk", |script| script.run_seconds = 1e6);
    world.dispatch("bllvm-sdk").await.unwrap();
    // GitHub refuses the cancellation: the build stays on its way, its lock is an orphan.
    let runs = "/repos/{owner}/{repo}/actions/runs";
    world.faults("GET", runs, FaultKind::Status(403, None), 1);
    world.abort(&execution).await;
    world.settle(sweep()).await.unwrap();
    world.planned().await;
    let build = world.build("bllvm-sdk").await;
    assert!(build.status.is_on_its_way());
    let store = &world.stage.store;
    let lock = store.lock(&build.repository).await.unwrap().unwrap();
    assert!(lock.orphaned);
    // Another release waits for the same repository.
    let found =
        commons_runtime::cancel_orphan(&world.stage, &build.repository, &lock, Some(&build)).await;
    assert!(!found.unwrap());
    world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
    assert_eq!(store.lock(&build.repository).await.unwrap(), None);
    assert_eq!(world.runs("bllvm-sdk").len(), 1);
}

#[tokio::test]
async fn what_a_plan_that_still_ran_has_written_is_ended_by_the_sweeper() {
    let (world, execution) = owned().await;
    world.abort(&execution).await;
    world.settle(sweep()).await.unwrap();
    let store = &world.stage.store;
    let mut written = world.build("bllvm-sdk").await;
    written.component = "bllvm-extra".into();
    written.status = BuildStatus::Pending;
    store.create_build(&written, "planned").await.unwrap();
    world.settle(sweep()).await.unwrap();
    let ended = world.build("bllvm-extra").await;
    assert_eq!(ended.status, BuildStatus::Cancelled);
    assert!(ended.error.is_some());
}

#[tokio::test]
async fn a_token_that_github_refuses_leaves_runs_to_who_resumes() {
    for status in [401, 403, 503] {
        let (world, execution) = owned().await;
        world.script("bllvm-sdk", |script| script.run_seconds = 1e6);
        world.dispatch("bllvm-sdk").await.unwrap();
        world.polled("bllvm-sdk", commons_poll::Next::Normal).await;
        let running = world.build("bllvm-sdk").await;
        world.faults("POST", CANCEL, FaultKind::Status(status, None), 99);
        world.abort(&execution).await;
        world.settle(sweep()).await.unwrap();
        let release = world.release().await;
        assert_eq!(
            (release.status, release.lease),
            (ReleaseStatus::Cancelled, None)
        );
        let left = world.build("bllvm-sdk").await;
        assert_eq!(left.status, BuildStatus::InProgress, "{status}");
        assert_eq!(left.workflow_run_id, running.workflow_run_id);
        world.planned().await;
        let adopted = world.build("bllvm-sdk").await;
        assert_eq!(adopted.status, BuildStatus::InProgress, "{status}");
    }
}

#[tokio::test]
async fn a_dead_child_whose_dependents_were_not_told_is_told_of_by_the_next_sweep() {
    let (world, _) = owned().await;
    let gone = world.execution("never-was");
    world
        .alter("bllvm-consensus", |b| {
            b.child = Some(gone);
            b.error = Some("it died".into());
        })
        .await;
    for _ in 0..2 {
        world.settle(sweep()).await.unwrap();
        let consensus = world.build("bllvm-consensus").await;
        assert_eq!(consensus.error.as_deref(), Some("it died"));
        for dependent in ["bllvm-protocol", "bllvm-node", "bllvm"] {
            let status = world.build(dependent).await.status;
            assert_eq!(status, BuildStatus::Blocked, "{dependent}");
        }
    }
}

#[tokio::test]
async fn the_reason_that_was_told_first_stays() {
    let (world, execution) = owned().await;
    // Settle died after it wrote the reason; its own error comes with the event.
    let store = &world.stage.store;
    let release = world.release().await;
    let begun = commons_domain::release::Release {
        status: ReleaseStatus::Failed,
        error: Some("bllvm is failure".into()),
        ..release.clone()
    };
    store.change_release(&release, &begun, "it").await.unwrap();
    let event = json!({"detail": {
        "executionArn": execution, "status": "FAILED", "cause": "Settle died",
        "input": "{\"version\":\"v0.1.0\"}",
    }});
    world.settle(event).await.unwrap();
    let settled = world.release().await;
    assert_eq!(settled.error.as_deref(), Some("bllvm is failure"));
    assert_eq!(
        (settled.status, settled.lease),
        (ReleaseStatus::Failed, None)
    );
}

#[tokio::test]
async fn one_release_that_cannot_be_settled_keeps_nobody_from_the_others() {
    let (world, execution) = owned().await;
    let machine = world.stage.config.state_machine_arn.clone();
    // Another version, whose item cannot be read.
    let input = json!({"version": "v0.2.0"}).to_string();
    let other = world.stage.states.start_execution();
    let other = other.state_machine_arn(&machine).input(input);
    let other = other.send().await.unwrap().execution_arn().to_owned();
    world.abort(&execution).await;
    world.abort(&other).await;
    let table = &world.stage.config.table;
    let item = json!({"TableName": table, "Item": {
        "pk": {"S": "BTCDecoded/bllvm/v0.2.0"}, "sk": {"S": "release"}, "status": {"S": "odd"},
    }});
    let put = local_cloud::Service::DynamoDb;
    world.account.call(put, "PutItem", item).await.unwrap();
    assert!(world.settle(sweep()).await.is_err(), "it is told");
    assert_eq!(world.release().await.status, ReleaseStatus::Cancelled);
    let lock = world.stage.store.lock(&repository("bllvm-sdk")).await;
    assert_eq!(lock.unwrap(), None);
}
