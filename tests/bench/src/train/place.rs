//! A local cloud and a simulated GitHub, and releases of six components that go through
//! them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use commons_domain::graph;
use commons_domain::manifest::Manifest;
use github_simulator::{Repository, RunView, Settings, Simulator, fixture_repositories};
use jiff::Timestamp;
use local_cloud::{Account, LocalCloud, Options, STACK, Service, Stack};
use serde_json::{Value, json};

use crate::aws;

/// The six components.
pub const MANIFEST: &str = include_str!("../../../fixtures/versions.toml");
/// Where they are released.
pub const RELEASE_REPOSITORY: &str = "BTCDecoded/bllvm";
/// What signs webhooks.
pub const WEBHOOK_SECRET: &str = "of the benchmark";
const OWNER: &str = "BTCDecoded";
/// A release that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(600);

/// How to set one up.
pub struct Setting {
    /// Simulated seconds per real second.
    pub speed: f64,
    /// Whether GitHub sends webhooks.
    pub webhooks: bool,
    /// Parameters of the template beside those that every place has.
    pub parameters: Vec<(&'static str, String)>,
}

/// All that runs.
pub struct Place {
    /// The account that the stack is in.
    pub account: Account,
    /// The stack.
    pub stack: Stack,
    /// GitHub.
    pub github: Simulator,
    /// By component: what it requires.
    requires: BTreeMap<String, Vec<String>>,
    cloud: LocalCloud,
}

/// One change of a build, or of the release.
struct Event {
    at: Timestamp,
    what: String,
    to: String,
}

/// The times of a release that was published.
pub struct Carried {
    /// Of each component that requires others: seconds from when the last of them was
    /// recorded as green until its own dispatch came to GitHub.
    pub handoffs: Vec<f64>,
    /// Seconds until the last build was complete, beyond the critical path.
    pub beyond: f64,
    /// The builds on that path.
    pub on_path: usize,
}

impl Place {
    /// Starts it with these functions.
    pub async fn start(functions: &Path, setting: Setting) -> Result<Self, String> {
        let told = |error: local_cloud::Error| error.to_string();
        let toolchain = local_cloud::ensure_venv(&|_| {}).await.map_err(told)?;
        let log = toolchain.target.join("bench-train.log");
        let options = Options { log, auth: false };
        let cloud = LocalCloud::start(&toolchain, options).await.map_err(told)?;
        let settings = Settings {
            speed: setting.speed,
            ..Settings::default()
        };
        let token = settings.token.clone();
        let github = Simulator::start(settings).await;
        let github = github.map_err(|error| error.to_string())?;
        for repository in repositories()? {
            github.add_repository(repository);
        }
        let parameters = [
            ("ReleaseRepository", RELEASE_REPOSITORY.to_owned()),
            ("GitHubApiUrl", github.api_url()),
            ("GitHubToken", token),
            ("WebhookSecret", WEBHOOK_SECRET.to_owned()),
            ("Speed", setting.speed.to_string()),
            ("PrivateTransfers", "true".to_owned()),
        ];
        let parameters = parameters.into_iter().chain(setting.parameters);
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value));
        let account = cloud.account(local_cloud::ACCOUNT).map_err(told)?;
        let stack = account
            .deploy(STACK, &toolchain, functions, &parameters.collect())
            .await
            .map_err(told)?;
        if setting.webhooks {
            github.set_webhook(&stack.webhook_url, WEBHOOK_SECRET);
        }
        let manifest = Manifest::parse(MANIFEST).map_err(|faults| faults.0.join("; "))?;
        let components = manifest.components().iter();
        Ok(Self {
            account,
            stack,
            github,
            requires: components
                .map(|(name, component)| (name.clone(), component.requires.clone()))
                .collect(),
            cloud,
        })
    }

    /// Lets every run from now on take so long, in simulated seconds: in the queue, and
    /// running, by component.
    pub fn runs_take(&self, seconds: impl Fn(&str) -> (f64, f64)) -> Result<(), String> {
        for repository in repositories()? {
            let name = repository.name.rsplit('/').next().unwrap_or_default();
            let mut script = repository.script.clone();
            (script.queue_seconds, script.run_seconds) = seconds(name);
            self.github.script(&repository.name, script);
        }
        Ok(())
    }

    /// Releases a version by its tag, until it is published.
    pub async fn release(&self, version: &str) -> Result<Carried, String> {
        let began = Timestamp::now();
        self.github.create_tag(RELEASE_REPOSITORY, version);
        self.published(version).await?;
        self.carried(version, began).await
    }

    /// The same started by hand, where no webhook comes.
    pub async fn release_by_hand(&self, version: &str) -> Result<Carried, String> {
        let began = Timestamp::now();
        let start = json!({
            "stateMachineArn": self.stack.state_machine_arn,
            "name": version,
            "input": json!({ "version": version }).to_string(),
        });
        let started = self
            .account
            .call(Service::States, "StartExecution", start)
            .await;
        started.map_err(|error| error.to_string())?;
        self.published(version).await?;
        self.carried(version, began).await
    }

    /// Waits until a version is published.
    pub async fn published(&self, version: &str) -> Result<(), String> {
        let began = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let release = self.items(version, "release").await?.pop();
            let status = release.as_ref().map(|release| text(release, "status"));
            match status {
                Some("published") => return Ok(()),
                Some("failed" | "cancelled") => {
                    return Err(format!("{version} was not published: {release:?}"));
                }
                _ if began.elapsed() > PATIENCE => {
                    return Err(format!("{version} does not end: {release:?}"));
                }
                _ => {}
            }
        }
    }

    /// The table's items of a release whose sort key begins so.
    pub async fn items(&self, version: &str, kind: &str) -> Result<Vec<Value>, String> {
        let release = format!("{RELEASE_REPOSITORY}/{version}");
        let items = self.account.items(&self.stack.table, &release, kind).await;
        items.map_err(|error| error.to_string())
    }

    /// How many signatures of a release are kept in the bucket.
    pub async fn signatures(&self, version: &str) -> Result<f64, String> {
        let s3 = aws::client(self.cloud.endpoint());
        let prefix = format!("{RELEASE_REPOSITORY}/{version}/signatures/");
        let listed = s3
            .list_objects_v2()
            .bucket(&self.stack.bucket)
            .prefix(prefix);
        let listed = listed.send().await;
        let listed = listed.map_err(|error| format!("the bucket: {error}"))?;
        Ok(listed.contents().len() as f64)
    }

    async fn events(&self, version: &str) -> Result<Vec<Event>, String> {
        let items = self.items(version, "event#").await?;
        let event = |item: &Value| {
            let at = text(item, "at");
            Ok(Event {
                at: at
                    .parse()
                    .map_err(|error| format!("an event at '{at}': {error}"))?,
                what: text(item, "what").to_owned(),
                to: text(item, "to").to_owned(),
            })
        };
        items.iter().map(event).collect()
    }

    async fn carried(&self, version: &str, began: Timestamp) -> Result<Carried, String> {
        let events = self.events(version).await?;
        let first = |what: &str, to: &str| {
            let mut found = events.iter().filter(|e| e.what == what && e.to == to);
            let at = found.next().map(|event| event.at);
            at.ok_or_else(|| format!("no event of {version} tells when {what} was {to}"))
        };
        let mut handoffs = Vec::new();
        let mut complete = began;
        for (component, required) in &self.requires {
            complete = complete.max(first(component, "collected")?);
            let mut green = None;
            for dependency in required {
                green = green.max(Some(first(dependency, "success")?));
            }
            if let Some(green) = green {
                let run = self.run(version, component)?;
                handoffs.push(run.dispatched_at.duration_since(green).as_secs_f64());
            }
        }
        let (critical, on_path) = self.critical_path(version)?;
        let took = complete.duration_since(began).as_secs_f64();
        Ok(Carried {
            handoffs,
            beyond: took - critical,
            on_path,
        })
    }

    /// The seconds and the builds of the longest path, from each dispatch that GitHub
    /// received to the end of its run.
    fn critical_path(&self, version: &str) -> Result<(f64, usize), String> {
        let plan = graph::plan(&self.requires).map_err(|cycle| cycle.to_string())?;
        let mut ends: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for component in &plan.order {
            let run = self.run(version, component)?;
            let ended = run.completed_at.ok_or("a run has not ended")?;
            let took = ended.duration_since(run.dispatched_at).as_secs_f64();
            let before = self.requires[component].iter();
            let before = before.filter_map(|required| ends.get(required.as_str()));
            let longest = before.max_by(|one, other| one.0.total_cmp(&other.0));
            let (seconds, builds) = longest.copied().unwrap_or_default();
            ends.insert(component, (seconds + took, builds + 1));
        }
        let longest = ends
            .into_values()
            .max_by(|one, other| one.0.total_cmp(&other.0));
        longest.ok_or_else(|| "the manifest has no component".into())
    }

    /// The run of a component in a release.
    fn run(&self, version: &str, component: &str) -> Result<RunView, String> {
        let runs = self.github.runs(&format!("{OWNER}/{component}"));
        let run = runs
            .into_iter()
            .find(|run| run.client_payload["version"] == version);
        run.ok_or_else(|| format!("{component} has no run in {version}"))
    }
}

fn repositories() -> Result<Vec<Repository>, String> {
    let made = fixture_repositories(MANIFEST, RELEASE_REPOSITORY);
    made.map_err(|error| format!("the fixture: {error}"))
}

fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}
