//! A world per test: an account of the shared local cloud with the template
//! deployed into it, and a GitHub simulator of its own.

mod clock;
pub mod matrix;
pub mod oracle;
mod rights;
mod stage;
pub mod tools;

pub use clock::MovedClock;
pub use rights::{Holder, Permission, Rights};
pub use stage::{StageWorld, repository, while_told_so};

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::Credentials;
use github_simulator::{Repository, Settings, Simulator, fixture_repositories};
use local_cloud::{
    ACCOUNT, Account, FUNCTIONS, LocalCloud, Options, Profile, STACK, Service, Stack, Toolchain,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The release repository of every world.
pub const RELEASE_REPOSITORY: &str = "BTCDecoded/bllvm";
/// The six components.
pub const MANIFEST: &str = include_str!("../../fixtures/versions.toml");
/// Their names.
pub const COMPONENTS: [&str; 6] = [
    "bllvm-consensus",
    "bllvm-sdk",
    "bllvm-protocol",
    "bllvm-node",
    "bllvm",
    "bllvm-commons",
];
/// What signs webhooks.
pub const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";
/// What an upload of a test's may take.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Simulated seconds per real second.
const SPEED: f64 = 120.0;

struct Shared {
    toolchain: Toolchain,
    functions: PathBuf,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();

impl Shared {
    /// The tools and the built functions, made once per process.
    async fn get() -> &'static Shared {
        SHARED
            .get_or_init(|| async {
                let quiet = |_: &str| {};
                let toolchain = local_cloud::ensure_venv(&quiet).await.expect("the venv");
                let functions = local_cloud::build(Profile::Dev, &FUNCTIONS, &|_| {})
                    .await
                    .expect("the functions");
                Shared {
                    toolchain,
                    functions,
                }
            })
            .await
    }

    /// Starts a cloud, with a log of its own.
    async fn cloud(&self, auth: bool) -> (LocalCloud, PathBuf) {
        let logs = self.toolchain.target.join("integration");
        std::fs::create_dir_all(&logs).expect("a folder for logs");
        let log = logs.join(format!("{}.log", unique()));
        let options = Options {
            log: log.clone(),
            auth,
        };
        let cloud = LocalCloud::start(&self.toolchain, options).await;
        (cloud.expect("the local cloud"), log)
    }

    /// Deploys the template, pointed at a simulator.
    async fn deploy(
        &self,
        stack: &str,
        account: &Account,
        github_api_url: String,
        token: &str,
        webhook_secret: &str,
    ) -> Stack {
        let waits = local_cloud::waits(SPEED).expect("the template");
        let parameters = waits.into_iter().chain([
            ("ReleaseRepository", RELEASE_REPOSITORY.to_owned()),
            ("GitHubApiUrl", github_api_url),
            ("GitHubToken", token.to_owned()),
            ("WebhookSecret", webhook_secret.to_owned()),
            ("Speed", SPEED.to_string()),
            ("PrivateTransfers", "true".into()),
            ("AwaitDependenciesSeconds", "60".to_owned()),
            ("TlsOnly", "false".to_owned()),
        ]);
        let parameters = parameters
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        account
            .deploy(stack, &self.toolchain, &self.functions, &parameters)
            .await
            .expect("a deployed stack")
    }
}

/// One test's world.
pub struct World {
    /// GitHub.
    pub github: Simulator,
    /// What is deployed.
    pub stack: Stack,
    /// The account it is deployed in.
    pub account: Account,
    /// What the cloud's process prints.
    pub log: PathBuf,
    cloud: LocalCloud,
}

impl World {
    /// Starts a cloud and a simulator, and deploys the template.
    pub async fn start() -> World {
        World::with(fixture(MANIFEST)).await
    }

    /// The same with these repositories.
    pub async fn with(repositories: Vec<Repository>) -> World {
        let token = Settings::default().token;
        World::launch(false, &token, WEBHOOK_SECRET, repositories).await
    }

    /// The same, where a function may do only what its role in the template allows.
    pub async fn start_with_roles_enforced() -> World {
        let token = Settings::default().token;
        World::launch(true, &token, WEBHOOK_SECRET, fixture(MANIFEST)).await
    }

    /// The same with other secrets.
    pub async fn start_with_secrets(token: &str, webhook_secret: &str) -> World {
        World::launch(false, token, webhook_secret, fixture(MANIFEST)).await
    }

    async fn launch(
        auth: bool,
        token: &str,
        webhook_secret: &str,
        repositories: Vec<Repository>,
    ) -> World {
        let shared = Shared::get().await;
        let (cloud, log) = shared.cloud(auth).await;
        let settings = Settings {
            speed: SPEED,
            token: token.to_owned(),
            record: true,
            ..Settings::default()
        };
        let github = Simulator::start(settings).await.expect("the simulator");
        for repository in repositories {
            github.add_repository(repository);
        }
        let account = cloud.account(ACCOUNT).expect("an account");
        let api_url = github.api_url();
        let stack = shared
            .deploy(STACK, &account, api_url, token, webhook_secret)
            .await;
        github.set_webhook(&stack.webhook_url, webhook_secret);
        World {
            github,
            stack,
            account,
            log,
            cloud,
        }
    }

    /// Deploys another stack beside the first.
    pub async fn deploy_beside(&self, stack: &str) -> Stack {
        let shared = Shared::get().await;
        let token = Settings::default().token;
        let api_url = self.github.api_url();
        shared
            .deploy(stack, &self.account, api_url, &token, WEBHOOK_SECRET)
            .await
    }

    /// The cloud's address.
    pub fn endpoint(&self) -> &str {
        self.cloud.endpoint()
    }

    /// Starts the release by hand; the execution's ARN.
    pub async fn release(&self, version: &str) -> String {
        self.execute(&json!({ "version": version })).await
    }

    /// Starts an execution with any input; its ARN.
    pub async fn execute(&self, input: &Value) -> String {
        let input = input.to_string();
        let body = json!({"stateMachineArn": self.stack.state_machine_arn, "input": input});
        let answer = self
            .account
            .call(Service::States, "StartExecution", body)
            .await
            .expect("a started execution");
        answer["executionArn"].as_str().expect("its ARN").to_owned()
    }

    /// The executions of the machine.
    pub async fn executions(&self) -> Vec<Value> {
        let body = json!({"stateMachineArn": self.stack.state_machine_arn});
        let answer = self
            .account
            .call(Service::States, "ListExecutions", body)
            .await
            .expect("the executions");
        answer["executions"].as_array().cloned().unwrap_or_default()
    }

    /// The child executions of an execution's Map: their ARNs.
    pub async fn children(&self, execution: &str) -> Vec<String> {
        let call = async |action: &str, body: Value, list: &str| {
            let answer = self.account.call(Service::States, action, body).await;
            let answer = answer.expect("an answer of Step Functions");
            answer[list].as_array().cloned().unwrap_or_default()
        };
        let parent = json!({"executionArn": execution});
        let mut children = Vec::new();
        for map in call("ListMapRuns", parent, "mapRuns").await {
            let of_map = json!({"mapRunArn": map["mapRunArn"]});
            for child in call("ListExecutions", of_map, "executions").await {
                children.push(child["executionArn"].as_str().expect("its ARN").to_owned());
            }
        }
        children
    }

    /// The events of an execution, oldest first.
    pub async fn history(&self, execution: &str) -> Vec<Value> {
        let mut body = json!({"executionArn": execution, "maxResults": 1000});
        let mut events = Vec::new();
        loop {
            let page = self
                .account
                .call(Service::States, "GetExecutionHistory", body.clone())
                .await
                .expect("the history");
            events.extend(page["events"].as_array().cloned().unwrap_or_default());
            if page["nextToken"].is_null() {
                return events;
            }
            body["nextToken"] = page["nextToken"].clone();
        }
    }

    /// Waits until an execution is started, by a webhook; its ARN.
    pub async fn first_execution(&self) -> String {
        let began = Instant::now();
        loop {
            if let Some(found) = self.executions().await.first() {
                return found["executionArn"].as_str().expect("its ARN").to_owned();
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "no execution is started after 30 s"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until an execution has ended, and describes it.
    pub async fn ended(&self, execution: &str) -> Value {
        let began = Instant::now();
        loop {
            let body = json!({"executionArn": execution});
            let answer = self
                .account
                .call(Service::States, "DescribeExecution", body)
                .await
                .expect("the execution");
            if answer["status"] != "RUNNING" {
                return answer;
            }
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "the execution still runs after two minutes"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every item of the table, attributes unwrapped.
    pub async fn table(&self) -> Vec<Value> {
        let body = json!({"TableName": self.stack.table, "ConsistentRead": true});
        let answer = self.account.call(Service::DynamoDb, "Scan", body).await;
        let answer = answer.expect("the table");
        assert!(answer["LastEvaluatedKey"].is_null(), "one page");
        let items = answer["Items"].as_array().cloned().unwrap_or_default();
        items.iter().map(unwrap_item).collect()
    }

    /// The bucket's objects, by key.
    pub async fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let owner = Credentials::new(self.account.id(), "local", None, None, "the test");
        let s3 = stage::s3(&stage::configuration(self.endpoint(), owner));
        let list = s3.list_objects_v2().bucket(&self.stack.bucket).send().await;
        let list = list.expect("the bucket");
        assert_ne!(list.is_truncated(), Some(true), "one page");
        let mut objects = BTreeMap::new();
        for object in list.contents() {
            let key = object.key().expect("a key");
            let got = s3.get_object().bucket(&self.stack.bucket).key(key);
            let body = got.send().await.expect("an object").body;
            let bytes = body.collect().await.expect("its bytes").to_vec();
            objects.insert(key.to_owned(), bytes);
        }
        objects
    }

    /// The items of a release whose sort key begins with `prefix`, attributes unwrapped.
    pub async fn items(&self, version: &str, prefix: &str) -> Vec<Value> {
        items(&self.account, &self.stack.table, version, prefix).await
    }

    /// Build statuses by component.
    pub async fn statuses(&self, version: &str) -> BTreeMap<String, String> {
        let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let builds = self.items(version, "build#").await;
        builds
            .iter()
            .map(|build| (text(build, "component"), text(build, "status")))
            .collect()
    }

    /// Stops everything.
    ///
    /// # Panics
    /// If GitHub would not have said or taken what was said and sent.
    pub async fn stop(self) {
        oracle::check(&self.github);
        self.github.stop().await;
        self.cloud.stop();
    }
}

async fn items(account: &Account, table: &str, version: &str, prefix: &str) -> Vec<Value> {
    let release = format!("{RELEASE_REPOSITORY}/{version}");
    let items = account.items(table, &release, prefix).await;
    items.expect("the items").iter().map(unwrap_item).collect()
}

/// Bytes that no compression makes fewer; the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut noise = vec![0; length];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    noise
}

/// The repositories that a manifest of [`RELEASE_REPOSITORY`] names.
pub fn fixture(manifest: &str) -> Vec<Repository> {
    fixture_repositories(manifest, RELEASE_REPOSITORY).expect("a manifest")
}

/// Says that something could not be tried. Not with a macro: a test's output is kept
/// from whoever watches while it passes.
pub(crate) fn skipped(what: &str) {
    let written = writeln!(std::io::stderr(), "skipped: {what}");
    written.expect("standard error");
}

fn unique() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock");
    format!("{}-{}", std::process::id(), now.as_nanos())
}

fn unwrap_item(item: &Value) -> Value {
    let object = item.as_object().cloned().unwrap_or_default();
    object
        .into_iter()
        .map(|(name, value)| (name, unwrap(&value)))
        .collect()
}

fn unwrap(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "N" => inner
            .as_str()
            .and_then(|n| n.parse::<i64>().ok())
            .map_or(Value::Null, Value::from),
        "M" => unwrap_item(inner),
        "L" => inner
            .as_array()
            .map(|list| list.iter().map(unwrap).collect())
            .unwrap_or_default(),
        "NULL" => Value::Null,
        _ => inner.clone(),
    }
}
