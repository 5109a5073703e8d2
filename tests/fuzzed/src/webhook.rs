//! The door for GitHub's webhooks.

use std::cell::OnceCell;
use std::sync::Arc;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use aws_lambda_events::encodings::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use commons_domain::names::RepoName;
use commons_domain::request::Request;
use commons_runtime::{Config, SystemClock};
use commons_webhook::{Door, SigningSecrets, handle};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use tokio::runtime::Runtime;

use crate::aws::{Aws, CURRENT, Call, PREVIOUS};

const REPOSITORY: &str = "BTCDecoded/bllvm";

thread_local! {
    static DOOR: OnceCell<(Runtime, Aws, Door)> = const { OnceCell::new() };
}

/// One delivery, written as HTTP is, each line ending in `\n`:
///
/// ```text
/// POST /webhook
/// x-github-event: release
/// x-github-delivery: 1
/// x-hub-signature-256: current
///
/// {"action": "published"}
/// ```
///
/// The signatures `current` and `previous` stand for those that these secrets give; any
/// other is taken as it is. A body whose request line ends in ` base64` is said to be that.
///
/// What is not signed is turned away with nothing done. What is signed starts a release or
/// wakes a build only where it says so.
pub fn webhook(data: &[u8]) {
    let Some(delivery) = Delivery::read(data) else {
        return;
    };
    let Ok(request) = serde_json::from_value::<ApiGatewayV2httpRequest>(delivery.request()) else {
        // The function's runtime refuses it.
        return;
    };
    let (answer, calls) = DOOR.with(|door| {
        let (runtime, aws, door) = door.get_or_init(door_of_a_thread);
        let answer = runtime.block_on(handle(door, request));
        (answer, aws.take())
    });
    let Some(Body::Text(text)) = answer.body else {
        panic!("no text in the answer");
    };
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
    let calls: Vec<Call> = calls
        .into_iter()
        .filter(|(name, _)| name != "GetSecretValue")
        .collect();
    let status = answer.status_code;
    if !delivery.is_genuine() {
        assert!(calls.is_empty(), "unsigned: {calls:?}");
        assert!(
            matches!(status, 400 | 401 | 404 | 405 | 413),
            "unsigned: {status}"
        );
        return;
    }
    assert!(matches!(status, 200 | 202 | 400), "signed: {status} {text}");
    if status != 202 {
        assert!(calls.is_empty(), "{status}: {calls:?}");
    }
    if status != 400 {
        let payload = serde_json::from_slice(&delivery.body).expect("a payload");
        delivery.said(&payload, &calls);
    }
}

/// GitHub's: the simulator has the same, and a web server that the fuzzer would compile.
fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("keys have any length");
    let sum = mac.chain_update(body).finalize().into_bytes();
    format!("sha256={}", hex::encode(sum))
}

fn door_of_a_thread() -> (Runtime, Aws, Door) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let aws = Aws::default();
    let sdk = aws.config();
    let config = Config::from(|name| match name {
        "RELEASE_REPOSITORY" => Some(REPOSITORY.to_owned()),
        "TABLE"
        | "BUCKET"
        | "GITHUB_API_URL"
        | "GITHUB_TOKEN_SECRET"
        | "MANIFEST_PATH"
        | "STATE_MACHINE_ARN" => Some("x".to_owned()),
        _ => None,
    });
    let config = config.expect("a configuration");
    let secrets = runtime.block_on(SigningSecrets::read(sdk.clone(), "signing".to_owned()));
    let door = Door {
        store: commons_runtime::store(&sdk, &config, Arc::new(SystemClock)),
        states: aws_sdk_sfn::Client::new(&sdk),
        secrets: Arc::new(secrets.expect("the secrets")),
        config,
    };
    (runtime, aws, door)
}

struct Delivery {
    method: String,
    path: String,
    headers: Map<String, Value>,
    /// As API Gateway hands it over.
    text: String,
    is_base64: bool,
    /// What GitHub sent.
    body: Vec<u8>,
}

