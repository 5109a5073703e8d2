//! What every stage needs around its story: configuration from the environment,
//! clients, tracing, and errors under the names that the state machine knows.

mod claim;
mod clients;
mod clock;
mod config;
mod ends;
mod error;
mod late;
mod notes;
mod sight;
mod signer;

pub use claim::{FindError, candidate, claim_of, claim_run, find_run, own_claim, seen};
use clients::Environment;
pub use clients::{Stage, aws, aws_code, secret, secret_version, store};
pub use clock::SystemClock;
pub use commons_github::Work;
pub use config::{Config, MissingVariables, web_address};
pub use ends::{after_attempt, block_dependents, end_build};
pub use error::StageError;
pub use late::{cancel_late, cancel_orphan};
pub use notes::notes_template;
pub use sight::{ago, blind, in_sight, wait_out_of_sight};
pub use signer::Signer;

use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON lines on standard output, as CloudWatch Logs reads them; `RUST_LOG` filters.
pub fn init_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_current_span(true)
        .init();
}

/// Runs a stage as a Lambda function: `handle` for each invocation, with the
/// clients made once and what authorises calls to GitHub read each time. A failure is logged
/// here, once.
pub async fn run<I, O, F, Fut>(work: Work, handle: F) -> Result<(), lambda_runtime::Error>
where
    I: DeserializeOwned,
    O: Serialize,
    F: Fn(Stage, I) -> Fut,
    Fut: Future<Output = Result<O, StageError>>,
{
    init_tracing();
    let environment = Environment::read(work).await?;
    lambda_runtime::run(service_fn(async |event: LambdaEvent<I>| {
        let answer = match environment.stage().await {
            Ok(stage) => handle(stage, event.payload).await,
            Err(error) => Err(error),
        };
        answer.inspect_err(
            |error| tracing::error!(error_type = error.name(), %error, "the stage failed"),
        )
    }))
    .await
}
