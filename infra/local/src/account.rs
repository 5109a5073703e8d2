//! One account of the local cloud: the stack in it, and AWS's JSON protocols
//! without an SDK, which would take minutes to compile.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::cloud::http_client;
use crate::group::Group;
use crate::{Error, Toolchain};

/// A service with a JSON protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// Step Functions.
    States,
    /// Secrets Manager.
    Secrets,
    /// EventBridge.
    Events,
    /// CloudWatch Logs.
    Logs,
}

impl Service {
    fn target(self) -> (&'static str, &'static str) {
        match self {
            Self::DynamoDb => ("DynamoDB_20120810", "dynamodb"),
            Self::States => ("AWSStepFunctions", "states"),
            Self::Secrets => ("secretsmanager", "secretsmanager"),
            Self::Events => ("AWSEvents", "events"),
            Self::Logs => ("Logs_20140328", "logs"),
        }
    }
}

/// An account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Account {
    endpoint: String,
    id: String,
    http: reqwest::Client,
}

/// What was deployed.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Where GitHub sends its webhooks.
    pub webhook_url: String,
    /// The release state machine.
    pub state_machine_arn: String,
    /// `build_runs`.
    pub table: String,
    /// Artifacts and asset lists.
    pub bucket: String,
}

/// What an execution and its children did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transitions {
    /// State transitions as AWS bills them: states entered, and each retry of a task.
    pub count: u64,
    /// The largest input or output of a state.
    pub max_payload_bytes: u64,
}

impl Account {
    pub(crate) fn new(endpoint: &str, id: &str) -> Result<Self, Error> {
        Ok(Self {
            endpoint: endpoint.to_owned(),
            id: id.to_owned(),
            http: http_client()?,
        })
    }

