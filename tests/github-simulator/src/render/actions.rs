//! Workflows, runs, jobs and artifacts.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Render, time};
use crate::model::repo::{Registered, Repo};
use crate::model::run::{Run, Stored};

/// Artifacts are kept for so long.
const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Render {
    pub(crate) fn workflow(&self, repo: &Repo, workflow: &Registered) -> Value {
        json!({
            "id": workflow.id,
            "node_id": format!("W_{}", workflow.id),
            "name": workflow.spec.name,
            "path": workflow.spec.path,
            "state": workflow.spec.state,
            "created_at": time(repo.created_at),
            "updated_at": time(repo.created_at),
            "url": format!("{}/actions/workflows/{}", self.repo_url(repo), workflow.id),
            "html_url": format!("{}/blob/{}/{}", self.repo_html(repo), repo.default_branch, workflow.spec.path),
            "badge_url": format!("{}/actions/{}/badge.svg", self.repo_html(repo), workflow.spec.path),
        })
    }

    pub(crate) fn run(&self, repo: &Repo, run: &Run) -> Value {
        let attempt = run.latest();
        let url = self.run_url(repo, run.id);
        let before = attempt.number - 1;
        json!({
            "id": run.id,
            "name": run.workflow_name,
            "node_id": format!("WFR_{}", run.id),
            "head_branch": run.origin.head_branch,
            "head_sha": run.origin.head_sha,
            "path": run.path,
            "display_title": run.origin.display_title,
            "run_number": run.number,
            "run_attempt": attempt.number,
            "event": run.origin.event,
            "status": run.status(),
            "conclusion": run.conclusion(),
            "workflow_id": run.workflow_id,
            "check_suite_id": run.id,
            "check_suite_node_id": format!("CS_{}", run.id),
            "check_suite_url": format!("{}/check-suites/{}", self.repo_url(repo), run.id),
            "url": url,
            "html_url": format!("{}/actions/runs/{}", self.repo_html(repo), run.id),
            "pull_requests": [],
            "created_at": time(run.created_at),
            "run_started_at": time(attempt.created_at),
            "updated_at": time(run.updated_at),
            "actor": self.user(&run.origin.actor),
            "triggering_actor": self.user(&attempt.actor),
            "referenced_workflows": [],
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "previous_attempt_url": (before > 0).then(|| format!("{url}/attempts/{before}")),
            "workflow_url": format!("{}/actions/workflows/{}", self.repo_url(repo), run.workflow_id),
            "head_commit": self.short_commit(repo, &run.origin.head_sha),
            "repository": self.short_repository(repo),
            "head_repository": self.short_repository(repo),
        })
    }

    pub(crate) fn run_url(&self, repo: &Repo, id: u64) -> String {
        format!("{}/actions/runs/{id}", self.repo_url(repo))
    }

    pub(crate) fn jobs(&self, repo: &Repo, run: &Run) -> Vec<Value> {
        let attempt = run.latest();
        if attempt.completed && !attempt.started || attempt.conclusion == "startup_failure" {
            return Vec::new();
        }
        let job = |(n, name): (u64, &String)| {
            let id = run.id * 1000 + u64::from(attempt.number) * 20 + n;
            json!({
                "id": id,
                "run_id": run.id,
                "run_url": self.run_url(repo, run.id),
                "run_attempt": attempt.number,
                "node_id": format!("CR_{id}"),
                "head_sha": run.origin.head_sha,
                "head_branch": run.origin.head_branch,
                "url": format!("{}/actions/jobs/{id}", self.repo_url(repo)),
                "html_url": format!("{}/actions/runs/{}/job/{id}", self.repo_html(repo), run.id),
                "name": name,
                "workflow_name": run.workflow_name,
                "status": run.status(),
                "conclusion": run.conclusion(),
                "created_at": time(attempt.created_at),
                "started_at": time(if attempt.started { attempt.starts_at } else { attempt.created_at }),
                "completed_at": attempt.completed.then(|| time(attempt.ends_at)),
                "steps": [],
                "labels": ["ubuntu-latest"],
                "check_run_url": format!("{}/check-runs/{id}", self.repo_url(repo)),
                "runner_id": null,
                "runner_name": null,
                "runner_group_id": null,
                "runner_group_name": null,
            })
        };
        (0..).zip(&run.script.script.jobs).map(job).collect()
    }

    pub(crate) fn pending_deployment(&self, repo: &Repo, environment: &str) -> Value {
        json!({
            "environment": {
                "id": repo.id,
                "node_id": format!("EN_{}", repo.id),
                "name": environment,
                "url": format!("{}/environments/{environment}", self.repo_url(repo)),
                "html_url": format!("{}/deployments/activity_log?environments_filter={environment}", self.repo_html(repo)),
            },
            "wait_timer": 0,
            "wait_timer_started_at": null,
            "current_user_can_approve": true,
            "reviewers": [],
        })
    }

    pub(crate) fn artifact(&self, repo: &Repo, run: &Run, stored: &Stored) -> Value {
        let url = format!("{}/actions/artifacts/{}", self.repo_url(repo), stored.id);
        json!({
            "id": stored.id,
            "node_id": format!("A_{}", stored.id),
            "name": stored.archive.name,
            "size_in_bytes": stored.archive.size,
            "url": url,
            "archive_download_url": format!("{url}/zip"),
            "expired": stored.archive.expired,
            "digest": stored.archive.digest,
            "created_at": time(stored.created_at),
            "updated_at": time(stored.created_at),
            "expires_at": time(stored.created_at + RETENTION),
            "workflow_run": {
                "id": run.id,
                "repository_id": repo.id,
                "head_repository_id": repo.id,
                "head_branch": run.origin.head_branch,
                "head_sha": run.origin.head_sha,
            },
        })
    }
}
