//! Puts a deployment together, and moves its time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use commons_domain::clock::Clock;
use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::times::Speed;
use commons_github::Source;
use commons_runtime::{Config, Signer, Stage, Work};
use commons_webhook::{Door, SigningSecrets};
use github_simulator::{Repository, Settings, Simulator};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::asl::{Definition, RELEASE};
use crate::clock::VirtualClock;
use crate::cloud::{self, Cloud};
use crate::executions::{Execution, Status};
use crate::functions::FUNCTIONS;
use crate::gate::Gate;
use crate::history::Figures;
use crate::machine::{NameTaken, StateMachine};
use crate::seats::{Seat, SeatClock, SeatToken, Seats};
use crate::table::TABLE;
use crate::weather::Weather;
use crate::{TOKEN, WEBHOOK_SECRET, door, endpoint, sweeper};

/// When every driver's time begins.
pub(crate) const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// Longer than any work takes between two jumps, in real time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is released, and how.
#[derive(Debug)]
pub struct Options {
    /// GitHub.
    pub repositories: Vec<Repository>,
    /// Where the manifest is, and the release goes.
    pub release_repository: RepoName,
    /// Whether GitHub sends webhooks.
    pub webhooks: bool,
    /// Whether the sweeper comes, as the template's schedule has it: time then never ends.
    pub sweeps: bool,
    /// What goes wrong.
    pub weather: Arc<dyn Weather>,
    /// Whether the simulator keeps all that is said.
    pub record: bool,
    /// Whether releases are signed.
    pub signs: bool,
}

/// A deployment in this process, by a virtual clock.
pub struct Driver {
    /// GitHub.
    pub github: Arc<Simulator>,
    /// Step Functions, and what the stages work with.
    pub machine: Arc<StateMachine>,
    cloud: Cloud,
    servers: Vec<JoinHandle<()>>,
}

/// Why no driver could be started.
#[derive(Debug, thiserror::Error)]
#[error("no driver: {0}")]
pub struct NotStarted(String);

/// Why time does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Stuck {
    /// Nothing is due, and something has not ended.
    #[error("nothing can happen any more:\n{0}")]
    Deadlock(Whereabouts),
    /// Something runs, in real time, and does not end.
    #[error("what runs does not end:\n{0}")]
    Hanging(Whereabouts),
}

/// Where every execution that runs is parked.
#[derive(Debug)]
pub struct Whereabouts(Vec<String>);

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

fn not_started(error: impl fmt::Display) -> NotStarted {
    NotStarted(error.to_string())
}

