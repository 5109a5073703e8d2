//! What the oracle is shown: GitHub's side from the simulator, and the table.

use aws_sdk_dynamodb::types::AttributeValue;
use github_simulator::{Exchange, RunView, Simulator};
use serde_json::{Map, Value};
use storm_oracle::{Artifact, Asset, Attempt, End, File, Moment, Release, Request, Run, Seen};

use super::plan::Plan;

/// What GitHub saw of a plan's releases.
pub fn at_github(plan: &Plan, github: &Simulator) -> Seen {
    let exchanges = github.exchanges();
    let names = plan.components.iter();
    let repositories = names.map(|c| format!("{}/{}", super::plan::OWNER, c.name));
    let runs = repositories.flat_map(|repository| {
        let runs = github.runs(&repository).into_iter();
        let asked = &exchanges;
        runs.map(move |run| run_of(&repository, run, asked))
    });
    let mut moments = github.moments();
    moments.retain(|moment| moment.repository == plan.release_repository);
    let sent = exchanges.iter().filter_map(|exchange| {
        let sent = exchange.request.as_ref()?.to_string();
        Some((format!("{} {}", exchange.method, exchange.route), sent))
    });
    Seen {
        speed: 1.0,
        login: github_simulator::Settings::default().login,
        release_repository: plan.release_repository.clone(),
        asked: plan.asked(),
        runs: runs.collect(),
        requests: github.requests().into_iter().map(request_of).collect(),
        moments: moments.into_iter().map(moment_of).collect(),
        written: sent.collect(),
        canary: crate::CANARY.to_owned(),
        ..Seen::default()
    }
}

/// What the call that asked for a run has sent with it.
fn payload(exchange: &Exchange) -> Option<&Value> {
    let dispatches = exchange.method == "POST" && exchange.route.ends_with("/dispatches");
    let sent = exchange.request.as_ref().filter(|_| dispatches)?;
    sent.get("client_payload").or_else(|| sent.get("inputs"))
}

fn run_of(repository: &str, run: RunView, exchanges: &[Exchange]) -> Run {
    // No two dispatches of ours have the same nonce.
    let asked = exchanges
        .iter()
        .filter(|e| payload(e) == Some(&run.client_payload));
    let asked_at = asked.map(|exchange| exchange.time).min();
    let attempts = run.attempts.into_iter().map(|attempt| Attempt {
        number: attempt.number,
        asked_at: attempt.asked_at,
        ended: attempt.conclusion.zip(attempt.completed_at),
    });
    let artifacts = run.artifacts.into_iter().map(|artifact| {
        let files = artifact.files.into_iter();
        Artifact {
            name: artifact.name,
            attempt: artifact.attempt,
            expired: artifact.expired,
            sound: artifact.sound,
            files: files
                .map(|(path, content)| File { path, content })
                .collect(),
        }
    });
    Run {
        repository: repository.to_owned(),
        id: run.id,
        actor: run.actor,
        head_sha: run.head_sha,
        payload: run.client_payload,
        created_at: run.dispatched_at,
        asked_at,
        attempts: attempts.collect(),
        artifacts: artifacts.collect(),
    }
}

fn request_of(request: github_simulator::Request) -> Request {
    Request {
        time: request.time,
        method: request.method,
        path: request.path,
        status: request.status,
    }
}

fn moment_of(moment: github_simulator::Moment) -> Moment {
    Moment {
        time: moment.time,
        id: moment.id,
        release: moment.release.map(|release| Release {
            tag: release.tag_name,
            draft: release.draft,
            assets: release
                .assets
                .into_iter()
                .map(|asset| Asset {
                    name: asset.name,
                    state: asset.state,
                    content: asset.content,
                })
                .collect(),
        }),
    }
}

/// Every item of a table, attributes without their types.
pub async fn table(dynamo: &aws_sdk_dynamodb::Client, name: &str) -> Result<Vec<Value>, String> {
    let scan = dynamo.scan().table_name(name).consistent_read(true);
    let mut items = scan.into_paginator().items().send();
    let mut found = Vec::new();
    while let Some(item) = items.next().await {
        let item = item.map_err(|error| format!("the table: {error}"))?;
        let plain = item.into_iter().map(|(name, value)| (name, plain(value)));
        found.push(Value::Object(plain.collect()));
    }
    Ok(found)
}

/// An item of DynamoDB's JSON, attributes without their types.
pub fn untyped_item(item: &Value) -> Value {
    let fields = item.as_object().into_iter().flatten();
    let plain = fields.map(|(name, value)| (name.clone(), untyped(value)));
    Value::Object(plain.collect())
}

fn untyped(value: &Value) -> Value {
    let typed = value.as_object().and_then(|typed| typed.iter().next());
    let Some((kind, inner)) = typed else {
        return Value::Null;
    };
    match (kind.as_str(), inner) {
        ("N", Value::String(number)) => {
            serde_json::from_str(number).unwrap_or_else(|_| number.clone().into())
        }
        ("M", map) => untyped_item(map),
        ("L", Value::Array(list)) => list.iter().map(untyped).collect(),
        ("NULL", _) => Value::Null,
        (_, inner) => inner.clone(),
    }
}

fn plain(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.into(),
        AttributeValue::N(number) => serde_json::from_str(&number).unwrap_or(number.into()),
        AttributeValue::Bool(is) => is.into(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.into(),
        AttributeValue::L(list) => list.into_iter().map(plain).collect(),
        AttributeValue::M(map) => {
            let fields = map.into_iter().map(|(name, value)| (name, plain(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

/// How the versions of a plan stand at the driver.
pub fn ends(plan: &Plan, driver: &crate::Driver) -> Vec<End> {
    let executions = driver.machine.executions.list();
    let of = |version: &str| {
        let running = executions.iter().filter(|e| {
            let of_it = !e.child && e.input["version"] == version;
            of_it && e.status() == crate::Status::Running
        });
        running.map(|e| e.name.clone()).collect()
    };
    let versions = plan.versions.iter();
    versions
        .map(|version| End {
            version: version.name.clone(),
            running: of(&version.name),
        })
        .collect()
}

/// What was written to GitHub, what it did, and the events of the table, by time.
pub fn story(seen: &Seen) -> Vec<String> {
    let writes = seen.requests.iter().filter(|r| r.method != "GET");
    let writes = writes.map(|r| (r.time, format!("{} {}: {}", r.method, r.path, r.status)));
    let runs = seen.runs.iter().flat_map(|run| {
        let what = format!("run {} of {} by {}", run.id, run.repository, run.actor);
        let of = format!("{} {}", run.payload["release"], run.payload["nonce"]);
        let began = (run.created_at, format!("{what} for {of} is there"));
        let ends = run
            .attempts
            .iter()
            .filter_map(|attempt| attempt.ended.clone());
        let ends = ends.map(move |(how, when)| (when, format!("{what} ends as {how}")));
        std::iter::once(began).chain(ends)
    });
    let events = seen.table.iter().filter_map(|item| {
        let when = item["sk"].as_str()?.strip_prefix("event#")?;
        let (when, what) = when.split_once('#')?;
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        let told = format!(
            "    {} {what}: {} -> {}, {}",
            text("pk"),
            text("from"),
            text("to"),
            text("reason")
        );
        Some((when.parse().ok()?, told))
    });
    let mut all: Vec<(jiff::Timestamp, String)> = writes.chain(runs).chain(events).collect();
    all.sort_by_key(|(when, _)| *when);
    let lines = all.into_iter();
    lines
        .map(|(when, what)| format!("{when:.3} {what}"))
        .collect()
}
