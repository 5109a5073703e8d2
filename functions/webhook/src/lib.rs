//! The door: GitHub's webhooks. The signature is checked over the raw body before
//! anything is parsed; a tag in the release repository starts a release, a
//! `workflow_run` wakes the build that it belongs to, everything else is ignored.
//!
//! Running it twice is safe: a redelivery starts the execution of the same name,
//! which exists already, and a wake-up is only a hint.

mod events;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use commons_github::webhook::verify;
use commons_runtime::{Config, StageError};
use commons_store::Store;
use secrecy::SecretString;

/// What GitHub delivers at most through an HTTP API.
const LARGEST_BODY: usize = 6 * 1024 * 1024;

/// The door's clients and secrets. Whoever comes through it finds no token for
/// GitHub: it calls nobody there.
#[derive(Clone)]
pub struct Door {
    /// What the environment says.
    pub config: Config,
    /// The `build_runs` table.
    pub store: Store,
    /// Step Functions.
    pub states: aws_sdk_sfn::Client,
    /// Any of these may have signed.
    pub secrets: Vec<SecretString>,
}

impl Door {
    /// From the environment; `WEBHOOK_SECRET` is the id of the secret.
    pub async fn from_env() -> Result<Self, StageError> {
        let id = std::env::var("WEBHOOK_SECRET")
            .map_err(|_| StageError::Internal("the environment lacks WEBHOOK_SECRET".into()))?;
        let config = Config::from_env().map_err(|error| StageError::Internal(error.to_string()))?;
        let aws = commons_runtime::aws().await;
        Ok(Self {
            secrets: vec![commons_runtime::secret(&aws, &id).await?],
            store: commons_runtime::store(&aws, &config),
            states: aws_sdk_sfn::Client::new(&aws),
            config,
        })
    }
}

/// Answers one delivery.
pub async fn handle(door: &Door, request: ApiGatewayV2httpRequest) -> ApiGatewayV2httpResponse {
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
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
    if verify(
        &door.secrets,
        &body,
        header("x-hub-signature-256").as_deref(),
    )
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
        Ok(events::Outcome { status, sentence }) => answer(status, &sentence),
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
