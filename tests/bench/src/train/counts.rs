//! What a build takes of Step Functions and of GitHub where webhooks come, by a virtual
//! clock.

use std::sync::Arc;

use fastrand::Rng;
use github_simulator::{Repository, fixture_repositories};
use serde::Serialize;
use serde_json::{Value, json};
use storm::weather::Fair;

use super::Measured;
use super::place::{MANIFEST, RELEASE_REPOSITORY};
use super::virtually::{self, Published};
use crate::figures::{Bar, Figure};

const SHORT: f64 = 600.0;
const LONG: f64 = 5.0 * 3600.0;
/// The wait of the definition that webhooks make useless.
const LONG_WAIT: &str = "AwaitRunLong";
/// What was counted of a release.
struct Counted {
    builds: f64,
    /// Of the build that had most.
    transitions: u64,
    calls: Calls,
    long_waits: u64,
}

/// Calls of GitHub that move no files, by who makes them: Plan, the stages of builds,
/// Publish.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Calls {
    plan: u64,
    builds: u64,
    publish: u64,
}

/// Releases six components of 10 minutes each, and of 5 hours.
pub async fn measure(seed: u64) -> Result<(Vec<Measured>, Value), String> {
    let counted = tokio::task::spawn_blocking(move || {
        let count = |seconds| virtually::here(release(seed, seconds));
        Ok::<_, String>((count(SHORT)?, count(LONG)?))
    });
    let (short, long) = counted.await.map_err(|error| error.to_string())??;
    let more = json!({ "calls_short": short.calls, "calls_long": long.calls });
    let measured = vec![
        Measured::median(Figure {
            name: "transitions",
            what: "transitions of the build with most, webhooks, 10 min builds".into(),
            value: short.transitions as f64,
            shown: short.transitions.to_string(),
            bar: Bar::Most(14.0),
            told: "≤ 14".into(),
        }),
        Measured::median(calls("calls_short", "10 min", &short)),
        Measured::median(calls("calls_long", "5 h", &long)),
    ];
    Ok((measured, more))
}

fn calls(name: &'static str, length: &str, counted: &Counted) -> Figure {
    let calls = counted.calls.builds as f64 / counted.builds;
    let waits = counted.long_waits as f64 / counted.builds;
    Figure {
        name,
        what: format!("GitHub calls per build, transfers apart, webhooks, {length} builds"),
        value: calls - waits,
        shown: format!("{calls:.1}, Long waits that ran out {waits:.1}"),
        bar: Bar::Most(10.0),
        told: "≤ 10 and one per Long wait that ran out".into(),
    }
}

async fn release(seed: u64, seconds: f64) -> Result<Counted, String> {
    let repositories = repositories(seed, seconds)?;
    let fair = Arc::new(Fair);
    let published = virtually::release(repositories, RELEASE_REPOSITORY, fair, false).await?;
    Ok(Counted::of(&published))
}

/// The six components; their runs take so long, and wait for a runner up to a minute.
pub fn repositories(seed: u64, seconds: f64) -> Result<Vec<Repository>, String> {
    let manifest = MANIFEST.replace("{ version", "{ timeout_minutes = 1440, version");
    let made = fixture_repositories(&manifest, RELEASE_REPOSITORY);
    let mut made = made.map_err(|error| format!("the fixture: {error}"))?;
    let mut dice = Rng::with_seed(seed);
    for repository in &mut made {
        repository.script.queue_seconds = 1.0 + 59.0 * dice.f64();
        repository.script.run_seconds = seconds;
    }
    Ok(made)
}

impl Counted {
    fn of(published: &Published) -> Self {
        let driver = &published.driver;
        let executions = driver.machine.executions.list();
        let children = executions.iter().filter(|execution| execution.child);
        let histories: Vec<_> = children.map(|child| child.progress().history).collect();
        let ran_out = histories.iter().filter_map(|h| h.ran_out.get(LONG_WAIT));
        Self {
            builds: histories.len() as f64,
            transitions: histories.iter().map(|h| h.transitions).max().unwrap_or(0),
            calls: Calls::of(published),
            long_waits: ran_out.sum(),
        }
    }
}

impl Calls {
    fn of(published: &Published) -> Self {
        let mut calls = Self::default();
        let requests = published.driver.github.requests().into_iter();
        for request in requests.filter(|request| !is_transfer(&request.path)) {
            let who = match request.time {
                time if time < published.planned => &mut calls.plan,
                time if time < published.publishing => &mut calls.builds,
                _ => &mut calls.publish,
            };
            *who += 1;
        }
        calls
    }
}

/// Whether it moves a file, or is asked where one is.
fn is_transfer(path: &str) -> bool {
    let artifact = path.contains("/actions/artifacts/") && path.ends_with("/zip");
    let asset = path.starts_with("/uploads/") || path.contains("/releases/assets/");
    artifact || asset || path.starts_with("/_blob/")
}
