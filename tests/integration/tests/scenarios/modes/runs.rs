//! Dispatches, and the runs that follow or do not.

use std::time::Duration;

use github_simulator::{FaultKind, Trigger};
use integration::{COMPONENTS, RELEASE_REPOSITORY, World};
use serde_json::{Value, json};

use super::*;

/// The failed end of a build, with its reason.
async fn failure(world: &World, component: &str) -> String {
    let build = build(world, component).await;
    assert_eq!(build["status"], "failure", "{build}");
    build["error"].as_str().unwrap().to_owned()
}

/// A dispatch of somebody else's, whose run builds something of its own.
fn knock(world: &World, manifest: &str, repository: &str, actor: &str, payload: Value) -> u64 {
    let ours = script_of(manifest, repository);
    let mut theirs = ours.clone();
    for artifact in &mut theirs.artifacts {
        for (_, content) in &mut artifact.files {
            *content = b"not what was asked for".to_vec();
        }
    }
    // Over before ours is.
    (theirs.queue_seconds, theirs.run_seconds) = (0.0, 1.0);
    world.github.script(repository, theirs);
    let run = world
        .github
        .dispatch_as(actor, repository, "build-chain", payload);
    world.github.script(repository, ours);
    run
}

/// Strangers dispatch the same event to every repository just before and just after each
/// dispatch of ours: in each way of matching the release has its own runs. In repositories
/// that show a nonce the strangers have our own token's user.
async fn strangers_are_not_matched() {
    let manifest = SIX.replace(
        "bllvm-sdk = { version",
        "bllvm-sdk = { trigger = \"workflow_dispatch\", workflow = \"build.yml\", version",
    );
    let world = world_with(&manifest, |repository| {
        repository.workflows[0].run_name = repository.name != "BTCDecoded/bllvm-commons";
    })
    .await;
    let repositories = COMPONENTS.map(|component| format!("BTCDecoded/{component}"));
    // Ours are held up on their way.
    for repository in &repositories {
        for route in [DISPATCHES, WORKFLOW_DISPATCHES] {
            fault(&world, "POST", route, repository, FaultKind::Delay(0.5), 1);
        }
    }
    let execution = world.release(VERSION).await;
    let knock_at = |name: &str| {
        let actor = match name {
            "BTCDecoded/bllvm-commons" => "somebody",
            _ => LOGIN,
        };
        let payload = json!({"version": "v9.9.9", "component": "bllvm"});
        knock(&world, &manifest, name, actor, payload);
    };
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    until("strangers came before and after each of ours", async || {
        let statuses = world.statuses(VERSION).await;
        for (name, component) in repositories.iter().zip(COMPONENTS) {
            let there = !ours(&world, name).is_empty();
            let dispatching = statuses.get(component).is_some_and(|s| s == "dispatching");
            if there && after.insert(name) || dispatching && before.insert(name) {
                knock_at(name);
            }
        }
        after.len() == repositories.len()
    })
    .await;

    has_arrived(&world, &execution).await;
    for (name, component) in repositories.iter().zip(COMPONENTS) {
        let mine = ours(&world, name);
        assert_eq!(mine.len(), 1, "{name}");
        let baseline = build(&world, component).await["baseline"].clone();
        let baseline: jiff::Timestamp = baseline.as_str().unwrap().parse().unwrap();
        let theirs = theirs(&world, name);
        let since = theirs.iter().filter(|run| run.created_at >= baseline);
        let (before, after): (Vec<_>, Vec<_>) =
            since.partition(|run| run.dispatched_at < mine[0].dispatched_at);
        assert!(
            !before.is_empty() && !after.is_empty(),
            "{name}: {theirs:?}"
        );
        for run in &theirs {
            assert_ne!(run.conclusion.as_deref(), Some("cancelled"), "{run:?}");
            assert_eq!(claim(&world, name, run.id).await, None, "{run:?}");
        }
    }
    for (component, by) in [
        ("bllvm-consensus", "nonce"),
        ("bllvm-sdk", "returned_id"),
        ("bllvm-commons", "only_candidate"),
    ] {
        assert_eq!(build(&world, component).await["matched_by"], by);
    }
    world.stop().await;
}

