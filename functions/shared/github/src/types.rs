//! GitHub's objects, with the fields that are read.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

/// `GET /repos/{owner}/{repo}`.
#[derive(Debug, Clone, Deserialize)]
pub struct Repository {
    /// Full name.
    pub full_name: String,
    /// The branch that `repository_dispatch` builds.
    pub default_branch: String,
    /// Read-only: nothing runs there.
    #[serde(default)]
    pub archived: bool,
    /// What the token may do there.
    #[serde(default)]
    pub permissions: Option<Permissions>,
}

/// What the token may do in a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct Permissions {
    /// Write.
    #[serde(default)]
    pub push: bool,
}

/// The commit that a ref is at.
#[derive(Debug, Clone)]
pub struct Head {
    /// The commit.
    pub sha: String,
    /// GitHub's clock when it said so.
    pub seen_at: Timestamp,
}

/// What lies between two commits.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// How many commits lead from the first to the second.
    pub total_commits: u64,
    /// How many commits of the first are not part of the second.
    pub behind_by: u64,
    /// Those that were read, the oldest first.
    pub commits: Vec<ComparedCommit>,
}

/// A commit between two others.
#[derive(Debug, Clone)]
pub struct ComparedCommit {
    /// The commit.
    pub sha: String,
    /// Its whole message.
    pub message: String,
    /// When it was committed.
    pub committed_at: Option<Timestamp>,
    /// How many parents it has; a merge has several.
    pub parents: usize,
}

/// A workflow.
#[derive(Debug, Clone, Deserialize)]
pub struct Workflow {
    /// Id.
    pub id: u64,
    /// `.github/workflows/build.yml`.
    pub path: String,
    /// `active`, or a way of being disabled.
    pub state: String,
}

/// A workflow run. Status and conclusion stay text: GitHub adds values.
#[derive(Debug, Clone, Deserialize)]
pub struct Run {
    /// Id.
    pub id: u64,
    /// Attempt, from 1.
    pub run_attempt: u32,
    /// What started it.
    pub event: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// `run-name` where the workflow sets one.
    pub display_title: String,
    /// The commit it builds.
    pub head_sha: String,
    /// The workflow's path.
    pub path: String,
    /// Who started it.
    #[serde(default, deserialize_with = "login")]
    pub actor: Option<String>,
    /// First created.
    pub created_at: Timestamp,
    /// This attempt was started.
    pub run_started_at: Option<Timestamp>,
    /// Its page.
    pub html_url: String,
}

fn login<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct User {
        login: String,
    }
    Ok(Option::<User>::deserialize(deserializer)?.map(|user| user.login))
}

/// A job of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Job {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// When it began; of one that is queued, when it was created.
    pub started_at: Option<Timestamp>,
}

/// An artifact of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct Artifact {
    /// Id.
    pub id: u64,
    /// Name; re-runs leave several of one name.
    pub name: String,
    /// Bytes of the download.
    pub size_in_bytes: u64,
    /// Whether it is gone.
    pub expired: bool,
    /// Uploaded.
    pub created_at: Timestamp,
    /// Gone after.
    pub expires_at: Option<Timestamp>,
    /// `sha256:<hex>` of the download; null before upload-artifact v4.
    #[serde(default)]
    pub digest: Option<String>,
}

/// A release.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// Id.
    pub id: u64,
    /// Its tag, which a draft does not have yet.
    pub tag_name: String,
    /// Seen by those who can push only.
    pub draft: bool,
    /// Marked as a prerelease.
    pub prerelease: bool,
    /// Its page.
    pub html_url: String,
    /// Where assets go; a URI template.
    pub upload_url: String,
    /// Markdown; null where nobody wrote any.
    #[serde(default)]
    pub body: Option<String>,
    /// Assets and tag are locked.
    #[serde(default)]
    pub immutable: bool,
    /// When everybody saw it first.
    #[serde(default)]
    pub published_at: Option<Timestamp>,
    /// Its files.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// A release's asset.
#[derive(Debug, Clone, Deserialize)]
pub struct Asset {
    /// Id.
    pub id: u64,
    /// The name that GitHub gave it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `uploaded`, or `starter` after a broken upload.
    pub state: String,
    /// `sha256:<hex>`, or null.
    #[serde(default)]
    pub digest: Option<String>,
    /// Where people download it.
    pub browser_download_url: String,
    /// Who uploaded it.
    #[serde(default, deserialize_with = "login")]
    pub uploader: Option<String>,
}

/// A release to create.
#[derive(Debug, Clone, Serialize)]
pub struct NewRelease {
    /// The tag.
    pub tag_name: String,
    /// The commit that the tag will be at, if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_commitish: Option<String>,
    /// Title.
    pub name: String,
    /// Markdown.
    pub body: String,
    /// Not seen by everybody.
    pub draft: bool,
    /// Marked as a prerelease.
    pub prerelease: bool,
}

/// What to change of a release.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ReleaseUpdate {
    /// Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The commit that the tag will be at, if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_commitish: Option<String>,
    /// False: publish it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<bool>,
    /// Mark it as a prerelease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prerelease: Option<bool>,
    /// `true`, `false` or `legacy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make_latest: Option<String>,
}
