//! What a rehearsal runs on: the local cloud, the GitHub simulator, the stack.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use commons_domain::names::{ReleaseKey, Sha256, Version};
use github_simulator::{Script, Settings, Simulator, fixture_repositories};
use indicatif::{ProgressBar, ProgressStyle};
use local_cloud::{
    ACCOUNT, Account, Error, FUNCTIONS, LocalCloud, Options, Profile, STACK, Service, Stack,
};
use serde_json::{Value, json};
use tokio::process::Command;

use super::Wanted;
use crate::timeline;

/// Crates that the functions' build finishes; the bar's length only.
const CRATES: u64 = 300;
/// The organisation of every rehearsal.
const OWNER: &str = "BTCDecoded";

/// Everything that runs.
pub struct Rehearsal {
    /// GitHub.
    pub github: Simulator,
    /// The account that the stack is in.
    pub account: Account,
    /// The stack.
    pub stack: Stack,
    /// The release repository.
    pub repository: String,
    cloud: LocalCloud,
    built: PathBuf,
}

impl Rehearsal {
    /// Prepares and starts everything.
    pub async fn start(wanted: &Wanted) -> Result<Self, Error> {
        let bar = build_bar();
        let say = |text: &str| bar.println_or_print(text);
        let step = |step: local_cloud::Progress| {
            if std::io::stderr().is_terminal() {
                bar.bar.set_position(step.done);
                bar.bar.set_message(step.name);
            } else if step.compiled && step.done.is_multiple_of(50) {
                println!("  {} of about {CRATES} crates", step.done);
            }
        };
        let binaries = [&FUNCTIONS[..], &[timeline::PROGRAM]].concat();
        let (toolchain, built) = tokio::try_join!(
            local_cloud::ensure_venv(&say),
            local_cloud::build(Profile::Dev, &binaries, &step)
        )?;
        bar.bar.finish_and_clear();

        let logs = toolchain.target.join("demo");
        std::fs::create_dir_all(&logs)
            .map_err(|error| Error(format!("the folder for logs: {error}")))?;
        let log = logs.join(format!("{}.log", std::process::id()));
        let secret = secret("webhook");
        let settings = Settings {
            speed: wanted.speed,
            token: secret_token(),
            ..Settings::default()
        };
        let token = settings.token.clone();
        let (cloud, github) = tokio::join!(
            LocalCloud::start(&toolchain, Options { log, auth: false }),
            Simulator::start(settings)
        );
        let cloud = cloud?;
        let github = github
            .map_err(|error| Error(format!("the GitHub simulator does not start: {error}")))?;
        let repository = add_repositories(&github, wanted)?;
        let account = cloud.account(ACCOUNT)?;
        let parameters = [
            ("ReleaseRepository", repository.clone()),
            ("GitHubApiUrl", github.api_url()),
            ("GitHubToken", token),
            ("WebhookSecret", secret.clone()),
            ("Speed", wanted.speed.to_string()),
            ("PrivateTransfers", "true".into()),
        ];
        let parameters: BTreeMap<String, String> = parameters
            .into_iter()
            .chain(local_cloud::waits(wanted.speed)?)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        println!(
            "deploying infra/template.yaml to the local cloud at {}",
            cloud.endpoint()
        );
        let stack = account
            .deploy(STACK, &toolchain, &built, &parameters)
            .await?;
        github.set_webhook(&stack.webhook_url, &secret);
        Ok(Self {
            github,
            account,
            stack,
            repository,
            cloud,
            built,
        })
    }

