//! The clients of a stage, made once per environment.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use commons_artifacts::Store as Objects;
use commons_domain::clock::Clock;
use commons_domain::names::RepoName;
use commons_github::{Error, GitHub, Reading, Source, Work};
use commons_store::Store;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{Config, Signer, StageError, SystemClock};

/// What a stage works with. Cheap to clone.
#[derive(Clone)]
pub struct Stage {
    /// What the environment says.
    pub config: Config,
    /// GitHub's REST API.
    pub github: GitHub,
    /// The `build_runs` table.
    pub store: Store,
    /// The bucket.
    pub objects: Objects,
    /// Step Functions.
    pub states: aws_sdk_sfn::Client,
    /// The key that signs releases, where they are signed.
    pub signer: Option<Signer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What lives as long as the environment: the clients, and with GitHub's the tokens that
/// were minted.
pub(crate) struct Environment {
    stage: Stage,
}

/// What authorises calls to GitHub, in Secrets Manager.
struct Stored {
    aws: aws_config::SdkConfig,
    id: String,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl Source for Stored {
    fn read(&self) -> Reading<'_> {
        Box::pin(async {
            let read = secret(&self.aws, &self.id).await;
            read.map_err(|error| match error {
                StageError::Refused(why) => Error::Secret(why),
                cannot_see => Error::SecretNotRead(cannot_see.to_string()),
            })
        })
    }
}

impl Environment {
    /// From the variables.
    pub(crate) async fn read(work: Work) -> Result<Self, StageError> {
        let config = Config::from_env().map_err(|error| StageError::Internal(error.to_string()))?;
        let aws = aws().await;
        let source = Stored {
            aws: aws.clone(),
            id: config.github_token_secret.clone(),
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let internal = |error: String| StageError::Internal(error);
        let api_url = &config.github_api_url;
        let settings = commons_github::Settings::new(
            api_url,
            source,
            work,
            config.speed,
            Arc::clone(&clock),
            config.private_transfers,
        )
        .map_err(|error| internal(error.to_string()))?;
        let github = GitHub::new(settings).map_err(|error| internal(error.to_string()))?;
        let stage = Stage {
            store: store(&aws, &config, Arc::clone(&clock)),
            objects: Objects::new(s3(&aws), &config.bucket),
            github,
            states: aws_sdk_sfn::Client::new(&aws),
            signer: config
                .signing_key
                .as_deref()
                .map(|key| Signer::new(aws_sdk_kms::Client::new(&aws), key)),
            clock,
            config,
        };
        Ok(Self { stage })
    }

    /// What one call works with. What authorises calls to GitHub is read anew: while a
    /// release waits for its runs, it may expire and be replaced.
    pub(crate) async fn stage(&self) -> Result<Stage, StageError> {
        match self.stage.github.renew().await {
            Err(Error::SecretNotRead(why)) => Err(StageError::Unavailable(why)),
            // What is no good is told by the first call: a release is settled without any.
            Ok(()) | Err(_) => Ok(self.stage.clone()),
        }
    }
}

impl Stage {
    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The same stage for calls about these repositories, whose tokens are minted together.
    pub fn touching(&self, repositories: impl IntoIterator<Item = RepoName>) -> Self {
        Self {
            github: self.github.touching(repositories),
            ..self.clone()
        }
    }

    /// How long it is until then; nothing where that has passed.
    pub fn until(&self, then: Timestamp) -> Duration {
        Duration::try_from(then.duration_since(self.now())).unwrap_or_default()
    }

    /// The same in whole seconds, at least one: what a Wait state takes.
    pub fn seconds_until(&self, then: Timestamp) -> u64 {
        (self.until(then).as_secs_f64().ceil() as u64).max(1)
    }
}

/// The table of this configuration.
pub fn store(aws: &aws_config::SdkConfig, config: &Config, clock: Arc<dyn Clock>) -> Store {
    let dynamo = aws_sdk_dynamodb::Client::new(aws);
    let states = aws_sdk_sfn::Client::new(aws);
    Store::new(dynamo, states, &config.table, clock)
}

/// The environment's AWS configuration, over rustls with ring.
pub async fn aws() -> aws_config::SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await
}

/// S3 with the bucket in the path where the endpoint is another than AWS's.
fn s3(aws: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let local = aws.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(aws)
            .force_path_style(local)
            .build(),
    )
}

/// What AWS calls an error, as `AccessDeniedException`.
pub fn aws_code(error: &impl ProvideErrorMetadata) -> &str {
    error.code().unwrap_or("no answer")
}

/// The text of a secret.
pub async fn secret(aws: &aws_config::SdkConfig, id: &str) -> Result<SecretString, StageError> {
    secret_version(aws, id, "AWSCURRENT")
        .await?
        .ok_or_else(|| StageError::Refused(format!("secret {id} has no value")))
}

/// The text of a secret's version, by its staging label; none where no version has it.
pub async fn secret_version(
    aws: &aws_config::SdkConfig,
    id: &str,
    label: &str,
) -> Result<Option<SecretString>, StageError> {
    let answer = aws_sdk_secretsmanager::Client::new(aws)
        .get_secret_value()
        .secret_id(id)
        .version_stage(label)
        .send()
        .await;
    match answer {
        Ok(answer) => answer
            .secret_string()
            .map(|text| Some(SecretString::from(text.trim().to_owned())))
            .ok_or_else(|| StageError::Refused(format!("secret {id} holds no text"))),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => {
            let why = format!("secret {id} cannot be read: {}", aws_code(&error));
            Err(StageError::Unavailable(why))
        }
    }
}