impl Driver {
    /// Starts everything; no release yet.
    pub async fn start(options: Options) -> Result<Self, NotStarted> {
        let clock = VirtualClock::new(BEGINNING);
        let cloud = Cloud::new(WEBHOOK_SECRET).await.map_err(not_started)?;
        let seats = Seats::new(clock.clone(), options.weather);
        let settings = Settings {
            token: TOKEN.to_owned(),
            weather: Some(Arc::clone(&seats) as Arc<dyn github_simulator::Weather>),
            record: options.record,
            speed: 1.0,
            clock: Arc::new(clock.clone()),
            ..Settings::default()
        };
        let github = Arc::new(Simulator::start(settings).await.map_err(not_started)?);
        for repository in options.repositories {
            github.add_repository(repository);
        }
        let variable = |name: &str| match name {
            "TABLE" => Some(TABLE.to_owned()),
            "BUCKET" => Some(cloud.bucket.clone()),
            "GITHUB_API_URL" => Some(github.api_url()),
            "GITHUB_TOKEN_SECRET" => Some("unused".to_owned()),
            "RELEASE_REPOSITORY" => Some(options.release_repository.to_string()),
            "MANIFEST_PATH" => Some("versions.toml".to_owned()),
            "STATE_MACHINE_ARN" => Some(cloud.state_machine()),
            "PRIVATE_TRANSFERS" => Some("true".to_owned()),
            "SIGNING_KEY" => options.signs.then(|| cloud.signing_key.clone()),
            // The others have the template's defaults.
            _ => None,
        };
        let config = Config::from(variable).map_err(not_started)?;
        let definition = definition(&cloud, &config)?;

        let served = endpoint::Served::default();
        let router = Router::new()
            .fallback(endpoint::handle)
            .with_state(Arc::clone(&served));
        let (states_url, states_server) = serve(router).await?;
        let clients = Clients {
            cloud: cloud.clients(),
            states_url,
            config,
        };
        let token = SecretString::from(TOKEN.to_owned());
        let stage = clients.stage(&cloud.aws, token, Arc::new(clock.clone()))?;

        let secrets = SigningSecrets::read(cloud.aws.clone(), cloud::SIGNING_SECRET.to_owned());
        let door = Door {
            config: stage.config.clone(),
            store: stage.store.clone(),
            states: stage.states.clone(),
            secrets: Arc::new(secrets.await.map_err(not_started)?),
        };
        let behind = door::Behind {
            door,
            seats: Arc::clone(&seats),
        };
        let router = Router::new().fallback(any(door::handle)).with_state(behind);
        let (door_url, door_server) = serve(router).await?;
        if options.webhooks {
            github.set_webhook(&format!("{door_url}/webhook"), WEBHOOK_SECRET);
        }
        let aws = cloud.aws.clone();
        let behind = aws.http_client().ok_or_else(|| not_started("no client"))?;
        let furnish = Box::new(move |seat: &Arc<Seat>| {
            let gate = Gate::new(behind.clone(), seat);
            let aws = aws.to_builder().http_client(gate).build();
            let clock = Arc::new(SeatClock(Arc::clone(seat)));
            let stage = clients.stage(&aws, SeatToken(Arc::clone(seat)), clock);
            stage.expect("clients like those that were made before")
        });
        seats.furnish(&github, furnish);

        let machine = Arc::new(StateMachine {
            arn: stage.config.state_machine_arn.clone(),
            definition,
            clock,
            dynamo: cloud.clients().dynamo(&cloud.aws),
            stage,
            seats,
            executions: <_>::default(),
            events: <_>::default(),
        });
        served
            .set(Arc::downgrade(&machine))
            .map_err(|_| not_started("the endpoint serves already"))?;
        if options.sweeps {
            sweeper::begin(&machine).map_err(not_started)?;
        }
        Ok(Self {
            github,
            machine,
            cloud,
            servers: vec![states_server, door_server],
        })
    }

    /// Starts the release of a version by hand.
    ///
    /// # Panics
    /// If it was started before.
    pub fn release(&self, version: &str) -> Arc<Execution> {
        let started = self.machine.start(version, json!({ "version": version }));
        started.expect("a version that is started once")
    }

    /// Starts an execution of this name, by hand.
    pub fn start_again(
        &self,
        name: &str,
        input: serde_json::Value,
    ) -> Result<Arc<Execution>, NameTaken> {
        self.machine.start(name, input)
    }

    /// Stops an execution, as a person does in the console.
    pub async fn stop(&self, execution: &Execution, cause: &str) {
        let stop = self.machine.stage.states.stop_execution();
        let stopped = stop.execution_arn(&execution.arn).cause(cause).send().await;
        stopped.expect("a stopped execution");
    }

    /// Runs until every execution has ended, and what follows from that is done.
    pub async fn run(&self) -> Result<(), Stuck> {
        self.run_until(|driver| {
            let executions = driver.machine.executions.list();
            let running = executions.iter().any(|e| e.status() == Status::Running);
            !running && !driver.machine.events.are_pending()
        })
        .await
    }

    /// Runs until something is so in a moment in which nothing runs.
    pub async fn run_until(&self, is_so: impl Fn(&Self) -> bool) -> Result<(), Stuck> {
        let clock = &self.machine.clock;
        loop {
            let quiet = tokio::time::timeout(PATIENCE, clock.quiet()).await;
            quiet.map_err(|_| Stuck::Hanging(self.whereabouts()))?;
            if is_so(self) {
                return Ok(());
            }
            if !clock.jump() {
                return Err(Stuck::Deadlock(self.whereabouts()));
            }
        }
    }

