//! The door: GitHub's webhooks. The signature is checked over the raw body before
//! anything is parsed; a tag or a published release in the release repository starts
//! a release, a `workflow_run` or a `build-complete` wakes the build that it belongs
//! to, everything else is ignored.
//!
//! Running it twice is safe: a redelivery starts the execution of the same name,
//! which exists already, and a wake-up is only a hint.

mod events;
mod secrets;
mod start;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use commons_runtime::{Config, StageError, SystemClock};
use commons_store::Store;

pub use events::Outcome;
pub use secrets::SigningSecrets;

/// A larger body would not reach a function through an HTTP API: 6 MB, base64.
const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// Where GitHub sends its deliveries.
const PATH: &str = "/webhook";

/// The door's clients and secrets: no token for GitHub, since the internet reaches it.
#[derive(Clone)]
pub struct Door {
    /// What the environment says.
    pub config: Config,
    /// The `build_runs` table.
    pub store: Store,
    /// Step Functions.
    pub states: aws_sdk_sfn::Client,
    /// Any of these may have signed.
    pub secrets: Arc<SigningSecrets>,
}

impl Door {
    /// From the environment; `WEBHOOK_SECRET` is the id of the secret.
    pub async fn from_env() -> Result<Self, StageError> {
        let config = Config::from_env().map_err(|error| StageError::Internal(error.to_string()))?;
        let id = std::env::var("WEBHOOK_SECRET")
            .map_err(|_| StageError::Internal("the environment lacks WEBHOOK_SECRET".into()))?;
        let aws = commons_runtime::aws().await;
        Ok(Self {
            store: commons_runtime::store(&aws, &config, Arc::new(SystemClock)),
            states: aws_sdk_sfn::Client::new(&aws),
            secrets: Arc::new(SigningSecrets::read(aws, id).await?),
            config,
        })
    }
}

/// Answers one delivery.
pub async fn handle(door: &Door, request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
    let http = &request.request_context.http;
    if http
        .path
        .as_deref()
        .is_none_or(|path| !path.ends_with(PATH))
    {
        return answer(404, "there is nothing here");
    }
    if http.method != "POST" {
        return answer(405, "deliveries are POSTs");
    }
    let header = |name: &str| {
        let value = request.headers.get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let text = request.body.clone().unwrap_or_default();
    let body = if request.is_base64_encoded {
        match base64::engine::general_purpose::STANDARD.decode(&text) {
            Ok(body) => body,
            Err(_) => return answer(400, "the body is not base64"),
        }
    } else {
        text.into_bytes()
    };
    if body.len() > LARGEST_BODY {
        return answer(413, "the body is too large");
    }
    let signature = header("x-hub-signature-256");
    if door
        .secrets
        .verify(&body, signature.as_deref())
        .await
        .is_err()
    {
        return answer(401, "the signature is missing or wrong");
    }
    let (Some(event), Some(delivery)) = (header("x-github-event"), header("x-github-delivery"))
    else {
        return answer(400, "X-GitHub-Event or X-GitHub-Delivery is missing");
    };
    let Ok(payload) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return answer(400, "the body is not JSON");
    };
    match events::handle(door, &event, &delivery, &payload).await {
        Ok(outcome) => {
            tracing::info!(event, delivery, outcome = outcome.sentence, "answered");
            answer(outcome.status, &outcome.sentence)
        }
        Err(error) => {
            tracing::error!(error_type = error.name(), %error, event, delivery, "the delivery was not handled");
            answer(503, "try again later")
        }
    }
}

fn answer(status: i64, sentence: &str) -> ApiGatewayV2httpResponse {
    let mut response = ApiGatewayV2httpResponse::default();
    response.status_code = status;
    response.body = Some(Body::Text(
        serde_json::json!({"message": sentence}).to_string(),
    ));
    response
}
