//! The processes of a measurement: each ends with the one that started it.

use std::io::Read as _;
use std::process::Stdio;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Ends this process when its standard input does.
pub fn end_with_parent() {
    std::thread::spawn(|| {
        let mut nothing = [0];
        // Nothing is ever sent: whatever comes of it, the parent is gone.
        let _gone = std::io::stdin().read(&mut nothing);
        std::process::exit(1);
    });
}

/// Starts this program with another command.
pub fn start(arguments: &[&str]) -> Result<Child, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let started = Command::new(this)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    started.map_err(|error| format!("{}: {error}", arguments[0]))
}

/// What such a process says at its end, as JSON.
pub async fn said<T: DeserializeOwned>(mut process: Child, what: &str) -> Result<T, String> {
    // It ends when this is closed: `wait_with_output` would close it at once.
    let _open = process.stdin.take();
    let output = process.wait_with_output().await;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{what} failed: {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{what}: {error}"))
}

/// A source or a sink that runs.
pub struct Server {
    /// Where it is.
    pub address: String,
    http: reqwest::Client,
    _process: Child,
}

impl Server {
    /// Starts it, and waits until it says where it is.
    pub async fn start(arguments: &[&str]) -> Result<Self, String> {
        let mut process = start(arguments)?;
        let said = process.stdout.take();
        let mut address = String::new();
        if let Some(said) = said {
            let read = BufReader::new(said).read_line(&mut address).await;
            read.map_err(|error| error.to_string())?;
        }
        if address.is_empty() {
            return Err(format!("the {} does not start", arguments[0]));
        }
        Ok(Self {
            address: address.trim().to_owned(),
            http: local_cloud::http_client().map_err(|error| error.to_string())?,
            _process: process,
        })
    }

    /// What it says of itself.
    pub async fn stats<T: DeserializeOwned>(&self) -> Result<T, String> {
        let answer = self.http.get(format!("{}/stats", self.address)).send();
        let answer = answer.await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }
}