    fn whereabouts(&self) -> Whereabouts {
        let executions = self.machine.executions.list();
        let parked = executions
            .iter()
            .filter_map(|execution| execution.whereabouts());
        Whereabouts(parked.collect())
    }

    /// S3, where nothing goes wrong.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        cloud::s3(&self.cloud.aws)
    }

    /// The public half of the key that signs releases, as KMS answers it.
    pub async fn public_key(&self) -> Result<Vec<u8>, String> {
        self.cloud.public_key().await
    }

    /// How long it has been since the beginning.
    pub fn elapsed(&self) -> Duration {
        let elapsed = self.machine.clock.now().duration_since(BEGINNING);
        Duration::try_from(elapsed).unwrap_or_default()
    }

    /// The key of a release.
    pub fn key(&self, version: &str) -> ReleaseKey {
        let repository = &self.machine.stage.config.release_repository;
        ReleaseKey::new(&format!("{repository}/{version}")).expect("a version")
    }

    /// What all executions so far amount to.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for execution in self.machine.executions.list() {
            figures.add(&execution.progress().history, execution.child);
        }
        figures
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
        self.machine.clock.end();
    }
}

/// The definition, with what the template substitutes by its parameters' defaults.
fn definition(cloud: &Cloud, config: &Config) -> Result<Definition, NotStarted> {
    let mut given: BTreeMap<String, String> = local_cloud::defaults()
        .map_err(not_started)?
        .into_iter()
        .map(|(name, seconds)| (name, seconds.to_string()))
        .collect();
    for function in FUNCTIONS {
        let (first, rest) = function.split_at(1);
        let name = format!("{}{rest}FunctionArn", first.to_uppercase());
        given.insert(name, cloud.function(function));
    }
    given.insert("BuildRunsTable".to_owned(), config.table.clone());
    given.insert("ArtifactsBucket".to_owned(), config.bucket.clone());
    Definition::read(RELEASE, &given).map_err(not_started)
}

/// Serves on a free loopback port; its address.
async fn serve(router: Router) -> Result<(String, JoinHandle<()>), NotStarted> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(not_started)?;
    let address = listener.local_addr().map_err(not_started)?;
    let serving = axum::serve(listener, router).into_future();
    let server = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "a server of the driver ended");
        }
    });
    Ok((format!("http://{address}"), server))
}

/// Simulated seconds per second of the waits between a client's own tries, which go by the
/// machine's clock.
const CLIENTS_SPEED: Speed = Speed(1000.0);

/// What clients are made of.
struct Clients {
    cloud: cloud::Clients,
    states_url: String,
    config: Config,
}

impl Clients {
    /// The clients, as the functions make them from their environment.
    fn stage(
        &self,
        aws: &aws_config::SdkConfig,
        source: impl Source + 'static,
        clock: Arc<dyn Clock>,
    ) -> Result<Stage, NotStarted> {
        let states = aws_sdk_sfn::config::Builder::from(aws).endpoint_url(&self.states_url);
        let states = aws_sdk_sfn::Client::from_conf(states.build());
        let dynamo = self.cloud.dynamo(aws);
        let config = self.config.clone();
        let settings = commons_github::Settings::new(
            &config.github_api_url,
            source,
            Work::Plan,
            CLIENTS_SPEED,
            Arc::clone(&clock),
            config.private_transfers,
        );
        let settings = settings.map_err(not_started)?;
        let table = &config.table;
        Ok(Stage {
            github: commons_github::GitHub::new(settings).map_err(not_started)?,
            store: commons_store::Store::new(dynamo, states.clone(), table, Arc::clone(&clock)),
            objects: commons_artifacts::Store::new(cloud::s3(aws), &config.bucket),
            signer: config
                .signing_key
                .as_deref()
                .map(|key| Signer::new(aws_sdk_kms::Client::new(aws), key)),
            states,
            clock,
            config,
        })
    }
}
