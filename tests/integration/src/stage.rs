//! A world for one stage: it runs in the test's own process, on real clients of
//! an account of the shared local cloud and of a GitHub simulator. The template is
//! deployed once; each account gets a table like the deployed one, and a bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use commons_domain::budget::Limits;
use commons_domain::build::{Build, BuildStatus};
use commons_domain::clock::Clock;
use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::release::Release;
use commons_domain::signature::PublicKey;
use commons_domain::times::Speed;
use commons_github::{GitHub, Source};
use commons_runtime::{Config, Signer, Stage, StageError, SystemClock, Work};
use github_simulator::{Fault, FaultKind, Repository, RunView, Script, Settings, Simulator};
use local_cloud::{Account, LocalCloud, STACK, Service, Stack};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{MANIFEST, RELEASE_REPOSITORY, SPEED, Shared, fixture};

/// The account that the template is deployed in.
pub(crate) const DEPLOYED: &str = "100000000000";
/// What these worlds release.
const VERSION: &str = "v0.1.0";

static CLOUD: OnceCell<Cloud> = OnceCell::const_new();
static ACCOUNTS: AtomicU64 = AtomicU64::new(100_000_000_001);

/// A cloud that the template is deployed into once.
pub(crate) struct Cloud {
    cloud: LocalCloud,
    /// What the template deploys.
    pub(crate) stack: Stack,
    /// The deployed table, as CreateTable wants it.
    table: Value,
}

/// One test's world.
pub struct StageWorld {
    /// GitHub.
    pub github: Simulator,
    /// What a stage works with.
    pub stage: Stage,
    /// The account that the stage works in.
    pub account: Account,
    /// The account's configuration, for clients that the stage has not.
    pub aws: aws_config::SdkConfig,
}

impl StageWorld {
    /// With the six components.
    pub async fn start() -> StageWorld {
        Self::with(fixture(MANIFEST)).await
    }

    /// With the six components and another manifest.
    pub async fn with_manifest(manifest: &str) -> StageWorld {
        Self::with(fixture(manifest)).await
    }

    /// With workflows without the nonce in their `run-name`: the token's login is all that
    /// tells who started a run.
    pub async fn without_nonces() -> StageWorld {
        let mut repositories = fixture(MANIFEST);
        for workflow in repositories.iter_mut().flat_map(|r| &mut r.workflows) {
            workflow.run_name = false;
        }
        Self::with(repositories).await
    }

    /// With these repositories.
    pub async fn with(repositories: Vec<Repository>) -> StageWorld {
        Self::by(Arc::new(SystemClock), repositories).await
    }

    /// With these repositories, where the stages go by this clock.
    pub async fn by(clock: Arc<dyn Clock>, repositories: Vec<Repository>) -> StageWorld {
        let cloud = CLOUD.get_or_init(|| Cloud::start(false)).await;
        Self::within(cloud, clock, repositories).await
    }

    /// In an account of this cloud.
    pub(crate) async fn within(
        cloud: &Cloud,
        clock: Arc<dyn Clock>,
        repositories: Vec<Repository>,
    ) -> StageWorld {
        let Cloud {
            cloud,
            stack,
            table,
        } = cloud;
        let settings = Settings {
            speed: SPEED,
            record: true,
            ..Settings::default()
        };
        let github = Simulator::start(settings).await.expect("the simulator");
        for repository in repositories {
            github.add_repository(repository);
        }
        let id = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        let account = cloud.account(&id).expect("an account");
        let created = account.call(Service::DynamoDb, "CreateTable", table.clone());
        created.await.expect("a table");
        let aws = configuration(cloud.endpoint(), owner(&id));
        let bucket = bucket_of(&id);
        let created = s3(&aws).create_bucket().bucket(&bucket).send().await;
        created.expect("a bucket");
        let config = Config {
            table: stack.table.clone(),
            bucket,
            github_api_url: github.api_url(),
            github_token_secret: "unused".into(),
            release_repository: RepoName::new(RELEASE_REPOSITORY).expect("a repository"),
            manifest_path: "versions.toml".into(),
            notes_template: ".github/release-notes.md".into(),
            state_machine_arn: stack.state_machine_arn.clone(),
            speed: Speed(SPEED),
            private_transfers: true,
            signing_key: None,
            tag_components: false,
            write_limits: Limits::new(80, 500, 1, Speed(SPEED)),
        };
        let stage = stage(&aws, config, clock);
        StageWorld {
            github,
            stage,
            account,
            aws,
        }
    }

    /// Signs its releases, with a key of its own account.
    pub async fn signed(mut self) -> StageWorld {
        let kms = aws_sdk_kms::Client::new(&self.aws);
        let created = kms
            .create_key()
            .key_spec(KeySpec::EccNistP256)
            .key_usage(KeyUsageType::SignVerify)
            .send()
            .await;
        let created = created.expect("a key").key_metadata.expect("the key");
        self.sign_with(&created.arn.expect("its ARN"));
        self
    }

