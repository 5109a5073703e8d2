//! Step Functions' API, as far as it is called: AWS JSON 1.0 over HTTP, on loopback.
//! The names of errors are those of
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html>.

use std::sync::{Arc, Weak};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use commons_domain::clock::Clock as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::asl::Failure;
use crate::executions::{Answered, Execution, Status};
use crate::machine::StateMachine;

/// What the endpoint serves, once it is there.
pub(crate) type Served = Arc<std::sync::OnceLock<Weak<StateMachine>>>;

/// An error of the API: its name and a sentence.
struct Refused(&'static str, String);

type Answer = Result<Value, Refused>;

/// Answers one call.
pub(crate) async fn handle(
    State(served): State<Served>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.strip_prefix("AWSStepFunctions."));
    let machine = served.get().and_then(Weak::upgrade);
    let answer = match (operation, machine) {
        (Some(operation), Some(machine)) => call(&machine, operation, &body),
        _ => Err(Refused(
            "UnknownOperationException",
            "nothing is served".into(),
        )),
    };
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(Refused(name, message)) => {
            let body = Json(json!({"__type": name, "message": message}));
            (StatusCode::BAD_REQUEST, body).into_response()
        }
    }
}

fn call(machine: &Arc<StateMachine>, operation: &str, body: &str) -> Answer {
    match operation {
        "SendTaskSuccess" => send_task_success(machine, &read(body)?),
        "DescribeExecution" => describe(machine, &read(body)?),
        "StartExecution" => start(machine, read(body)?),
        "StopExecution" => stop(machine, read(body)?),
        "ListExecutions" => list(machine, &read(body)?),
        other => Err(Refused("UnknownOperationException", other.to_owned())),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Refused> {
    serde_json::from_str(body).map_err(|error| Refused("ValidationException", error.to_string()))
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SendTaskSuccess {
    task_token: String,
    output: String,
}

fn send_task_success(machine: &StateMachine, given: &SendTaskSuccess) -> Answer {
    let output = serde_json::from_str(&given.output)
        .map_err(|error| Refused("InvalidOutput", error.to_string()))?;
    match machine.executions.answer(&given.task_token, output) {
        Answered::Woken => Ok(json!({})),
        Answered::Late => Err(Refused("TaskTimedOut", "the task is over".into())),
        Answered::Unknown => Err(Refused("InvalidToken", "there is no such token".into())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DescribeExecution {
    execution_arn: String,
}

fn describe(machine: &StateMachine, given: &DescribeExecution) -> Answer {
    let execution = find(machine, &given.execution_arn)?;
    let progress = execution.progress();
    let mut answer = summary(machine, &execution);
    answer["input"] = execution.input.to_string().into();
    if let Some(failure) = progress.failure {
        answer["error"] = failure.error.into();
        answer["cause"] = failure.cause.into();
    }
    Ok(answer)
}

fn find(machine: &StateMachine, arn: &str) -> Result<Arc<Execution>, Refused> {
    let unknown = || Refused("ExecutionDoesNotExist", format!("there is no {arn}"));
    machine.executions.get(arn).ok_or_else(unknown)
}

fn summary(machine: &StateMachine, execution: &Execution) -> Value {
    let progress = execution.progress();
    let mut summary = json!({
        "executionArn": execution.arn,
        "stateMachineArn": machine.arn,
        "name": execution.name,
        "status": progress.status.as_str(),
        "startDate": seconds(execution.started),
    });
    if let Some(ended) = progress.ended {
        summary["stopDate"] = seconds(ended).into();
    }
    summary
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StartExecution {
    state_machine_arn: String,
    name: String,
    input: String,
}

fn start(machine: &Arc<StateMachine>, given: StartExecution) -> Answer {
    check(machine, &given.state_machine_arn)?;
    let input = serde_json::from_str(&given.input)
        .map_err(|error| Refused("InvalidExecutionInput", error.to_string()))?;
    let started = machine.start(&given.name, input);
    let started = started
        .map_err(|_| Refused("ExecutionAlreadyExists", format!("{} is there", given.name)))?;
    Ok(json!({"executionArn": started.arn, "startDate": seconds(started.started)}))
}

fn check(machine: &StateMachine, arn: &str) -> Result<(), Refused> {
    if machine.arn == arn {
        return Ok(());
    }
    Err(Refused(
        "StateMachineDoesNotExist",
        format!("there is no {arn}"),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StopExecution {
    execution_arn: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    cause: String,
}

fn stop(machine: &Arc<StateMachine>, given: StopExecution) -> Answer {
    let execution = find(machine, &given.execution_arn)?;
    let failure = Failure {
        error: given.error,
        cause: given.cause,
    };
    machine.end(&execution, Status::Aborted, Some(failure));
    Ok(json!({"stopDate": seconds(machine.clock.now())}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ListExecutions {
    state_machine_arn: String,
    status_filter: String,
    /// All are on the first page.
    #[serde(rename = "maxResults")]
    _most: u64,
}

fn list(machine: &StateMachine, given: &ListExecutions) -> Answer {
    check(machine, &given.state_machine_arn)?;
    let mut found = machine.executions.list();
    found.retain(|e| !e.child && e.status().as_str() == given.status_filter);
    found.sort_by_key(|execution| std::cmp::Reverse(execution.started));
    let found: Vec<Value> = found.iter().map(|e| summary(machine, e)).collect();
    Ok(json!({ "executions": found }))
}
