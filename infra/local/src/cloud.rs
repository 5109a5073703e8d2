//! The cloud's process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::{Account, Error, Toolchain};

/// How long it may take to answer.
const STARTUP: Duration = Duration::from_secs(60);

/// How to start it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its output goes.
    pub log: PathBuf,
    /// Enforce the roles of the template.
    pub auth: bool,
}

/// A running local cloud. Dropping it kills it; it dies with this process too.
#[derive(Debug)]
pub struct LocalCloud {
    endpoint: String,
    child: Child,
}

impl LocalCloud {
    /// Starts it on a free loopback port, with an environment of its own: nothing
    /// of the user's AWS settings, tokens or proxies reaches it or its functions.
    pub async fn start(toolchain: &Toolchain, options: Options) -> Result<Self, Error> {
        let http = http_client()?;
        let mut last = String::new();
        // A port that is free now may be taken in the next moment: try again.
        for _ in 0..3 {
            let port = free_port()?;
            let endpoint = format!("http://127.0.0.1:{port}");
            let mut child = spawn(toolchain, &options, port, &endpoint)?;
            let began = Instant::now();
            while began.elapsed() < STARTUP {
                let health = http
                    .get(format!("{endpoint}/_ministack/health"))
                    .send()
                    .await;
                if health.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(Self { endpoint, child });
                }
                if let Ok(Some(status)) = child.try_wait() {
                    last = format!("it ended with {status}");
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Err(Error(format!(
            "the local cloud does not start ({last}); see {}",
            options.log.display()
        )))
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An account of its own, by its 12 digits. Webhooks carry no credentials, so they
    /// reach the account 000000000000 only.
    pub fn account(&self, id: &str) -> Result<Account, Error> {
        Account::new(&self.endpoint, id)
    }

    /// Stops it, and waits until it is gone.
    pub async fn stop(mut self) {
        let _gone = self.child.kill().await;
    }
}

fn spawn(
    toolchain: &Toolchain,
    options: &Options,
    port: u16,
    endpoint: &str,
) -> Result<Child, Error> {
    let home = toolchain
        .target
        .join("local-cloud/home")
        .join(port.to_string());
    std::fs::create_dir_all(&home).map_err(|error| Error::of("the local cloud's home", error))?;
    let log = std::fs::File::create(&options.log)
        .map_err(|error| Error::of("the local cloud's log", error))?;
    let errors = log
        .try_clone()
        .map_err(|error| Error::of("the local cloud's log", error))?;
    let mut command = Command::new(&toolchain.python);
    command
        .arg(toolchain.root.join("infra/local/serve.py"))
        .arg(std::process::id().to_string())
        .current_dir(&home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "000000000000")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true);
    if options.auth {
        command.env("AUTH", "true");
    }
    command
        .spawn()
        .map_err(|error| Error::of("the local cloud", error))
}

fn free_port() -> Result<u16, Error> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))
        .map_err(|error| Error::of("a free port", error))?;
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| Error::of("a free port", error))
}

/// A client for what runs on this machine: no proxy.
pub fn http_client() -> Result<reqwest::Client, Error> {
    // Where the functions are built in the same workspace, reqwest speaks TLS and
    // wants a provider, even for plain HTTP. A second call finds it installed.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| Error::of("an HTTP client", error))
}