    /// Signs its releases with this key, be it there or not.
    pub fn sign_with(&mut self, arn: &str) {
        let kms = aws_sdk_kms::Client::new(&self.aws);
        self.stage.signer = Some(Signer::new(kms, arn));
        self.stage.config.signing_key = Some(arn.to_owned());
    }

    /// What authorises calls from now on.
    pub fn authorise(&mut self, source: impl Source + 'static) {
        let Stage { config, clock, .. } = &self.stage;
        self.stage.github = client(config, source, clock);
    }

    /// As a stage's function works.
    fn stage_of(&self, work: Work) -> Stage {
        Stage {
            github: self.stage.github.working_as(work),
            ..self.stage.clone()
        }
    }

    /// The public half of the key that its releases are signed with.
    pub async fn public_key(&self) -> PublicKey {
        let signer = self.stage.signer.as_ref().expect("a world that signs");
        signer.public_key().await.expect("its public key")
    }

    /// GitHub, asked as a deployment does that allows public addresses only.
    pub fn public_only(&mut self) {
        let settings = commons_github::Settings::new(
            &self.stage.config.github_api_url,
            SecretString::from(Settings::default().token),
            Work::Collect,
            self.stage.config.speed,
            self.stage.clock.clone(),
            false,
        );
        self.stage.github =
            GitHub::new(settings.expect("the simulator's address")).expect("a client");
    }

    /// The release's key.
    pub fn key(&self) -> ReleaseKey {
        ReleaseKey::new(&format!("{RELEASE_REPOSITORY}/{VERSION}")).expect("a release")
    }

    /// Plans the release for an execution.
    pub async fn plan_as(&self, execution: &str) -> Result<commons_plan::Output, StageError> {
        self.plan_with(execution, json!({ "version": VERSION }))
            .await
    }

    /// Plans with any input.
    pub async fn plan_with(
        &self,
        execution: &str,
        input: Value,
    ) -> Result<commons_plan::Output, StageError> {
        let input = commons_plan::Input {
            execution: execution.to_owned(),
            input,
        };
        commons_plan::handle(self.stage_of(Work::Plan), input).await
    }

    /// Plans for an execution that is none of Step Functions', and each time another one;
    /// the generation.
    pub async fn planned(&self) -> u64 {
        let stored = self.stage.store.release(&self.key()).await;
        let name = match stored.expect("a read") {
            None => "planned".to_owned(),
            Some(release) => format!("planned-{}", release.generation + 1),
        };
        let output = self.plan_as(&self.execution(&name)).await;
        output.expect("a plan").generation
    }

    /// The ARN of an execution that Step Functions does not know.
    pub fn execution(&self, name: &str) -> String {
        let arn = &self.stage.config.state_machine_arn;
        format!("{}:{name}", arn.replace(":stateMachine:", ":execution:"))
    }

    /// The release item.
    pub async fn release(&self) -> Release {
        let release = self.stage.store.release(&self.key()).await;
        release.expect("the table").expect("the release")
    }

    /// A build.
    pub async fn build(&self, component: &str) -> Build {
        let build = self.stage.store.build(&self.key(), component).await;
        build.expect("the table").expect("the build")
    }

    /// Changes a build behind the stages' back, through the store.
    pub async fn alter(&self, component: &str, change: impl FnOnce(&mut Build)) -> Build {
        let before = self.build(component).await;
        let mut after = before.clone();
        change(&mut after);
        let changed = self.stage.store.change_build(&before, &after, "the test");
        changed.await.expect("a changed build");
        after
    }

    /// Makes builds green without a run.
    pub async fn green(&self, components: &[&str]) {
        for component in components {
            self.alter(component, |b| b.status = BuildStatus::Success)
                .await;
        }
    }

    /// The events of the release, oldest first.
    pub async fn events(&self) -> Vec<Value> {
        crate::items(&self.account, &self.stage.config.table, VERSION, "event#").await
    }

    /// The reasons of the events about a component, or the release, oldest first.
    pub async fn told(&self, what: &str) -> Vec<String> {
        let events = self.stage.store.events(&self.key()).await;
        let events = events.expect("events").into_iter();
        let about = events.filter(|event| event.what == what);
        about.map(|event| event.reason).collect()
    }

    /// How many events about a component, or the release, say so.
    pub async fn times_told(&self, what: &str, words: &str) -> usize {
        let told = self.told(what).await;
        told.iter().filter(|reason| reason.contains(words)).count()
    }

