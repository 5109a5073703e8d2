//! AWS as the door sees it, without a network: every call is written down and has an
//! answer that depends on nothing but the call. There are no conditions and no errors:
//! what the door makes of those, the scenarios on the local cloud know.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_sfn::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// The signing secret's value.
pub(crate) const CURRENT: &str = "It's a Secret to Everybody";
/// The one before it, which still signs.
pub(crate) const PREVIOUS: &str = "It was a Secret to Everybody";

/// A call: its operation and its input.
pub(crate) type Call = (String, Value);

/// All calls so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aws(Arc<Mutex<Vec<Call>>>);

impl Aws {
    /// The configuration of clients whose calls come here.
    pub(crate) fn config(&self) -> SdkConfig {
        let owner = Credentials::new("100000000000", "none", None, None, "the fuzzer");
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(owner))
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }

    /// The calls since this was asked last.
    pub(crate) fn take(&self) -> Vec<Call> {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut calls)
    }
}

impl HttpConnector for Aws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request.body().bytes().unwrap_or_default();
        let input = serde_json::from_slice(body).expect("AWS's JSON");
        let answer = SdkBody::from(answer(&operation, &input).to_string());
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push((operation, input));
        let ok = StatusCode::try_from(200).expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(ok, answer)))
    }
}

fn answer(operation: &str, input: &Value) -> Value {
    match operation {
        "GetSecretValue" if input["VersionStage"] == "AWSPREVIOUS" => {
            json!({"SecretString": PREVIOUS})
        }
        "GetSecretValue" => json!({"SecretString": CURRENT}),
        "GetItem" => match item(input["Key"]["pk"]["S"].as_str().unwrap_or_default()) {
            Some(item) => json!({"Item": item}),
            None => json!({}),
        },
        "UpdateItem" => json!({"Attributes": {"wait_token": {"S": "a token"}}}),
        "StartExecution" => json!({"executionArn": "arn:aws:states:::execution", "startDate": 1}),
        _ => json!({}),
    }
}

/// What the table has: claims of the runs with even numbers, the locks of all repositories
/// of one owner, and by their first digit releases that are published or failed.
fn item(key: &str) -> Option<Value> {
    let build = json!({
        "release": {"S": "BTCDecoded/bllvm/v0.1.0"},
        "component": {"S": "bllvm-sdk"},
        "nonce": {"S": "bc-0123456789abcdef"},
        "post_deadline": {"S": "2026-01-01T00:00:00Z"},
    });
    if let Some(run) = key.strip_prefix("run#") {
        return run.ends_with(['0', '2', '4', '6', '8']).then_some(build);
    }
    if let Some(repository) = key.strip_prefix("lock#") {
        return repository.starts_with("btcdecoded/").then_some(build);
    }
    let status = match key.rsplit_once('/')?.1.get(..2)? {
        "v1" => "published",
        "v2" => "failed",
        _ => return None,
    };
    Some(json!({
        "key": {"S": key},
        "status": {"S": status},
        "generation": {"N": "1"},
        "prerelease": {"BOOL": false},
        "created_at": {"S": "2026-01-01T00:00:00Z"},
        "started_at": {"S": "2026-01-01T00:00:00Z"},
    }))
}
