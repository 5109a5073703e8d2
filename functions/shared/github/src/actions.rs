//! Workflows, dispatches, runs, artifacts.

use commons_domain::names::RepoName;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::segment;
use crate::{Artifact, Error, GitHub, Job, Run, Workflow};

/// A list of runs is read this far back at most.
const MOST_RUN_PAGES: usize = 10;
/// More pages than a list may have.
const ALL_PAGES: usize = 1_000;

impl GitHub {
    /// `GET …/actions/workflows`, all pages.
    pub async fn workflows(&self, repository: &RepoName) -> Result<Vec<Workflow>, Error> {
        #[derive(Deserialize)]
        struct Page {
            workflows: Vec<Workflow>,
        }
        let path = format!("/repos/{repository}/actions/workflows");
        self.pages(&path, |page: Page| page.workflows, ALL_PAGES, |_| false)
            .await
    }

    /// `GET …/actions/runs` without filters, newest first, back to `since`.
    pub async fn runs_since(
        &self,
        repository: &RepoName,
        since: Timestamp,
    ) -> Result<Vec<Run>, Error> {
        #[derive(Deserialize)]
        struct Page {
            workflow_runs: Vec<Run>,
        }
        let path = format!("/repos/{repository}/actions/runs");
        let old = |runs: &[Run]| runs.iter().any(|run| run.created_at < since);
        let mut runs = self
            .pages(&path, |page: Page| page.workflow_runs, MOST_RUN_PAGES, old)
            .await?;
        runs.retain(|run| run.created_at >= since);
        Ok(runs)
    }

    /// `GET …/actions/runs/{id}`.
    pub async fn run(&self, repository: &RepoName, id: u64) -> Result<Run, Error> {
        self.get(&format!("/repos/{repository}/actions/runs/{id}"))
            .await
    }

    /// `GET …/actions/runs/{id}/jobs`, all pages.
    pub async fn jobs(&self, repository: &RepoName, id: u64) -> Result<Vec<Job>, Error> {
        #[derive(Deserialize)]
        struct Page {
            jobs: Vec<Job>,
        }
        let path = format!("/repos/{repository}/actions/runs/{id}/jobs");
        self.pages(&path, |page: Page| page.jobs, ALL_PAGES, |_| false)
            .await
    }

    /// `GET …/actions/runs/{id}/artifacts`, all pages.
    pub async fn artifacts(&self, repository: &RepoName, run: u64) -> Result<Vec<Artifact>, Error> {
        #[derive(Deserialize)]
        struct Page {
            artifacts: Vec<Artifact>,
        }
        let path = format!("/repos/{repository}/actions/runs/{run}/artifacts");
        self.pages(&path, |page: Page| page.artifacts, ALL_PAGES, |_| false)
            .await
    }

    /// `POST …/dispatches`: 204, without an id.
    pub async fn repository_dispatch(
        &self,
        repository: &RepoName,
        event_type: &str,
        client_payload: &Value,
    ) -> Result<(), Error> {
        let body = json!({"event_type": event_type, "client_payload": client_payload});
        self.write(
            Method::POST,
            &format!("/repos/{repository}/dispatches"),
            Some(&body),
        )
        .await
        .map(drop)
    }

    /// `POST …/actions/workflows/{workflow}/dispatches`: the run's id, where GitHub
    /// returns it.
    pub async fn workflow_dispatch(
        &self,
        repository: &RepoName,
        workflow: &str,
        git_ref: &str,
        inputs: &Value,
    ) -> Result<Option<u64>, Error> {
        #[derive(Deserialize)]
        struct Started {
            workflow_run_id: u64,
        }
        let path = format!(
            "/repos/{repository}/actions/workflows/{}/dispatches",
            segment(workflow)
        );
        let body = json!({"ref": git_ref, "inputs": inputs, "return_run_details": true});
        let response = self.write(Method::POST, &path, Some(&body)).await?;
        if response.status().as_u16() == 204 {
            return Ok(None);
        }
        let call = format!("POST {path}");
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&call, error))?;
        let started: Started =
            serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
                call,
                message: error.to_string(),
            })?;
        Ok(Some(started.workflow_run_id))
    }

    /// `POST …/actions/runs/{id}/rerun-failed-jobs`: same run, next attempt.
    pub async fn rerun_failed_jobs(&self, repository: &RepoName, run: u64) -> Result<(), Error> {
        self.write(
            Method::POST,
            &format!("/repos/{repository}/actions/runs/{run}/rerun-failed-jobs"),
            None,
        )
        .await
        .map(drop)
    }

    /// Names of the environments whose approval a run waits for:
    /// `GET …/actions/runs/{id}/pending_deployments`.
    pub async fn pending_environments(
        &self,
        repository: &RepoName,
        run: u64,
    ) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Pending {
            environment: Environment,
        }
        #[derive(Deserialize)]
        struct Environment {
            name: Option<String>,
        }
        let path = format!("/repos/{repository}/actions/runs/{run}/pending_deployments");
        let pending = self.get::<Vec<Pending>>(&path).await?;
        Ok(pending
            .into_iter()
            .filter_map(|p| p.environment.name)
            .collect())
    }

    /// `POST …/actions/runs/{id}/force-cancel`: for one that does not heed a cancel.
    pub async fn force_cancel(&self, repository: &RepoName, run: u64) -> Result<(), Error> {
        let path = format!("/repos/{repository}/actions/runs/{run}/force-cancel");
        self.write_again(Method::POST, &path).await.map(drop)
    }

    /// `POST …/actions/runs/{id}/cancel`; a conflict when it has ended. It may be asked
    /// for twice.
    pub async fn cancel(&self, repository: &RepoName, run: u64) -> Result<(), Error> {
        let path = format!("/repos/{repository}/actions/runs/{run}/cancel");
        self.write_again(Method::POST, &path).await.map(drop)
    }
}