    /// Dispatches a build once.
    pub async fn dispatch(&self, component: &str) -> Result<commons_dispatch::Output, StageError> {
        let generation = self.release().await.generation;
        self.dispatch_as(component, generation).await
    }

    /// Dispatches a build once, as a generation.
    pub async fn dispatch_as(
        &self,
        component: &str,
        generation: u64,
    ) -> Result<commons_dispatch::Output, StageError> {
        let input = commons_dispatch::Input {
            release: self.key(),
            component: component.to_owned(),
            generation,
            child: None,
        };
        commons_dispatch::handle(self.stage_of(Work::Dispatch), input).await
    }

    /// Looks at a build's run once.
    pub async fn poll(&self, component: &str) -> Result<commons_poll::Output, StageError> {
        let input = commons_poll::Input {
            release: self.key(),
            component: component.to_owned(),
            generation: self.release().await.generation,
        };
        commons_poll::handle(self.stage_of(Work::Poll), input).await
    }

    /// Collects a green build once.
    pub async fn collect(&self, component: &str) -> Result<commons_collect::Output, StageError> {
        let input = commons_collect::Input {
            release: self.key(),
            component: component.to_owned(),
            generation: self.release().await.generation,
        };
        commons_collect::handle(self.stage_of(Work::Collect), input).await
    }

    /// Publishes once.
    pub async fn publish(&self) -> Result<commons_publish::Output, StageError> {
        let input = commons_publish::Input {
            release: self.key(),
            generation: self.release().await.generation,
        };
        commons_publish::handle(self.stage_of(Work::Publish), input).await
    }

    /// Settles, with the input that the state machine or EventBridge would give.
    pub async fn settle(&self, input: Value) -> Result<commons_settle::Output, StageError> {
        let input = serde_json::from_value(input).expect("an input of Settle");
        commons_settle::handle(self.stage_of(Work::Settle), input).await
    }

    /// Dispatches a build whose dependencies are green, and polls until it is green.
    pub async fn built(&self, component: &str) {
        let busy = |answer: &commons_dispatch::Output| answer.next == commons_dispatch::Next::Busy;
        let dispatched = while_told_so(busy, || self.dispatch(component)).await;
        let next = dispatched.expect("a dispatch").next;
        let told = self.told(component).await;
        assert_eq!(next, commons_dispatch::Next::AwaitRun, "{told:?}");
        self.polled(component, commons_poll::Next::Green).await;
    }

    /// Polls until the answer is `next`.
    pub async fn polled(&self, component: &str, next: commons_poll::Next) {
        let began = Instant::now();
        loop {
            let answer = self.poll(component).await.expect("a look");
            if answer.next == next {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{component} is not {next:?} but {:?}: {:?}",
                answer.next,
                self.build(component).await
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sets what runs of a component do from now on.
    pub fn script(&self, component: &str, change: impl FnOnce(&mut Script)) {
        let name = format!("BTCDecoded/{component}");
        let mut script = fixture(MANIFEST)
            .into_iter()
            .find(|repository| repository.name == name)
            .expect("a component of the fixture")
            .script;
        (script.queue_seconds, script.run_seconds) = (0.0, 0.0);
        change(&mut script);
        self.github.script(&name, script);
    }

    /// Makes the runs of every component end at once.
    pub fn quick_runs(&self) {
        for repository in fixture(MANIFEST) {
            if let Some((_, component)) = repository.name.split_once('/') {
                self.script(component, |_| {});
            }
        }
    }

    /// The runs of a component.
    pub fn runs(&self, component: &str) -> Vec<RunView> {
        self.github.runs(&format!("BTCDecoded/{component}"))
    }

    /// Something that goes wrong at GitHub, once.
    pub fn fault(&self, method: &str, route: &str, kind: FaultKind) {
        self.faults(method, route, kind, 1);
    }

    /// Something that goes wrong at GitHub, several times.
    pub fn faults(&self, method: &str, route: &str, kind: FaultKind, times: u32) {
        self.github.fault(Fault {
            method: method.to_owned(),
            route: route.to_owned(),
            repo: None,
            times,
            kind,
        });
    }

    /// S3 of the world's account.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        s3(&self.aws)
    }

    /// The bytes of an object in the bucket.
    pub async fn object(&self, key: &str) -> Vec<u8> {
        let bytes = self.stage.objects.get_bytes(key).await;
        bytes.expect("an object of this key")
    }

    /// Makes a state machine of the deployed one's name that only waits; its ARN.
    pub async fn waiting_machine(&self) -> String {
        let deployed = &self.stage.config.state_machine_arn;
        let name = deployed.rsplit(':').next().unwrap_or_default();
        let definition = json!({
            "StartAt": "Wait",
            "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": true}},
        });
        let body = json!({
            "name": name,
            "definition": definition.to_string(),
            "roleArn": format!("arn:aws:iam::{}:role/none", self.account.id()),
        });
        let answer = self.states("CreateStateMachine", body).await;
        answer["stateMachineArn"].as_str().expect("its ARN").into()
    }