    /// Pushes the release's tag: GitHub sends its webhook. The execution's ARN.
    pub async fn send_tag(&self, version: &Version) -> Result<String, Error> {
        println!(
            "pushing the tag {version} to {}: GitHub sends its webhook",
            self.repository
        );
        self.github.create_tag(&self.repository, version.as_str());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            let body = json!({"stateMachineArn": self.stack.state_machine_arn});
            let answer = self
                .account
                .call(Service::States, "ListExecutions", body)
                .await?;
            if let Some(arn) = answer["executions"][0]["executionArn"].as_str() {
                return Ok(arn.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error("the webhook started no execution within 20 s".into()))
    }

    /// The items of a release whose sort key begins so.
    pub async fn items(&self, version: &Version, prefix: &str) -> Result<Vec<Value>, Error> {
        let release = format!("{}/{version}", self.repository);
        let table = &self.stack.table;
        self.account.items(table, &release, prefix).await
    }

    /// Writes what happened to a release, as text.
    pub async fn write_timeline(&self, version: &Version, path: &Path) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error(format!("{}: {error}", path.display()));
        let file = std::fs::File::create(path).map_err(failed)?;
        let key = format!("{}/{version}", self.repository);
        let key = ReleaseKey::new(&key).map_err(|error| Error(error.to_string()))?;
        let status = Command::new(self.built.join(timeline::PROGRAM))
            .args([self.stack.table.as_str(), key.as_str()])
            .kill_on_drop(true)
            .env_clear()
            .envs(self.aws())
            .stdout(file)
            .status()
            .await
            .map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(Error(format!("{}: there is no timeline", path.display())))
        }
    }

    /// What leads the AWS SDK and CLI to the local cloud.
    fn aws(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", self.cloud.endpoint()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", self.account.id()),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]
    }

    /// Where everything is, how to read what happened, and how to start another release.
    pub fn print_addresses(&self, version: &Version) {
        let aws = self.aws().map(|(name, value)| format!("{name}={value}"));
        let aws = aws.join(" ");
        println!("\nRunning until Ctrl-C:");
        println!("  AWS     {}", self.cloud.endpoint());
        println!("  GitHub  {}", self.github.api_url());
        println!("  webhook {}", self.stack.webhook_url);
        println!(
            "  {aws} cargo commons timeline {version} --repository {} --table {}",
            self.repository, self.stack.table
        );
        println!(
            "  cargo commons verify {version} --repository {} --api-url {}",
            self.repository,
            self.github.api_url()
        );
        println!(
            "  AWS_ACCESS_KEY_ID=000000000000 AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1 aws --endpoint-url {} stepfunctions start-execution --state-machine-arn {} --input '{{\"version\":\"v0.2.0\"}}'",
            self.cloud.endpoint(),
            self.stack.state_machine_arn
        );
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.cloud.stop();
        self.github.stop().await;
    }
}

struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn println_or_print(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            self.bar.println(text)
        } else {
            println!("{text}")
        }
    }
}

fn build_bar() -> Bar {
    let bar = ProgressBar::new(CRATES);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {msg} ({elapsed})")
    {
        bar.set_style(style);
    }
    let bar = Bar { bar };
    bar.println_or_print(
        "building the functions: about 4 minutes on 2 cores the first time, seconds after that",
    );
    bar
}

fn secret(purpose: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    Sha256::of(format!("{purpose}{now}{}", std::process::id()).as_bytes()).to_string()
}

fn secret_token() -> String {
    format!("simulated-{}", &secret("token")[..16])
}

/// The repositories of the manifest; the name of the release repository, which is
/// the one that the critical path ends with.
fn add_repositories(github: &Simulator, wanted: &Wanted) -> Result<String, Error> {
    let components = wanted.manifest.components();
    let repository_of = |component: &commons_domain::manifest::Component| {
        let name = component.repository(OWNER);
        name.map_err(|error| Error(error.to_string()))
    };
    let plan = wanted.manifest.plan();
    let last = plan
        .critical_path
        .last()
        .and_then(|last| components.get(last))
        .ok_or_else(|| Error("the manifest has no components".into()))?;
    let repository = repository_of(last)?.to_string();
    let simulated = fixture_repositories(&wanted.text, &repository);
    for added in simulated.map_err(|error| Error(error.to_string()))? {
        github.add_repository(added);
    }
    if let Some(component) = wanted.fail.as_ref().and_then(|fail| components.get(fail)) {
        let name = repository_of(component)?;
        let script = Script {
            queue_seconds: 5.0,
            run_seconds: 60.0,
            conclusions: vec!["failure".into()],
            ..Script::default()
        };
        github.script(name.as_str(), script);
    }
    Ok(repository)
}
