//! `timeline TABLE OWNER/NAME/VERSION`: prints what happened to a release. The `commons`
//! command builds it when it is asked for, as it builds the functions, so that it needs no
//! AWS SDK itself, which takes minutes to compile.

use std::process::ExitCode;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::ProvideCredentials as _;
use commons_domain::names::ReleaseKey;
use commons_domain::timeline;
use commons_runtime::SystemClock;
use commons_store::{Store, StoreError};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match &arguments[..] {
        [table, release] => tell(table, release).await,
        _ => Err("usage: timeline TABLE OWNER/NAME/VERSION".into()),
    };
    match told {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// The timeline, or the sentence that says why there is none.
async fn tell(table: &str, release: &str) -> Result<String, String> {
    let key = ReleaseKey::new(release).map_err(|error| error.to_string())?;
    let aws = commons_runtime::aws().await;
    let region = may_ask(&aws).await?;
    let store = Store::new(
        aws_sdk_dynamodb::Client::new(&aws),
        aws_sdk_sfn::Client::new(&aws),
        table,
        Arc::new(SystemClock),
    );
    let events = store.events(&key).await.map_err(|error| match error {
        StoreError::Unavailable { code, .. } if code == "ResourceNotFoundException" => {
            format!("there is no table {table} in {region}: the stack's output Table names it")
        }
        error => error.to_string(),
    })?;
    if events.is_empty() {
        return Err(format!("the table {table} has no release {key}"));
    }
    Ok(timeline::render(&events))
}

/// What is missing, with its fix: the SDK names none.
const NO_REGION: &str = "there is no AWS region: set AWS_REGION, or run `aws configure`";
const NO_CREDENTIALS: &str = "there are no AWS credentials: run `aws configure`, or, where they \
    are not in a file, `eval \"$(aws configure export-credentials --format env)\"`";

/// The region, if there are credentials too.
async fn may_ask(aws: &SdkConfig) -> Result<String, &'static str> {
    let region = aws.region().ok_or(NO_REGION)?;
    let provider = aws.credentials_provider().ok_or(NO_CREDENTIALS)?;
    let found = provider.provide_credentials().await;
    found.map_err(|_| NO_CREDENTIALS)?;
    Ok(region.to_string())
}