    /// Starts an execution; its ARN.
    pub async fn execute(&self, machine: &str) -> String {
        let input = json!({ "version": VERSION }).to_string();
        let body = json!({"stateMachineArn": machine, "input": input});
        let answer = self.states("StartExecution", body).await;
        answer["executionArn"].as_str().expect("its ARN").into()
    }

    /// Stops an execution.
    pub async fn abort(&self, execution: &str) {
        let body = json!({"executionArn": execution, "cause": "a person stopped it"});
        self.states("StopExecution", body).await;
    }

    async fn states(&self, action: &str, body: Value) -> Value {
        let answer = self.account.call(Service::States, action, body).await;
        answer.expect("an answer of Step Functions")
    }
}

impl Drop for StageWorld {
    /// Every test's calls are held against GitHub's description.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::oracle::check(&self.github);
        }
    }
}

/// Calls again for up to 20 seconds while the answer is to call again, as the state
/// machine does: a machine that is busy with tests may stand still for longer than a
/// stage allows itself.
pub async fn while_told_so<Output, Call>(
    again: impl Fn(&Output) -> bool,
    call: impl Fn() -> Call,
) -> Result<Output, StageError>
where
    Call: Future<Output = Result<Output, StageError>>,
{
    let began = Instant::now();
    loop {
        let answer = call().await?;
        if !again(&answer) || began.elapsed() > Duration::from_secs(20) {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A repository of the first organisation.
pub fn repository(component: &str) -> RepoName {
    RepoName::new(&format!("BTCDecoded/{component}")).expect("a repository")
}

impl Cloud {
    /// Starts it; with `auth` whoever asks is held to what its policy allows.
    pub(crate) async fn start(auth: bool) -> Cloud {
        let shared = Shared::get().await;
        let (cloud, _) = shared.cloud(auth).await;
        let account = cloud.account(DEPLOYED).expect("an account");
        let nobody = "http://127.0.0.1:9".to_owned();
        let stack = shared
            .deploy(STACK, &account, nobody, "unused", "unused")
            .await;
        let body = json!({"TableName": stack.table});
        let answer = account
            .call(Service::DynamoDb, "DescribeTable", body)
            .await
            .expect("the deployed table");
        let table = json!({
            "TableName": stack.table,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": answer["Table"]["KeySchema"],
            "AttributeDefinitions": answer["Table"]["AttributeDefinitions"],
        });
        Cloud {
            cloud,
            stack,
            table,
        }
    }

    /// An account of this cloud.
    pub(crate) fn account(&self, id: &str) -> Account {
        self.cloud.account(id).expect("an account")
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.cloud.endpoint()
    }
}

/// AWS as these credentials see it.
pub(crate) fn configuration(endpoint: &str, credentials: Credentials) -> aws_config::SdkConfig {
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// The credentials of an account's owner.
pub(crate) fn owner(account: &str) -> Credentials {
    Credentials::new(account, "local", None, None, "the test")
}

/// The bucket of a world; all accounts share one namespace of buckets.
pub(crate) fn bucket_of(account: &str) -> String {
    format!("artifacts-{account}")
}

pub(crate) fn s3(aws: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let path_style = aws_sdk_s3::config::Builder::from(aws).force_path_style(true);
    aws_sdk_s3::Client::from_conf(path_style.build())
}

/// GitHub's client, as the functions make it from their environment.
fn client(config: &Config, source: impl Source + 'static, clock: &Arc<dyn Clock>) -> GitHub {
    let settings = commons_github::Settings::new(
        &config.github_api_url,
        source,
        Work::Plan,
        config.speed,
        Arc::clone(clock),
        config.private_transfers,
    );
    GitHub::new(settings.expect("the simulator's address")).expect("a client")
}

/// The clients, as the functions make them from their environment.
pub(crate) fn stage(aws: &aws_config::SdkConfig, config: Config, clock: Arc<dyn Clock>) -> Stage {
    let states = aws_sdk_sfn::Client::new(aws);
    let dynamo = aws_sdk_dynamodb::Client::new(aws);
    let token = SecretString::from(Settings::default().token);
    Stage {
        github: client(&config, token, &clock),
        store: commons_store::Store::new(dynamo, states.clone(), &config.table, Arc::clone(&clock)),
        objects: commons_artifacts::Store::new(s3(aws), &config.bucket),
        signer: config
            .signing_key
            .as_deref()
            .map(|key| Signer::new(aws_sdk_kms::Client::new(aws), key)),
        states,
        clock,
        config,
    }
}
