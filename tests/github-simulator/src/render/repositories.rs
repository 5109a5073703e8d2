//! Repositories: themselves, their commits, references and files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::accounts::{extend, link};
use super::{Render, time};
use crate::model::repo::{Commit, Repo, TagObject};

/// What GitHub links from a repository, under its API address.
const LINKS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    (
        "notifications_url",
        "/notifications{?since,all,participating}",
    ),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

impl Render {
    pub(crate) fn repository(&self, repo: &Repo) -> Value {
        let mut repository = self.hooked_repository(repo);
        extend(
            &mut repository,
            json!({ "network_count": 0, "subscribers_count": 0 }),
        );
        repository
    }

    /// A repository as webhooks show it.
    pub(super) fn hooked_repository(&self, repo: &Repo) -> Value {
        let html = self.repo_html(repo);
        let pushed = repo
            .commits
            .last()
            .map_or(repo.created_at, |commit| commit.date);
        let mut repository = self.short_repository(repo);
        let own = json!({
            "visibility": "public",
            "default_branch": repo.default_branch,
            "archived": repo.archived,
            "disabled": false,
            "is_template": false,
            "web_commit_signoff_required": false,
            "has_issues": true,
            "has_projects": true,
            "has_downloads": true,
            "has_wiki": true,
            "has_pages": false,
            "has_discussions": false,
            "homepage": null,
            "language": "Rust",
            "license": null,
            "mirror_url": null,
            "topics": [],
            "custom_properties": {},
            "size": 0,
            "forks": 0,
            "forks_count": 0,
            "open_issues": 0,
            "open_issues_count": 0,
            "stargazers_count": 0,
            "watchers": 0,
            "watchers_count": 0,
            "clone_url": format!("{html}.git"),
            "git_url": format!("{html}.git"),
            "ssh_url": format!("git@127.0.0.1:{}.git", repo.name),
            "svn_url": html,
            "created_at": time(repo.created_at),
            "pushed_at": time(pushed),
            "updated_at": time(pushed),
            "permissions": { "admin": false, "maintain": false, "push": repo.may_push, "triage": true, "pull": true },
        });
        extend(&mut repository, own);
        repository
    }

    /// Runs are big enough without the whole repository.
    pub(super) fn short_repository(&self, repo: &Repo) -> Value {
        let (owner, name) = repo.name.split_once('/').unwrap_or_default();
        let mut repository = json!({
            "id": repo.id,
            "node_id": format!("R_{}", repo.id),
            "name": name,
            "full_name": repo.name,
            "owner": self.owner(owner),
            "private": false,
            "html_url": self.repo_html(repo),
            "description": null,
            "fork": false,
        });
        link(&mut repository, &self.repo_url(repo), &LINKS);
        repository
    }

    pub(crate) fn commit(&self, repo: &Repo, commit: &Commit) -> Value {
        let person = json!({
            "name": "maintainer",
            "email": "maintainer@example.org",
            "date": time(commit.date),
        });
        let (url, html) = (self.repo_url(repo), self.repo_html(repo));
        let before = repo
            .depth(&commit.sha)
            .checked_sub(1)
            .map(|i| &repo.commits[i].sha);
        let parent = |sha| json!({ "sha": sha, "url": format!("{url}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}") });
        let sha = &commit.sha;
        json!({
            "sha": sha,
            "node_id": format!("C_{sha}"),
            "url": format!("{url}/commits/{sha}"),
            "html_url": format!("{html}/commit/{sha}"),
            "comments_url": format!("{url}/commits/{sha}/comments"),
            "commit": {
                "url": format!("{url}/git/commits/{sha}"),
                "message": commit.message,
                "author": person,
                "committer": person,
                "tree": { "sha": sha, "url": format!("{url}/git/trees/{sha}") },
                "comment_count": 0,
            },
            "author": self.user("maintainer"),
            "committer": self.user("maintainer"),
            "parents": before.into_iter().chain(&commit.merges).map(parent).collect::<Vec<_>>(),
        })
    }

    /// A run's commit.
    pub(super) fn short_commit(&self, repo: &Repo, sha: &str) -> Value {
        let commit = repo.commits.iter().find(|commit| commit.sha == sha);
        let person = json!({ "name": "maintainer", "email": "maintainer@example.org" });
        json!({
            "id": sha,
            "tree_id": sha,
            "message": commit.map(|commit| commit.message.as_str()).unwrap_or_default(),
            "timestamp": time(commit.map_or(repo.created_at, |commit| commit.date)),
            "author": person,
            "committer": person,
        })
    }

    /// A tag's reference: to its commit, or to its own object where it is annotated.
    pub(crate) fn tag(&self, repo: &Repo, tag: &str) -> Option<Value> {
        let commit = repo.tags.get(tag)?;
        let full = format!("refs/tags/{tag}");
        Some(match repo.annotated.get(tag) {
            Some(object) => self.reference(repo, &full, "tag", &object.sha),
            None => self.reference(repo, &full, "commit", commit),
        })
    }

    pub(crate) fn tag_object(&self, repo: &Repo, tag: &str, object: &TagObject) -> Value {
        let url = format!("{}/git", self.repo_url(repo));
        let commit = repo.tags.get(tag).map(String::as_str).unwrap_or_default();
        json!({
            "node_id": format!("TA_{}", object.sha),
            "tag": tag,
            "sha": object.sha,
            "url": format!("{url}/tags/{}", object.sha),
            "message": object.message,
            "tagger": {
                "name": "maintainer",
                "email": "maintainer@example.org",
                "date": time(object.date),
            },
            "object": {
                "type": "commit",
                "sha": commit,
                "url": format!("{url}/commits/{commit}"),
            },
            "verification": {
                "verified": false,
                "reason": "unsigned",
                "signature": null,
                "payload": null,
                "verified_at": null,
            },
        })
    }

    pub(crate) fn reference(&self, repo: &Repo, full: &str, kind: &str, sha: &str) -> Value {
        json!({
            "ref": full,
            "node_id": format!("REF_{full}"),
            "url": format!("{}/git/{full}", self.repo_url(repo)),
            "object": {
                "type": kind,
                "sha": sha,
                "url": format!("{}/git/{kind}s/{sha}", self.repo_url(repo)),
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
        let (url, branch) = (self.repo_url(repo), &repo.default_branch);
        let own = format!("{url}/contents/{path}?ref={branch}");
        let html = format!("{}/blob/{branch}/{path}", self.repo_html(repo));
        let git = format!("{url}/git/blobs/{}", repo.head());
        json!({
            "type": kind,
            "size": size,
            "name": path.rsplit('/').next(),
            "path": path,
            "sha": repo.head(),
            "url": own,
            "html_url": html,
            "git_url": git,
            "download_url": null,
            "_links": { "self": own, "html": html, "git": git },
        })
    }
}
