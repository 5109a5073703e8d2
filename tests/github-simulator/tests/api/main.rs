//! The simulator over HTTP, as a client of GitHub sees it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod downloads;
mod faults;
mod latest;
mod refs;
mod releases;
mod repositories;
mod runs;
mod uploads;
mod weather;
mod webhooks;

use std::time::Duration;

use github_simulator::{Artifact, Repository, RunView, Script, Settings, Simulator};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

const REPO: &str = "octo-org/octo-repo";

/// A simulator with one repository, and a client that follows no redirects.
struct World {
    simulator: Simulator,
    client: reqwest::Client,
}

impl World {
    /// A queue of 50 ms, a run of 150 ms, one artifact.
    async fn start() -> Self {
        Self::with(Script {
            queue_seconds: 50.0,
            run_seconds: 150.0,
            artifacts: vec![artifact("bllvm-x86_64-linux", "bllvm")],
            ..Script::default()
        })
        .await
    }

    async fn with(script: Script) -> Self {
        let settings = Settings {
            speed: 1000.0,
            ..Settings::default()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        let files = [("versions.toml".to_string(), b"[versions]\n".repeat(20))].into();
        simulator.add_repository(Repository {
            files,
            script,
            ..Repository::default()
        });
        Self {
            simulator,
            client: client(),
        }
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/repos/{REPO}{path}", self.simulator.api_url());
        self.client
            .request(method, url)
            .bearer_auth("simulated-token")
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.call(Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.call(Method::POST, path)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn dispatch(&self, payload: Value) -> RunView {
        let body = serde_json::json!({ "event_type": "build-chain", "client_payload": payload });
        let answer = self.post("/dispatches", body).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.text().await.unwrap(), "");
        self.simulator.runs(REPO).pop().unwrap()
    }

    /// Waits until the run has the given status, and returns it as the API does.
    async fn until(&self, id: u64, status: &str) -> Value {
        for _ in 0..300 {
            let run = self.get(&format!("/actions/runs/{id}")).await;
            if run["status"] == status {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("run {id} never became {status}");
    }
}

/// Without pooled connections: which ones a fault cuts must not matter.
fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().user_agent("test").no_proxy();
    client
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

fn artifact(name: &str, file: &str) -> Artifact {
    Artifact {
        name: name.into(),
        files: vec![(file.into(), vec![42; 10_000])],
        ..Artifact::default()
    }
}
