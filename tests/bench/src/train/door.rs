//! The door, where many webhooks come at the same moment: each tells of the run of another
//! build, and each build's `seq` says whether its own came through.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use github_simulator::signature;
use local_cloud::Service;
use serde_json::{Value, json};

use super::Measured;
use super::place::{Place, RELEASE_REPOSITORY, Setting, WEBHOOK_SECRET};
use crate::figures::{Bar, Figure};

/// How many come at once.
const DELIVERIES: u64 = 200;
/// GitHub waits no longer for an answer.
const DEADLINE: Duration = Duration::from_secs(10);
const PAYLOAD: &str = include_str!("../../../fixtures/webhooks/workflow_run.json");
const REPOSITORY: &str = "BTCDecoded/bllvm-node";
const VERSION: &str = "v0.1.0";

/// What came of all deliveries.
struct Burst {
    slowest: f64,
    /// Those that were not accepted in time, or woke nobody.
    lost: usize,
}

/// Sends them twice: the first time the door is cold.
pub async fn measure(functions: &Path) -> Result<Vec<Measured>, String> {
    let setting = Setting {
        speed: 1.0,
        webhooks: false,
        parameters: Vec::new(),
    };
    let place = Place::start(functions, setting).await?;
    for run in 0..DELIVERIES {
        put(&place, claim(run)).await?;
        put(&place, build(run)).await?;
    }
    burst(&place).await?;
    let warm = burst(&place).await?;
    let what = format!("{DELIVERIES} webhooks at once");
    Ok(vec![
        Measured::median(Figure::seconds(
            "door_slowest",
            &format!("{what}: slowest answer"),
            warm.slowest,
            DEADLINE.as_secs_f64(),
        )),
        Measured::worst(Figure {
            name: "door_lost",
            what: format!("{what}: not accepted, or without effect"),
            value: warm.lost as f64,
            shown: warm.lost.to_string(),
            bar: Bar::Most(0.0),
            told: "0".into(),
        }),
    ])
}

/// One delivery for each build.
async fn burst(place: &Place) -> Result<Burst, String> {
    let before = seqs(place).await?;
    let http = local_cloud::http_client().map_err(|error| error.to_string())?;
    let payload: Value = serde_json::from_str(PAYLOAD).map_err(|error| error.to_string())?;
    let deliver = async |run: u64| {
        let mut payload = payload.clone();
        payload["workflow_run"]["id"] = run.into();
        payload["repository"]["full_name"] = REPOSITORY.into();
        let body = payload.to_string();
        let began = Instant::now();
        let answer = http
            .post(&place.stack.webhook_url)
            .timeout(DEADLINE)
            .header("content-type", "application/json")
            .header("x-github-event", "workflow_run")
            .header("x-github-delivery", component(run))
            .header(
                "x-hub-signature-256",
                signature(WEBHOOK_SECRET, body.as_bytes()),
            )
            .body(body)
            .send()
            .await;
        let accepted = answer.is_ok_and(|answer| answer.status().is_success());
        (began.elapsed().as_secs_f64(), accepted)
    };
    let answers = join_all((0..DELIVERIES).map(deliver)).await;
    let after = seqs(place).await?;
    let woken = |run: u64| {
        let seq = |seqs: &BTreeMap<String, u64>| seqs.get(&component(run)).copied();
        seq(&before).is_some_and(|before| seq(&after) == Some(before + 1))
    };
    let came = |(run, (_, accepted)): &(u64, &(f64, bool))| *accepted && woken(*run);
    let through = (0..DELIVERIES).zip(&answers).filter(came).count();
    Ok(Burst {
        slowest: answers.iter().map(|(took, _)| *took).fold(0.0, f64::max),
        lost: answers.len() - through,
    })
}

/// By component: how often it was woken.
async fn seqs(place: &Place) -> Result<BTreeMap<String, u64>, String> {
    let builds = place.items(VERSION, "build#").await?;
    let seq = |build: &Value| {
        let component = build["component"]["S"].as_str()?;
        let seq = build["seq"]["N"].as_str()?.parse().ok()?;
        Some((component.to_owned(), seq))
    };
    Ok(builds.iter().filter_map(seq).collect())
}

fn component(run: u64) -> String {
    format!("component-{run}")
}

/// As Poll writes it.
fn claim(run: u64) -> Value {
    json!({
        "pk": { "S": format!("run#{}/{run}", REPOSITORY.to_lowercase()) },
        "sk": { "S": "claim" },
        "release": { "S": format!("{RELEASE_REPOSITORY}/{VERSION}") },
        "component": { "S": component(run) },
        "nonce": { "S": "nonce" },
    })
}

/// As much of a build as the door needs.
fn build(run: u64) -> Value {
    json!({
        "pk": { "S": format!("{RELEASE_REPOSITORY}/{VERSION}") },
        "sk": { "S": format!("build#{}", component(run)) },
        "component": { "S": component(run) },
        "seq": { "N": "0" },
    })
}

async fn put(place: &Place, item: Value) -> Result<(), String> {
    let body = json!({ "TableName": place.stack.table, "Item": item });
    let put = place.account.call(Service::DynamoDb, "PutItem", body).await;
    put.map(drop).map_err(|error| error.to_string())
}
