//! What tasks call: the stages' own `handle` functions, in this process, and DynamoDB.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use commons_runtime::{Stage, StageError};
use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::asl::Failure;
use crate::machine::StateMachine;
use crate::seats::Told;

/// The functions that the definition names, as `${PlanFunctionArn}`, and the crates that
/// are deployed under these names.
pub const FUNCTIONS: [&str; 6] = ["plan", "dispatch", "poll", "collect", "publish", "settle"];

/// Calls a function by its name, as Lambda does for Step Functions: the answer is the
/// function's, or what is seen of its death.
pub async fn call(
    machine: &Arc<StateMachine>,
    function: &str,
    payload: Value,
) -> Result<Value, Failure> {
    let (version, component) = about(&payload);
    let (seated, told) = machine.seats.sit(function, &version, &component);
    seated.seat().take_turn().await;
    let function = function.to_owned();
    let working = async move {
        let answer = run(seated.stage().clone(), &function, payload).await;
        drop(seated);
        answer
    };
    match until_told(tokio::spawn(working), told).await {
        Ok(answer) => answer,
        Err(Told::Died) => Err(Failure {
            error: "Runtime.ExitError".into(),
            cause: "the function was killed".into(),
        }),
        Err(Told::Missed) => Err(Failure {
            error: "Lambda.Unknown".into(),
            cause: "the function was not heard of any more".into(),
        }),
    }
}

/// Waits for a function's end, or for what is told of it before. Who has died does
/// nothing any more; who is missed goes on.
pub(crate) async fn until_told<T>(
    working: JoinHandle<T>,
    told: oneshot::Receiver<Told>,
) -> Result<T, Told> {
    let mut working = working;
    let told = tokio::select! {
        done = &mut working => {
            return Ok(done.expect("a function's panic is caught within"));
        }
        Ok(told) = told => told,
    };
    if told == Told::Died {
        working.abort();
        // An error: it was aborted. Else its last call was its end.
        let _ = working.await;
    }
    Err(told)
}

/// The version and the component that a call is about.
fn about(payload: &Value) -> (String, String) {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    let of_key = text("/release").and_then(|key| key.rsplit('/').next());
    // Plan's and Settle's; an event's input is text.
    let of_input = text("/input/version").map(str::to_owned);
    let of_event = text("/detail/input").and_then(|input| serde_json::from_str(input).ok());
    let of_event = of_event.and_then(|input: Value| Some(input["version"].as_str()?.to_owned()));
    let version = of_key.map(str::to_owned).or(of_input).or(of_event);
    let component = text("/component").unwrap_or_default().to_owned();
    (version.unwrap_or_default(), component)
}

async fn run(stage: Stage, function: &str, payload: Value) -> Result<Value, Failure> {
    match function {
        "plan" => invoke(commons_plan::call, stage, payload).await,
        "dispatch" => invoke(commons_dispatch::handle, stage, payload).await,
        "poll" => invoke(commons_poll::handle, stage, payload).await,
        "collect" => invoke(commons_collect::handle, stage, payload).await,
        "publish" => invoke(commons_publish::handle, stage, payload).await,
        "settle" => invoke(commons_settle::handle, stage, payload).await,
        other => Err(Failure {
            error: "Lambda.ResourceNotFoundException".into(),
            cause: format!("there is no function {other}"),
        }),
    }
}

/// As `commons_runtime::run` and Lambda do it.
async fn invoke<I, O, F, Fut>(handle: F, stage: Stage, payload: Value) -> Result<Value, Failure>
where
    I: DeserializeOwned,
    O: Serialize,
    F: FnOnce(Stage, I) -> Fut,
    Fut: Future<Output = Result<O, StageError>> + Send + 'static,
    O: Send + 'static,
{
    let failed = |error_type: &str, message: String| Failure {
        error: error_type.to_owned(),
        cause: json!({"errorType": error_type, "errorMessage": message}).to_string(),
    };
    let input = serde_json::from_value(payload)
        .map_err(|error| failed("serde_json::error::Error", error.to_string()))?;
    // A task of its own: a panic ends the function, not who calls it.
    match Killed(tokio::spawn(handle(stage, input))).await {
        Ok(Ok(output)) => serde_json::to_value(output)
            .map_err(|error| failed("serde_json::error::Error", error.to_string())),
        Ok(Err(error)) => {
            let diagnostic = Diagnostic::from(error);
            Err(failed(&diagnostic.error_type, diagnostic.error_message))
        }
        Err(error) => Err(failed("Runtime.ExitError", error.to_string())),
    }
}

/// A function, which dies with who waits for it.
struct Killed<T>(JoinHandle<T>);

impl<T> Future for Killed<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Killed<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// `UpdateItem` as the definition's Parameters have it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct UpdateItem {
    table_name: String,
    key: BTreeMap<String, Attribute>,
    update_expression: String,
    condition_expression: String,
    #[serde(default)]
    expression_attribute_names: HashMap<String, String>,
    expression_attribute_values: BTreeMap<String, Attribute>,
}

#[derive(Debug, Deserialize)]
enum Attribute {
    S(String),
    N(String),
}

fn attributes(given: BTreeMap<String, Attribute>) -> HashMap<String, AttributeValue> {
    let value = |attribute| match attribute {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(number) => AttributeValue::N(number),
    };
    given
        .into_iter()
        .map(|(name, given)| (name, value(given)))
        .collect()
}

/// Carries out `aws-sdk:dynamodb:updateItem`; its errors have the names that Step
/// Functions gives them.
pub async fn update_item(
    dynamo: &aws_sdk_dynamodb::Client,
    parameters: Value,
) -> Result<(), Failure> {
    let given: UpdateItem = serde_json::from_value(parameters)
        .map_err(|error| Failure::runtime(format!("UpdateItem: {error}")))?;
    let names = given.expression_attribute_names;
    let updated = dynamo
        .update_item()
        .table_name(given.table_name)
        .set_key(Some(attributes(given.key)))
        .update_expression(given.update_expression)
        .condition_expression(given.condition_expression)
        .set_expression_attribute_names((!names.is_empty()).then_some(names))
        .set_expression_attribute_values(Some(attributes(given.expression_attribute_values)))
        .send()
        .await;
    updated.map(drop).map_err(|error| Failure {
        error: format!("DynamoDb.{}", error.code().unwrap_or("SdkClientException")),
        cause: error.message().unwrap_or_default().to_owned(),
    })
}
