//! Releases through the whole local cloud: the deployed template, the built functions in
//! processes of their own, Step Functions, EventBridge and the schedule of the local
//! cloud. What goes wrong is what can be brought about from outside: GitHub's faults,
//! webhooks, runs, people, and functions that are killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use github_simulator::{Call, FaultKind, Foreseen, Settings, Simulator, WebhookFaultKind};
use jiff::Timestamp;
use local_cloud::{
    ACCOUNT, Account, FUNCTIONS, LocalCloud, Profile, STACK, Service, Stack, Toolchain,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use storm_oracle::{End, Finding, Seen, What, judge};

use super::evidence;
use super::people::{Doing, People, Place};
use super::plan::Plan;
use super::report::Report;
use super::run::{Size, plans};
use super::skies::Skies;
use super::world::Played;
use crate::weather::Weather as _;
use crate::{Figures, TOKEN, WEBHOOK_SECRET};

/// A release's seconds per second.
const SPEED: f64 = 120.0;
/// Larger graphs would take minutes each.
const COMPONENTS: usize = 8;
/// No run takes longer, in a release's own time.
const LONGEST_RUN: f64 = 240.0;
/// Whatever has no end by then has none.
const LONGEST: Duration = Duration::from_secs(900);
/// The sweeper has come twice by then.
const AFTERMATH: Duration = Duration::from_secs(270);
/// A function is killed about so often while releases run.
const KILL: Duration = Duration::from_secs(3);

/// Plays so many releases, and adds them to a report.
///
/// # Errors
/// The local cloud could not be started; one sentence.
pub fn run(
    releases: usize,
    seed: u64,
    report: &mut Report,
    mut tell: impl FnMut(&str),
) -> Result<(), String> {
    if releases == 0 {
        return Ok(());
    }
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let size = Size {
        releases,
        seed,
        at_once: 1,
    };
    let began = Instant::now();
    runtime.block_on(async {
        let told = |error: local_cloud::Error| error.to_string();
        let toolchain = local_cloud::ensure_venv(&|_| {}).await.map_err(told)?;
        let functions = local_cloud::build(Profile::Dev, &FUNCTIONS, &|_| {})
            .await
            .map_err(told)?;
        for plan in plans(size) {
            let plan = Arc::new(smaller(plan));
            let played = play(&plan, &toolchain, &functions).await?;
            report.releases_local += plan.versions.len();
            report.add(&played, plan.builds());
            tell(&format!(
                "{} of {releases} releases on the local cloud, {} faults, {} published",
                report.releases_local,
                played.faults.len(),
                played.published
            ));
            for finding in &played.findings {
                tell(&format!("{finding}\n  of the local plan {}", plan.seed));
            }
        }
        report.seconds += began.elapsed().as_secs_f64();
        Ok(())
    })
}

/// A plan that is over in a minute or two.
fn smaller(mut plan: Plan) -> Plan {
    plan.components.truncate(COMPONENTS);
    for component in &mut plan.components {
        component.run_seconds = component.run_seconds.min(LONGEST_RUN);
        component.queue_seconds /= 4.0;
    }
    plan
}

/// The plan's skies for a simulator whose clock is the machine's.
#[derive(Debug)]
struct Outside(Arc<Skies>);

impl github_simulator::Weather for Outside {
    fn call<'a>(&'a self, call: Call<'a>) -> Foreseen<'a> {
        // What is looked up without our token is nobody's call.
        let ours = !call.token.is_empty();
        let fault = self.0.github(Timestamp::now(), call.method, call.path);
        let fault = fault.filter(|_| ours);
        if let Some(fault) = &fault {
            let what = format!("{fault:?} at {} {}", call.method, call.path);
            self.0.happened(&what);
        }
        Box::pin(std::future::ready(fault.map(faster)))
    }

    fn webhook(&self, event: &str, payload: &Value) -> Option<WebhookFaultKind> {
        let fault = self.0.webhook(event, payload)?;
        self.0.happened(&format!("{fault:?}: webhook {event}"));
        Some(match fault {
            WebhookFaultKind::Late(seconds) => WebhookFaultKind::Late(seconds / SPEED),
            other => other,
        })
    }
}

/// What takes time takes less.
fn faster(fault: FaultKind) -> FaultKind {
    match fault {
        FaultKind::Deferred(status, Some(seconds)) => {
            FaultKind::Deferred(status, Some(seconds / SPEED))
        }
        other => other,
    }
}

/// The local cloud, and what is deployed there.
struct Deployed {
    cloud: LocalCloud,
    account: Account,
    stack: Stack,
    began: Instant,
    /// The versions of executions, which never change.
    versions: Mutex<BTreeMap<String, String>>,
    log: PathBuf,
}

async fn play(plan: &Arc<Plan>, toolchain: &Toolchain, functions: &Path) -> Result<Played, String> {
    let skies = Arc::new(Skies::faster(Arc::clone(plan), Timestamp::now(), SPEED));
    let settings = Settings {
        token: TOKEN.to_owned(),
        speed: SPEED,
        record: true,
        weather: Some(Arc::new(Outside(Arc::clone(&skies)))),
        ..Settings::default()
    };
    let github = Simulator::start(settings).await;
    let github = Arc::new(github.map_err(|error| error.to_string())?);
    for repository in plan.repositories() {
        github.add_repository(repository);
    }
    skies.over(&github);
    let deployed = Deployed::start(plan, toolchain, functions, &github).await;
    let deployed = Arc::new(deployed.map_err(|error| error.to_string())?);
    github.set_webhook(&deployed.stack.webhook_url, WEBHOOK_SECRET);
    let place = Arc::clone(&deployed) as Arc<dyn Place>;
    let people = People::begin(plan, &skies, place, &github);
    let began = Instant::now();
    let mut dice = skies.dice("the kills");
    while !people.are_done() && began.elapsed() < LONGEST {
        tokio::time::sleep(KILL.mul_f64(2.0 * dice.f64())).await;
        let processes = functions_of(deployed.cloud.endpoint());
        if let Some(process) = dice.choice(processes) {
            // It may be gone in this moment.
            if kill_process(process, Signal::KILL).is_ok() {
                skies.happened("a function was killed");
            }
        }
    }
    let settled = Instant::now();
    let played = loop {
        let played = deployed.judged(plan, &skies, &people, &github).await?;
        let left = |finding: &Finding| matches!(finding.what, What::Stuck | What::LeakedLocks);
        // The sweeper has yet to come.
        if !played.findings.iter().any(left) || settled.elapsed() > AFTERMATH {
            break played;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    Ok(played)
}

impl Deployed {
    async fn start(
        plan: &Plan,
        toolchain: &Toolchain,
        functions: &Path,
        github: &Simulator,
    ) -> Result<Self, local_cloud::Error> {
        let folder = toolchain.target.join("storm");
        let failed = |error: std::io::Error| local_cloud::Error(error.to_string());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let log = folder.join(format!("{}-{}.log", std::process::id(), plan.seed));
        let options = local_cloud::Options {
            log: log.clone(),
            auth: false,
        };
        let cloud = LocalCloud::start(toolchain, options).await?;
        let account = cloud.account(ACCOUNT)?;
        let parameters = [
            ("ReleaseRepository", plan.release_repository.clone()),
            ("GitHubApiUrl", github.api_url()),
            ("GitHubToken", TOKEN.to_owned()),
            ("WebhookSecret", WEBHOOK_SECRET.to_owned()),
            ("Speed", SPEED.to_string()),
            ("PrivateTransfers", "true".into()),
            ("TlsOnly", "false".into()),
        ];
        let parameters = parameters.into_iter().chain(local_cloud::waits(SPEED)?);
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let stack = account
            .deploy(STACK, toolchain, functions, &parameters.collect())
            .await?;
        Ok(Self {
            cloud,
            account,
            stack,
            began: Instant::now(),
            versions: Mutex::default(),
            log,
        })
    }

    async fn states(&self, action: &str, body: Value) -> Value {
        let answer = self.account.call(Service::States, action, body).await;
        answer.unwrap_or_else(|error| {
            tracing::warn!(action, %error, "the local cloud does not answer");
            Value::Null
        })
    }

    async fn version_of(&self, arn: &str) -> String {
        let locked = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = locked().get(arn) {
            return known.clone();
        }
        let body = json!({ "executionArn": arn });
        let described = self.states("DescribeExecution", body).await;
        let input = described["input"].as_str().unwrap_or_default();
        let input: Value = serde_json::from_str(input).unwrap_or_default();
        let version = input["version"].as_str().unwrap_or_default().to_owned();
        if !version.is_empty() {
            locked().insert(arn.to_owned(), version.clone());
        }
        version
    }

    async fn table(&self) -> Result<Vec<Value>, String> {
        let body = json!({ "TableName": self.stack.table, "ConsistentRead": true });
        let answer = self.account.call(Service::DynamoDb, "Scan", body).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let items = answer["Items"].as_array().into_iter().flatten();
        Ok(items.map(evidence::untyped_item).collect())
    }

    async fn judged(
        &self,
        plan: &Plan,
        skies: &Skies,
        people: &People,
        github: &Simulator,
    ) -> Result<Played, String> {
        let mut seen: Seen = evidence::at_github(plan, github);
        seen.speed = SPEED;
        seen.table = self.table().await?;
        seen.asked_again = people.asked_again().into_iter().collect();
        for version in &plan.versions {
            let executions = self.executions(&version.name).await;
            let running = executions.into_iter().filter(|(_, runs)| *runs);
            seen.ends.push(End {
                version: version.name.clone(),
                running: running.map(|(arn, _)| arn).collect(),
            });
        }
        let items = seen.table.iter().map(Value::to_string);
        let items: Vec<_> = items.map(|item| ("the table".to_owned(), item)).collect();
        seen.written.extend(items);
        let log = std::fs::read(&self.log).map_err(|error| error.to_string())?;
        let log = String::from_utf8_lossy(&log).into_owned();
        seen.written.push(("the cloud's log".to_owned(), log));
        let releases = github.releases(&plan.release_repository);
        let asked = |tag: &str| seen.asked.contains_key(tag);
        Ok(Played {
            findings: judge(&seen),
            story: evidence::story(&seen),
            faults: skies.log(),
            drawn: skies.drawn(),
            published: releases
                .iter()
                .filter(|r| !r.draft && asked(&r.tag_name))
                .count(),
            figures: Figures::default(),
            virtual_time: self.elapsed(),
            trace: 0,
        })
    }
}

impl Place for Deployed {
    fn sleep(&self, time: Duration) -> Doing<'_, ()> {
        Box::pin(tokio::time::sleep(time.div_f64(SPEED)))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed().mul_f64(SPEED)
    }

    fn spawn(&self, doing: Doing<'static, ()>) {
        tokio::spawn(doing);
    }

    fn executions<'a>(&'a self, version: &'a str) -> Doing<'a, Vec<(String, bool)>> {
        Box::pin(async move {
            let body = json!({ "stateMachineArn": self.stack.state_machine_arn });
            let listed = self.states("ListExecutions", body).await;
            let mut found = Vec::new();
            for execution in listed["executions"].as_array().into_iter().flatten() {
                let arn = execution["executionArn"].as_str().unwrap_or_default();
                if self.version_of(arn).await == version {
                    found.push((arn.to_owned(), execution["status"] == "RUNNING"));
                }
            }
            found
        })
    }

    fn start<'a>(&'a self, name: &'a str, input: Value) -> Doing<'a, ()> {
        Box::pin(async move {
            let machine = &self.stack.state_machine_arn;
            let input = input.to_string();
            let body = json!({"stateMachineArn": machine, "name": name, "input": input});
            self.states("StartExecution", body).await;
        })
    }

    fn stop<'a>(&'a self, execution: &'a str) -> Doing<'a, ()> {
        Box::pin(async move {
            let body = json!({ "executionArn": execution, "cause": "a person stopped it" });
            self.states("StopExecution", body).await;
        })
    }
}

/// The processes of functions whose cloud is at this address.
fn functions_of(endpoint: &str) -> Vec<Pid> {
    let variable = format!("AWS_ENDPOINT_URL={endpoint}");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = processes.filter_map(|process| {
        let folder = process.path();
        let pid: i32 = folder.file_name()?.to_str()?.parse().ok()?;
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
        let runs = String::from_utf8_lossy(&read("cmdline")).contains("/bootstrap");
        let environment = read("environ");
        let mut variables = environment.split(|byte| *byte == 0);
        let ours = runs && variables.any(|v| v == variable.as_bytes());
        Pid::from_raw(pid).filter(|_| ours)
    });
    found.collect()
}