impl Delivery {
    fn read(data: &[u8]) -> Option<Self> {
        let end = data.windows(2).position(|pair| pair == b"\n\n")?;
        let head = std::str::from_utf8(&data[..end]).ok()?;
        let sent = &data[end + 2..];
        let mut lines = head.lines();
        let (method, path) = lines.next()?.split_once(' ')?;
        let (path, claimed) = match path.strip_suffix(" base64") {
            Some(path) => (path, true),
            None => (path, false),
        };
        // Bytes that are no text come as base64.
        let (text, is_base64, body) = match std::str::from_utf8(sent) {
            Ok(text) if claimed => {
                let body = STANDARD.decode(text).unwrap_or_else(|_| sent.to_vec());
                (text.to_owned(), true, body)
            }
            Ok(text) => (text.to_owned(), false, sent.to_vec()),
            Err(_) => (STANDARD.encode(sent), true, sent.to_vec()),
        };
        let mut headers = Map::new();
        for line in lines {
            let (name, value) = line.split_once(": ")?;
            let value = match (name, value) {
                ("x-hub-signature-256", "current") => signature(CURRENT, &body),
                ("x-hub-signature-256", "previous") => signature(PREVIOUS, &body),
                (_, value) => value.to_owned(),
            };
            headers.insert(name.to_ascii_lowercase(), value.into());
        }
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            text,
            is_base64,
            body,
        })
    }

    /// Of payload format 2.0.
    fn request(&self) -> Value {
        json!({
            "version": "2.0",
            "rawPath": self.path,
            "headers": self.headers,
            "requestContext": {"http": {"method": self.method, "path": self.path}},
            "body": self.text,
            "isBase64Encoded": self.is_base64,
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// It came to the door whole, and one of the secrets signed it.
    fn is_genuine(&self) -> bool {
        let whole = !self.is_base64 || STANDARD.decode(&self.text).is_ok();
        let signed = self.header("x-hub-signature-256");
        let by = |secret: &str| {
            let right = signature(secret, &self.body);
            // The digits may be in either case, what is before them may not.
            signed.starts_with("sha256=") && signed.eq_ignore_ascii_case(&right)
        };
        let door = self.method == "POST" && self.path.ends_with("/webhook");
        door && whole && (by(CURRENT) || by(PREVIOUS))
    }

    /// What was done is what the delivery says.
    fn said(&self, payload: &Value, calls: &[Call]) {
        let event = self.header("x-github-event");
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
        for (operation, input) in calls {
            match operation.as_str() {
                "GetItem" => {}
                "StartExecution" => {
                    let tag = match event {
                        "create" if text("/ref_type") == Some("tag") => text("/ref"),
                        "release" if text("/action") == Some("published") => {
                            text("/release/tag_name")
                        }
                        _ => panic!("{event} started a release"),
                    };
                    let repository = text("/repository/full_name").unwrap_or_default();
                    assert!(repository.eq_ignore_ascii_case(REPOSITORY), "{repository}");
                    starts(input, tag);
                }
                "UpdateItem" | "SendTaskSuccess" => {
                    let complete =
                        event == "repository_dispatch" && text("/action") == Some("build-complete");
                    assert!(complete || event == "workflow_run", "{event} woke a build");
                    let repository = text("/repository/full_name").unwrap_or_default();
                    assert!(RepoName::new(repository).is_ok(), "{repository:?}");
                }
                other => panic!("{event} does {other}"),
            }
        }
        let starts = calls
            .iter()
            .filter(|(operation, _)| operation == "StartExecution");
        assert!(starts.count() <= 1);
    }
}

/// An execution that Plan understands, under a name that Step Functions takes.
fn starts(input: &Value, tag: Option<&str>) {
    let name = input["name"].as_str().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    assert!(
        (1..=80).contains(&name.len()) && name.chars().all(allowed),
        "{name:?}"
    );
    let said = serde_json::from_str(input["input"].as_str().unwrap_or_default());
    let request = Request::parse(&said.expect("JSON")).expect("a request");
    assert_eq!(Some(request.version.as_str()), tag);
    assert!(!request.stop_at_draft && request.only.is_empty() && request.adopt.is_empty());
}
