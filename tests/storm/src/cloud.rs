//! What the releases stand on: S3, KMS and Secrets Manager of the local cloud, one for the
//! process, with an account of its own for each driver, and a DynamoDB of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use local_cloud::{LocalCloud, Options, Service};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::table::{NoTable, Table};

/// The id of the secret that signs webhooks.
pub(crate) const SIGNING_SECRET: &str = "webhook";
const REGION: &str = "us-east-1";

static CLOUD: OnceCell<LocalCloud> = OnceCell::const_new();
static ACCOUNTS: AtomicU64 = AtomicU64::new(200_000_000_001);

/// An account with a bucket and the signing secret, and a table.
pub(crate) struct Cloud {
    table: Table,
    /// Its 12 digits.
    pub(crate) id: String,
    /// Its configuration.
    pub(crate) aws: aws_config::SdkConfig,
    /// The bucket.
    pub(crate) bucket: String,
    /// What signs releases.
    pub(crate) signing_key: String,
}

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCloud {
    /// The local cloud.
    #[error(transparent)]
    Local(#[from] local_cloud::Error),
    /// The table.
    #[error(transparent)]
    Table(#[from] NoTable),
    /// The bucket.
    #[error("the bucket: {0}")]
    Bucket(String),
    /// The key that signs releases.
    #[error("the signing key: {0}")]
    Key(String),
}

impl Cloud {
    /// Makes an account of its own.
    pub(crate) async fn new(webhook_secret: &str) -> Result<Self, NoCloud> {
        let cloud = CLOUD.get_or_try_init(start).await?;
        let id = ACCOUNTS.fetch_add(1, Ordering::Relaxed).to_string();
        let account = cloud.account(&id)?;
        let secret = json!({"Name": SIGNING_SECRET, "SecretString": webhook_secret});
        account
            .call(Service::Secrets, "CreateSecret", secret)
            .await?;
        let aws = configuration(cloud.endpoint(), &id);
        let bucket = format!("artifacts-{id}");
        let made = s3(&aws).create_bucket().bucket(&bucket).send().await;
        made.map_err(|error| NoCloud::Bucket(error.to_string()))?;
        Ok(Self {
            table: Table::start()?,
            signing_key: signing_key(&aws).await.map_err(NoCloud::Key)?,
            id,
            aws,
            bucket,
        })
    }

    /// The public half of what signs releases.
    pub(crate) async fn public_key(&self) -> Result<Vec<u8>, String> {
        let kms = aws_sdk_kms::Client::new(&self.aws);
        let answer = kms.get_public_key().key_id(&self.signing_key).send().await;
        let key = answer.map_err(|error| error.to_string())?.public_key;
        key.map(Blob::into_inner)
            .ok_or_else(|| "the signing key has no public half".into())
    }

    /// What makes clients of the table.
    pub(crate) fn clients(&self) -> Clients {
        Clients {
            table_url: self.table.url.clone(),
        }
    }

    /// The ARN of a Lambda function.
    pub(crate) fn function(&self, name: &str) -> String {
        format!("arn:aws:lambda:{REGION}:{}:function:{name}", self.id)
    }

    /// The ARN of the state machine.
    pub(crate) fn state_machine(&self) -> String {
        format!(
            "arn:aws:states:{REGION}:{}:stateMachine:commons-release",
            self.id
        )
    }
}

/// Makes the key that signs releases, as the template has it; its ARN.
async fn signing_key(aws: &aws_config::SdkConfig) -> Result<String, String> {
    let made = aws_sdk_kms::Client::new(aws)
        .create_key()
        .key_spec(KeySpec::EccNistP256)
        .key_usage(KeyUsageType::SignVerify)
        .send()
        .await;
    let made = made.map_err(|error| error.to_string())?.key_metadata;
    made.and_then(|key| key.arn)
        .ok_or_else(|| "it has no ARN".into())
}

async fn start() -> Result<LocalCloud, local_cloud::Error> {
    let toolchain = local_cloud::ensure_venv(&|_| {}).await?;
    let log = toolchain
        .target
        .join(format!("local-cloud/storm-{}.log", std::process::id()));
    LocalCloud::start(&toolchain, Options { log, auth: false }).await
}

/// Makes clients of the table.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    table_url: String,
}

impl Clients {
    /// DynamoDB, with this configuration but for the address.
    pub(crate) fn dynamo(&self, aws: &aws_config::SdkConfig) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::config::Builder::from(aws);
        aws_sdk_dynamodb::Client::from_conf(config.endpoint_url(&self.table_url).build())
    }
}

/// AWS as an account sees it.
fn configuration(endpoint: &str, account: &str) -> aws_config::SdkConfig {
    let owner = Credentials::new(account, "local", None, None, "the driver");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(REGION))
        .endpoint_url(endpoint)
        // It goes by the machine's clock.
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        .credentials_provider(SharedCredentialsProvider::new(owner))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// S3 with the bucket in the path.
pub(crate) fn s3(aws: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let path_style = aws_sdk_s3::config::Builder::from(aws).force_path_style(true);
    aws_sdk_s3::Client::from_conf(path_style.build())
}
