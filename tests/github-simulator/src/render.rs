//! The JSON of GitHub's answers and webhooks, in its shapes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::model::Hook;
use crate::model::release::{Asset, Release};
use crate::model::repo::{Commit, Registered, Repo};
use crate::model::run::{Run, Stored};

/// Artifacts are kept for so long.
const RETENTION: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Where answers point to.
#[derive(Debug, Clone)]
pub(crate) struct Render {
    /// `http://127.0.0.1:PORT`.
    pub(crate) api: String,
}

/// Times as GitHub writes them: UTC, whole seconds.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn user(login: &str) -> Value {
    let kind = if login.ends_with("[bot]") {
        "Bot"
    } else {
        "User"
    };
    json!({
        "login": login,
        "id": id_of(login),
        "node_id": format!("U_{login}"),
        "type": kind,
        "site_admin": false,
    })
}

/// An id that is the same whenever the same account is shown.
fn id_of(login: &str) -> u64 {
    login
        .bytes()
        .fold(1000, |id, byte| (id * 31 + u64::from(byte)) % 100_000_000)
}

impl Render {
    pub(crate) fn html(&self) -> String {
        format!("{}/_html", self.api)
    }

    fn repo_url(&self, repo: &Repo) -> String {
        format!("{}/repos/{}", self.api, repo.name)
    }

    pub(crate) fn repository(&self, repo: &Repo) -> Value {
        let (owner, name) = repo.name.split_once('/').unwrap_or_default();
        let pushed = repo
            .commits
            .last()
            .map_or(repo.created_at, |commit| commit.date);
        json!({
            "id": repo.id,
            "node_id": format!("R_{}", repo.id),
            "name": name,
            "full_name": repo.name,
            "owner": owner_of(owner),
            "private": false,
            "visibility": "public",
            "html_url": format!("{}/{}", self.html(), repo.name),
            "description": null,
            "fork": false,
            "url": self.repo_url(repo),
            "default_branch": repo.default_branch,
            "archived": repo.archived,
            "disabled": false,
            "created_at": time(repo.created_at),
            "pushed_at": time(pushed),
            "updated_at": time(pushed),
            "permissions": { "admin": false, "maintain": false, "push": repo.may_push, "triage": true, "pull": true },
        })
    }

    pub(crate) fn commit(&self, repo: &Repo, commit: &Commit) -> Value {
        let person = json!({
            "name": "maintainer",
            "email": "maintainer@example.org",
            "date": time(commit.date),
        });
        let before = repo
            .depth(&commit.sha)
            .checked_sub(1)
            .map(|i| &repo.commits[i].sha);
        json!({
            "sha": commit.sha,
            "node_id": format!("C_{}", commit.sha),
            "url": format!("{}/commits/{}", self.repo_url(repo), commit.sha),
            "html_url": format!("{}/{}/commit/{}", self.html(), repo.name, commit.sha),
            "commit": {
                "message": commit.message,
                "author": person,
                "committer": person,
                "tree": { "sha": commit.sha },
                "comment_count": 0,
            },
            "author": user("maintainer"),
            "committer": user("maintainer"),
            "parents": before.into_iter().map(|sha| json!({ "sha": sha })).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn reference(&self, repo: &Repo, full: &str, sha: &str) -> Value {
        json!({
            "ref": full,
            "node_id": format!("REF_{full}"),
            "url": format!("{}/git/{full}", self.repo_url(repo)),
            "object": {
                "type": "commit",
                "sha": sha,
                "url": format!("{}/git/commits/{sha}", self.repo_url(repo)),
            },
        })
    }

    pub(crate) fn content(&self, repo: &Repo, path: &str, content: &[u8]) -> Value {
        // Lines of 60 characters, as GitHub breaks them.
        let encoded = STANDARD.encode(content);
        let lines = encoded.as_bytes().chunks(60).map(String::from_utf8_lossy);
        let encoded: String = lines.flat_map(|line| [line, "\n".into()]).collect();
        let mut entry = self.entry(repo, path, "file", content.len());
        entry["content"] = encoded.into();
        entry["encoding"] = "base64".into();
        entry
    }

    /// A file or directory as a directory's listing shows it.
    pub(crate) fn entry(&self, repo: &Repo, path: &str, kind: &str, size: usize) -> Value {
        json!({
            "type": kind,
            "size": size,
            "name": path.rsplit('/').next(),
            "path": path,
            "sha": repo.head(),
            "url": format!("{}/contents/{path}?ref={}", self.repo_url(repo), repo.default_branch),
            "html_url": format!("{}/{}/blob/{}/{path}", self.html(), repo.name, repo.default_branch),
            "download_url": null,
        })
    }

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
            "html_url": format!("{}/{}/blob/{}/{}", self.html(), repo.name, repo.default_branch, workflow.spec.path),
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
            "url": url,
            "html_url": format!("{}/{}/actions/runs/{}", self.html(), repo.name, run.id),
            "pull_requests": [],
            "created_at": time(run.created_at),
            "run_started_at": time(attempt.created_at),
            "updated_at": time(run.updated_at),
            "actor": user(&run.origin.actor),
            "triggering_actor": user(&attempt.actor),
            "referenced_workflows": [],
            "jobs_url": format!("{url}/jobs"),
            "logs_url": format!("{url}/logs"),
            "artifacts_url": format!("{url}/artifacts"),
            "cancel_url": format!("{url}/cancel"),
            "rerun_url": format!("{url}/rerun"),
            "previous_attempt_url": (before > 0).then(|| format!("{url}/attempts/{before}")),
            "workflow_url": format!("{}/actions/workflows/{}", self.repo_url(repo), run.workflow_id),
            "head_commit": { "id": run.origin.head_sha },
            "repository": self.short_repository(repo),
            "head_repository": self.short_repository(repo),
        })
    }

