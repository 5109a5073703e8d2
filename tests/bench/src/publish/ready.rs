//! How soon a function is ready: from its exec until it asks the Lambda runtime API for
//! its first event.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::routing::{get, post};
use axum::{Json, Router};
use local_cloud::FUNCTIONS;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc::{self, Receiver};

use crate::figures::median;

/// Starts of each function.
const ROUNDS: usize = 15;
const EMPTY: &str = "empty";
/// Who is not ready by then has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Medians.
pub struct Ready {
    /// Seconds of the empty function.
    pub empty: f64,
    /// By function: seconds more than the empty one.
    pub beyond: Vec<(&'static str, f64)>,
}

/// Starts each function in turn, round by round, so that what disturbs one disturbs all.
pub async fn measure(folder: &Path) -> Result<Ready, String> {
    let (asked, mut asks) = mpsc::channel(1);
    let next = get(async move || {
        // Nothing is invoked: who is ready waits until it is ended.
        if asked.send(Instant::now()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    });
    // The door reads the secret that deliveries are signed with before it is ready.
    let secret = post(async || Json(json!({ "SecretString": "bench" })));
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", next)
        .route("/", secret);
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(|error| format!("no port is free: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let address = address.to_string();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for name in std::iter::once(EMPTY).chain(FUNCTIONS) {
            let took = start(&folder.join(name), &address, &mut asks).await?;
            seconds.entry(name).or_default().push(took);
        }
    }
    server.abort();
    let of = |name: &str| median(seconds.get(name).cloned().unwrap_or_default());
    let empty = of(EMPTY);
    let beyond = FUNCTIONS.map(|name| (name, of(name) - empty));
    Ok(Ready {
        empty,
        beyond: beyond.to_vec(),
    })
}

async fn start(binary: &Path, api: &str, asks: &mut Receiver<Instant>) -> Result<f64, String> {
    let began = Instant::now();
    let child = Command::new(binary)
        .env_clear()
        .envs(environment(api))
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = child.map_err(|error| format!("{}: {error}", binary.display()))?;
    let ready = tokio::time::timeout(PATIENCE, asks.recv()).await;
    let ready = ready.ok().flatten();
    let ended = child.kill().await;
    ended.map_err(|error| format!("{}: {error}", binary.display()))?;
    let ready = ready.ok_or_else(|| format!("{} was never ready", binary.display()))?;
    Ok(ready.duration_since(began).as_secs_f64())
}

/// What Lambda and the template give a function; of AWS it reaches what answers as Secrets
/// Manager.
fn environment(api: &str) -> BTreeMap<&'static str, String> {
    let aws = format!("http://{api}");
    BTreeMap::from(
        [
            ("AWS_LAMBDA_RUNTIME_API", api),
            ("AWS_ENDPOINT_URL", aws.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "bench"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
            ("TABLE", "bench"),
            ("BUCKET", "bench"),
            ("GITHUB_API_URL", "https://api.github.com"),
            ("GITHUB_TOKEN_SECRET", "bench"),
            ("WEBHOOK_SECRET", "bench"),
            ("RELEASE_REPOSITORY", "owner/name"),
            ("MANIFEST_PATH", "versions.toml"),
            ("STATE_MACHINE_ARN", "bench"),
            (
                "SIGNING_KEY",
                "arn:aws:kms:us-east-1:000000000000:key/bench",
            ),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    )
}