/// Our own token's user dispatches the same where no nonce is shown, just before us or
/// just after: both runs are named, neither is taken or touched.
async fn two_candidates_without_proof_end_it(before: bool) {
    let world = world_with(CHAIN, |repository| {
        repository.workflows[0].run_name = false;
    })
    .await;
    // Ours is held up on its way, or the first look at what came of it is.
    let (method, route) = if before {
        ("POST", DISPATCHES)
    } else {
        ("GET", RUNS)
    };
    let held = FaultKind::Delay(0.5);
    fault(&world, method, route, CONSENSUS, held, 1);
    let execution = world.release(VERSION).await;
    let call = format!("{method} {route}");
    until("we came", async || calls(&world, &call) > 0).await;
    assert_eq!(ours(&world, CONSENSUS).is_empty(), before);
    let other = knock(&world, CHAIN, CONSENSUS, LOGIN, json!({}));

    let why = has_failed(&world, &execution).await;
    let mine = ours(&world, CONSENSUS);
    assert_eq!(mine.len(), 1);
    let runs = [mine[0].id, other];
    let told = failure(&world, "bllvm-consensus").await;
    for named in [&why, &told] {
        assert!(named.contains("AmbiguousRun"), "{named}");
        assert!(
            runs.iter().all(|run| named.contains(&run.to_string())),
            "{named}"
        );
    }
    for run in runs {
        assert_eq!(claim(&world, CONSENSUS, run).await, None);
    }
    until("both came to their own end", async || {
        let all = world.github.runs(CONSENSUS);
        all.iter()
            .all(|run| run.conclusion.as_deref() == Some("success"))
    })
    .await;
    assert!(world.github.runs(RELEASE_REPOSITORY).is_empty());
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

#[test]
fn mode_01_the_wrong_run_is_matched() {
    play([
        || Box::pin(strangers_are_not_matched()),
        || Box::pin(two_candidates_without_proof_end_it(true)),
        || Box::pin(two_candidates_without_proof_end_it(false)),
    ]);
}

/// The index behind filtered lists knows no run of ours, or only old ones of others.
#[tokio::test]
async fn mode_02_filtered_run_lists_are_stale_or_empty() {
    let world = world_with(SIX, |_| {}).await;
    let repositories = COMPONENTS.map(|component| format!("BTCDecoded/{component}"));
    let old = knock(&world, SIX, CONSENSUS, "somebody", json!({}));
    for repository in &repositories {
        world.github.freeze_search_index(repository);
    }
    arrives(&world).await;

    let http = local_cloud::http_client().unwrap();
    for repository in &repositories {
        let list = async |filter: &str| -> Vec<u64> {
            let url = format!("{}/repos/{repository}/actions/runs", world.github.api_url());
            let asked = http.get(format!("{url}{filter}"));
            let asked = asked.bearer_auth("simulated-token");
            let answer = asked.header("User-Agent", "a test").send().await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            let runs = answer["workflow_runs"].as_array().unwrap();
            runs.iter().map(|run| run["id"].as_u64().unwrap()).collect()
        };
        let filtered = list("?event=repository_dispatch").await;
        let stale = if repository == CONSENSUS {
            vec![old]
        } else {
            vec![]
        };
        assert_eq!(filtered, stale, "whoever filters sees none of ours");
        assert!(list("").await.contains(&ours(&world, repository)[0].id));
    }
    let lists = world.github.requests().into_iter();
    let lists = lists.filter(|r| r.path.ends_with("/actions/runs"));
    let (asked, own): (Vec<_>, Vec<_>) = lists.partition(|r| r.query.contains("event="));
    assert_eq!(asked.len(), repositories.len(), "only this test filters");
    assert!(own.len() > repositories.len(), "{own:?}");
    world.stop().await;
}

/// GitHub accepts the dispatch, and nothing runs: it is sent again, counted, when its run
/// cannot come any more.
async fn a_dispatch_that_was_swallowed_is_sent_again() {
    let world = world_with(CHAIN, |_| {}).await;
    let swallowed = FaultKind::Deferred(204, None);
    fault(&world, "POST", DISPATCHES, CONSENSUS, swallowed, 1);
    arrives(&world).await;
    assert_eq!(ours(&world, CONSENSUS).len(), 1);
    let build = build(&world, "bllvm-consensus").await;
    assert_eq!(
        (&build["attempt"], &build["retry_count"]),
        (&json!(2), &json!(1))
    );
    let requests = world.github.requests();
    let posts: Vec<_> = requests
        .iter()
        .filter(|r| r.path == format!("/repos/{CONSENSUS}/dispatches"))
        .collect();
    assert_eq!(posts.len(), 2);
    // 13 s until the POST is over for certain; then 10 minutes at 120 times their speed.
    let apart = Duration::try_from(posts[1].time - posts[0].time).unwrap();
    assert!(apart > Duration::from_secs(13 + 5), "{apart:?}");
    world.stop().await;
}

/// The run of the first dispatch comes when the second is on its way: it is claimed as
/// late, so that nobody takes it, and cancelled.
async fn a_run_that_comes_late_is_cancelled() {
    let world = scripted(CHAIN, CONSENSUS, |script| script.run_seconds = 1e6).await;
    for after in [20.5, 3.0] {
        let late = FaultKind::Deferred(204, Some(after));
        fault(&world, "POST", DISPATCHES, CONSENSUS, late, 1);
    }
    let execution = world.release(VERSION).await;
    until("the first came", async || {
        !ours(&world, CONSENSUS).is_empty()
    })
    .await;
    assert_eq!(build(&world, "bllvm-consensus").await["attempt"], 2);
    let quick = script_of(CHAIN, CONSENSUS);
    world.github.script(CONSENSUS, quick);
    has_arrived(&world, &execution).await;
    let runs = ours(&world, CONSENSUS);
    let ends: Vec<_> = runs.iter().map(|run| run.conclusion.as_deref()).collect();
    assert_eq!(ends, [Some("cancelled"), Some("success")]);
    let build = build(&world, "bllvm-consensus").await;
    assert_eq!(
        (&build["attempt"], &build["retry_count"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(build["workflow_run_id"], runs[1].id);
    world.stop().await;
}

/// Nothing ever runs: the build ends with what to look at.
async fn nothing_ever_runs() {
    let manifest = CHAIN.replace("artifacts =", "max_retries = 0, artifacts =");
    let world = world_with(&manifest, |_| {}).await;
    let swallowed = FaultKind::Deferred(204, None);
    fault(&world, "POST", DISPATCHES, CONSENSUS, swallowed, 1_000);
    let why = fails(&world).await;
    for told in [
        "NoRun: no run of .github/workflows/build.yml appeared in BTCDecoded/bllvm-consensus",
        "check that the workflow listens to repository_dispatch of 'build-chain'",
    ] {
        assert!(why.contains(told), "{why}");
    }
    assert_eq!(calls(&world, &format!("POST {DISPATCHES}")), 1);
    assert!(world.github.runs(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

/// Nothing would run: that is told before anything is dispatched.
async fn nothing_listens() {
    let world = world_with(CHAIN, |repository| {
        let workflow = &mut repository.workflows[0];
        if repository.name == CONSENSUS {
            workflow.state = "disabled_inactivity".into();
        } else {
            workflow.on = vec![Trigger::WorkflowDispatch];
            let file = repository.files.get_mut(&workflow.path).unwrap();
            *file = b"on:\n  workflow_dispatch:\n".to_vec();
        }
    })
    .await;
    let why = fails(&world).await;
    for told in ["is disabled_inactivity", "does not listen"] {
        assert!(why.contains(told), "{why}");
    }
    assert_eq!(calls(&world, &format!("POST {DISPATCHES}")), 0);
    world.stop().await;
}

#[test]
fn mode_03_a_dispatch_is_accepted_and_nothing_runs() {
    play([
        || Box::pin(a_dispatch_that_was_swallowed_is_sent_again()),
        || Box::pin(a_run_that_comes_late_is_cancelled()),
        || Box::pin(nothing_ever_runs()),
        || Box::pin(nothing_listens()),
    ]);
}

/// GitHub answers errors of every kind while the builds run: none is theirs.
async fn errors_are_no_failures() {
    let world = world_with(SIX, |repository| repository.script.run_seconds = 120.0).await;
    let limit = vec![
        ("x-ratelimit-remaining".to_owned(), "0".to_owned()),
        ("x-ratelimit-reset".to_owned(), "0".to_owned()),
    ];
    for (repository, route, kind, times) in [
        ("bllvm-consensus", RUN, FaultKind::Status(500, None), 4),
        ("bllvm-consensus", RUNS, FaultKind::LostAnswer, 3),
        ("bllvm-sdk", RUN, FaultKind::Status(403, Some(limit)), 1),
        ("bllvm-sdk", ARTIFACTS, FaultKind::Status(503, None), 3),
        ("bllvm-protocol", RUNS, FaultKind::Status(502, None), 4),
        ("bllvm-commons", DOWNLOAD, FaultKind::Status(502, None), 10),
    ] {
        let repository = format!("BTCDecoded/{repository}");
        fault(&world, "GET", route, &repository, kind, times);
    }
    arrives(&world).await;
    let met: BTreeSet<u16> = world.github.requests().iter().map(|r| r.status).collect();
    for status in [0, 403, 500, 502, 503] {
        assert!(met.contains(&status), "{status} was not met: {met:?}");
    }
    for component in COMPONENTS {
        let build = build(&world, component).await;
        assert_eq!(
            (&build["attempt"], &build["retry_count"]),
            (&json!(1), &json!(0))
        );
        let repository = format!("BTCDecoded/{component}");
        assert_eq!(ours(&world, &repository).len(), 1, "{component}");
    }
    world.stop().await;
}

/// GitHub cannot be seen for longer than anybody waits: the release fails, the build does
/// not, and who starts the release again has the run that went on meanwhile.
async fn out_of_sight_is_not_failed() {
    let world = scripted(CHAIN, CONSENSUS, |script| script.run_seconds = 600.0).await;
    for (method, route) in [("GET", RUN), ("POST", &format!("{RUN}/cancel"))] {
        let unseen = FaultKind::Status(502, None);
        fault(&world, method, route, CONSENSUS, unseen, 1_000_000);
    }
    let why = fails(&world).await;
    assert!(
        why.contains("nothing could be seen of bllvm-consensus"),
        "{why}"
    );
    let runs = ours(&world, CONSENSUS);
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].conclusion.as_deref(), Some("success"), "it went on");
    let blind = build(&world, "bllvm-consensus").await;
    assert_ne!(blind["status"], "failure", "{blind}");
    world.github.heal();
    arrives(&world).await;
    assert_eq!(ours(&world, CONSENSUS).len(), 1, "adopted, not built again");
    assert_eq!(build(&world, "bllvm-consensus").await["retry_count"], 0);
    world.stop().await;
}

#[test]
fn mode_04_an_api_error_is_read_as_a_build_failure() {
    play([
        || Box::pin(errors_are_no_failures()),
        || Box::pin(out_of_sight_is_not_failed()),
    ]);
}

/// A stranger's run occupies the concurrency group; the next one of theirs cancels ours
/// in the queue. It is dispatched again, and is built when the group is free.
async fn a_run_that_was_dropped_is_dispatched_again() {
    let world = scripted(CHAIN, CONSENSUS, |script| {
        (script.queue_seconds, script.run_seconds) = (0.0, 1440.0);
        script.one_at_a_time = true;
    })
    .await;
    let their = || {
        let payload = json!({});
        world
            .github
            .dispatch_as("somebody", CONSENSUS, "build-chain", payload)
    };
    let first = their();
    let execution = world.release(VERSION).await;
    until("we queue", async || !ours(&world, CONSENSUS).is_empty()).await;
    let second = their();
    let quick = script_of(CHAIN, CONSENSUS);
    let quick = Script {
        one_at_a_time: true,
        ..quick
    };
    world.github.script(CONSENSUS, quick);
    has_arrived(&world, &execution).await;
    let runs = ours(&world, CONSENSUS);
    let ends: Vec<_> = runs.iter().map(|run| run.conclusion.as_deref()).collect();
    assert_eq!(ends, [Some("cancelled"), Some("success")]);
    assert_eq!(runs[0].started_at, None, "without any job");
    let build = build(&world, "bllvm-consensus").await;
    assert_eq!(
        (&build["attempt"], &build["retry_count"]),
        (&json!(2), &json!(1))
    );
    let ends = |id| {
        let theirs = theirs(&world, CONSENSUS);
        let run = theirs.into_iter().find(|run| run.id == id).unwrap();
        run.conclusion
    };
    assert_eq!(ends(first).as_deref(), Some("success"));
    assert_eq!(ends(second).as_deref(), Some("cancelled"), "by the group");
    assert_eq!(calls(&world, &format!("POST {RUN}/cancel")), 0, "not by us");
    world.stop().await;
}

/// It is dropped every time: there is an end to that.
async fn a_run_that_is_dropped_every_time_ends_its_build() {
    let manifest = CHAIN.replace("artifacts =", "max_retries = 1, artifacts =");
    let world = scripted(&manifest, CONSENSUS, |script| {
        (script.queue_seconds, script.run_seconds) = (0.0, 1e6);
        script.one_at_a_time = true;
    })
    .await;
    let their = || {
        let payload = json!({});
        let github = &world.github;
        github.dispatch_as("somebody", CONSENSUS, "build-chain", payload);
    };
    their();
    let execution = world.release(VERSION).await;
    for attempt in 1..=2 {
        until("we queue", async || {
            ours(&world, CONSENSUS).len() == attempt
        })
        .await;
        their();
    }
    let why = has_failed(&world, &execution).await;
    let told = "the run was cancelled before any job started";
    assert!(why.contains(told) && why.contains("in 2 attempts"), "{why}");
    assert_eq!(ours(&world, CONSENSUS).len(), 2);
    assert!(world.github.releases(RELEASE_REPOSITORY).is_empty());
    world.stop().await;
}

#[test]
fn mode_05_a_queued_run_is_cancelled_by_its_concurrency_group() {
    play([
        || Box::pin(a_run_that_was_dropped_is_dispatched_again()),
        || Box::pin(a_run_that_is_dropped_every_time_ends_its_build()),
    ]);
}