    pub(crate) fn run_url(&self, repo: &Repo, id: u64) -> String {
        format!("{}/actions/runs/{id}", self.repo_url(repo))
    }

    /// Runs and webhooks are big enough without the whole repository.
    fn short_repository(&self, repo: &Repo) -> Value {
        let (owner, name) = repo.name.split_once('/').unwrap_or_default();
        json!({
            "id": repo.id,
            "name": name,
            "full_name": repo.name,
            "private": false,
            "owner": owner_of(owner),
            "url": self.repo_url(repo),
        })
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
                "html_url": format!("{}/{}/actions/runs/{}/job/{id}", self.html(), repo.name, run.id),
                "name": name,
                "workflow_name": run.workflow_name,
                "status": run.status(),
                "conclusion": run.conclusion(),
                "created_at": time(attempt.created_at),
                "started_at": time(if attempt.started { attempt.starts_at } else { attempt.created_at }),
                "completed_at": attempt.completed.then(|| time(attempt.ends_at)),
                "steps": [],
                "labels": ["ubuntu-latest"],
            })
        };
        (0..).zip(&run.script.script.jobs).map(job).collect()
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

    pub(crate) fn release(&self, repo: &Repo, release: &Release) -> Value {
        let url = format!("{}/releases/{}", self.repo_url(repo), release.id);
        let upload = format!(
            "{}/uploads/repos/{}/releases/{}/assets{{?name,label}}",
            self.api, repo.name, release.id
        );
        let assets = release
            .assets
            .iter()
            .map(|asset| self.asset(repo, release, asset));
        json!({
            "url": url,
            "assets_url": format!("{url}/assets"),
            "upload_url": upload,
            "html_url": format!("{}/{}/releases/tag/{}", self.html(), repo.name, release.html_tag()),
            "id": release.id,
            "node_id": format!("RE_{}", release.id),
            "author": user(&release.author),
            "tag_name": release.tag_name,
            "target_commitish": release.target_commitish,
            "name": release.name,
            "body": release.body,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "immutable": release.immutable,
            "created_at": time(release.created_at),
            "updated_at": time(release.updated_at),
            "published_at": release.published_at.map(time),
            "tarball_url": null,
            "zipball_url": null,
            "assets": assets.collect::<Vec<_>>(),
        })
    }

    pub(crate) fn asset(&self, repo: &Repo, release: &Release, asset: &Asset) -> Value {
        json!({
            "url": format!("{}/releases/assets/{}", self.repo_url(repo), asset.id),
            "id": asset.id,
            "node_id": format!("RA_{}", asset.id),
            "name": asset.name,
            "label": asset.label,
            "uploader": user(&asset.uploader),
            "content_type": asset.content_type,
            "state": asset.state,
            "size": asset.content.len(),
            "digest": asset.digest,
            "download_count": 0,
            "created_at": time(asset.created_at),
            "updated_at": time(asset.created_at),
            "browser_download_url": format!(
                "{}/{}/releases/download/{}/{}",
                self.html(), repo.name, release.html_tag(), asset.name
            ),
        })
    }

    pub(crate) fn run_hook(&self, repo: &Repo, run: &Run, action: &str) -> Hook {
        let workflow = repo
            .workflows
            .iter()
            .find(|workflow| workflow.id == run.workflow_id);
        let mut payload = self.payload(repo, &run.latest().actor);
        payload["action"] = action.into();
        payload["workflow_run"] = self.run(repo, run);
        payload["workflow"] = workflow
            .map(|workflow| self.workflow(repo, workflow))
            .into();
        Hook {
            event: "workflow_run".into(),
            payload,
        }
    }

    pub(crate) fn create_hook(&self, repo: &Repo, tag: &str, sender: &str) -> Hook {
        let mut payload = self.payload(repo, sender);
        payload["ref"] = tag.into();
        payload["ref_type"] = "tag".into();
        payload["full_ref"] = format!("refs/tags/{tag}").into();
        payload["master_branch"] = repo.default_branch.clone().into();
        payload["description"] = Value::Null;
        payload["pusher_type"] = "user".into();
        Hook {
            event: "create".into(),
            payload,
        }
    }

    pub(crate) fn release_hook(
        &self,
        repo: &Repo,
        release: &Release,
        action: &str,
        sender: &str,
    ) -> Hook {
        let mut payload = self.payload(repo, sender);
        payload["action"] = action.into();
        payload["release"] = self.release(repo, release);
        Hook {
            event: "release".into(),
            payload,
        }
    }

    fn payload(&self, repo: &Repo, sender: &str) -> Value {
        json!({
            "repository": self.repository(repo),
            "organization": { "login": repo.owner(), "id": id_of(repo.owner()) },
            "sender": user(sender),
        })
    }
}

fn owner_of(login: &str) -> Value {
    let mut owner = user(login);
    owner["type"] = "Organization".into();
    owner
}