    /// Deploys the template into this account, under a name.
    pub async fn deploy(
        &self,
        stack: &str,
        toolchain: &Toolchain,
        functions: &Path,
        parameters: &BTreeMap<String, String>,
    ) -> Result<Stack, Error> {
        let mut command = Command::new(&toolchain.python);
        command
            .arg(toolchain.root.join("infra/local/deploy.py"))
            .args(["--endpoint", &self.endpoint, "--account", &self.id])
            .args(["--stack", stack])
            .arg("--bin")
            .arg(functions)
            .arg("--zips")
            .arg(toolchain.target.join("local-cloud/zips"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", toolchain.target.join("local-cloud"))
            .env("TMPDIR", toolchain.target.join("local-cloud/tmp"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        for (name, value) in parameters {
            command.arg("--parameter").arg(format!("{name}={value}"));
        }
        let failed = |error| Error::of("the deployment", error);
        let deployment = Group::spawn(&mut command).map_err(failed)?;
        let output = deployment.output().await.map_err(failed)?;
        if !output.status.success() {
            return Err(Error(format!(
                "the stack was not deployed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            )));
        }
        let outputs: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::of("the stack's outputs", error))?;
        let of = |name: &str| {
            outputs
                .get(name)
                .cloned()
                .ok_or_else(|| Error(format!("the stack has no output {name}")))
        };
        Ok(Stack {
            webhook_url: format!(
                "{}/_aws/execute-api/{}/$default/webhook",
                self.endpoint,
                of("ApiId")?
            ),
            state_machine_arn: of("StateMachineArn")?,
            table: of("Table")?,
            bucket: of("Bucket")?,
        })
    }

    /// One call, as `StartExecution` of [`Service::States`].
    pub async fn call(&self, service: Service, action: &str, body: Value) -> Result<Value, Error> {
        let (target, scope) = service.target();
        let answer = self
            .http
            .post(&self.endpoint)
            .header("X-Amz-Target", format!("{target}.{action}"))
            .header("Content-Type", "application/x-amz-json-1.0")
            .header("Authorization", self.authorization(scope))
            .body(body.to_string())
            .send()
            .await;
        let text = text_of(action, answer).await?;
        serde_json::from_str(&text).map_err(|error| Error::of(action, error))
    }

    /// The items of a table with this partition key whose sort key begins so.
    pub async fn items(
        &self,
        table: &str,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<Value>, Error> {
        let mut query = json!({
            "TableName": table,
            "ConsistentRead": true,
            "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":sk": {"S": prefix}},
        });
        let mut items = Vec::new();
        loop {
            let mut page = self.call(Service::DynamoDb, "Query", query.clone()).await?;
            if let Value::Array(found) = page["Items"].take() {
                items.extend(found);
            }
            match page["LastEvaluatedKey"].take() {
                Value::Null => return Ok(items),
                last => query["ExclusiveStartKey"] = last,
            }
        }
    }

    /// One call of IAM, as `CreateUser`; its answer is XML.
    pub async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String, Error> {
        self.query("iam", "2010-05-08", action, parameters).await
    }

    /// One call of CloudFormation, as `DeleteStack`; its answer is XML.
    pub async fn cloudformation(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, Error> {
        self.query("cloudformation", "2010-05-15", action, parameters)
            .await
    }

    async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, Error> {
        let answer = self
            .http
            .post(&self.endpoint)
            .query(&[("Action", action), ("Version", version)])
            .query(parameters)
            .header("Authorization", self.authorization(service))
            .send()
            .await;
        text_of(action, answer).await
    }

    /// The local cloud reads the account from here and checks no signature.
    fn authorization(&self, scope: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/{scope}/aws4_request, SignedHeaders=host, Signature=0",
            self.id
        )
    }

    /// Its 12 digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts what an execution and the children of its Maps did, from their
    /// histories.
    pub async fn transitions(&self, execution: &str) -> Result<Transitions, Error> {
        let mut total = self.history(execution).await?;
        let runs = self
            .call(
                Service::States,
                "ListMapRuns",
                json!({"executionArn": execution}),
            )
            .await?;
        for run in runs["mapRuns"].as_array().into_iter().flatten() {
            let body = json!({"mapRunArn": run["mapRunArn"], "maxResults": 1000});
            let children = self.call(Service::States, "ListExecutions", body).await?;
            for child in children["executions"].as_array().into_iter().flatten() {
                let more = self
                    .history(child["executionArn"].as_str().unwrap_or_default())
                    .await?;
                total.count += more.count;
                total.max_payload_bytes = total.max_payload_bytes.max(more.max_payload_bytes);
            }
        }
        Ok(total)
    }

    async fn history(&self, execution: &str) -> Result<Transitions, Error> {
        let mut total = Transitions::default();
        let mut token = Value::Null;
        loop {
            let mut body = json!({"executionArn": execution, "maxResults": 1000});
            if !token.is_null() {
                body["nextToken"] = token;
            }
            let page = self
                .call(Service::States, "GetExecutionHistory", body)
                .await?;
            for event in page["events"].as_array().into_iter().flatten() {
                match event["type"].as_str().unwrap_or_default() {
                    // A task is scheduled once when it is entered, and once per retry.
                    "TaskStateEntered" => {}
                    "TaskScheduled" => total.count += 1,
                    kind if kind.ends_with("StateEntered") => total.count += 1,
                    _ => {}
                }
                for (details, field) in [
                    ("stateEnteredEventDetails", "input"),
                    ("stateExitedEventDetails", "output"),
                ] {
                    let length = event[details][field].as_str().map_or(0, str::len) as u64;
                    total.max_payload_bytes = total.max_payload_bytes.max(length);
                }
            }
            token = page["nextToken"].clone();
            if token.is_null() {
                return Ok(total);
            }
        }
    }
}

async fn text_of(
    action: &str,
    answer: Result<reqwest::Response, reqwest::Error>,
) -> Result<String, Error> {
    let answer = answer.map_err(|error| Error::of(action, error))?;
    let status = answer.status();
    let text = answer
        .text()
        .await
        .map_err(|error| Error::of(action, error))?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(Error(format!("{action} failed: {text}")))
    }
}
