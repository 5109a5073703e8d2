//! What a test sees of the simulator from behind: precise times, payloads and
//! contents that the API does not show.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

/// A workflow run, at its latest attempt.
#[derive(Debug, Clone)]
pub struct RunView {
    /// The run's id, the same over all attempts.
    pub id: u64,
    /// The workflow's path.
    pub path: String,
    /// `repository_dispatch` or `workflow_dispatch`.
    pub event: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// Set when completed.
    pub conclusion: Option<String>,
    /// The commit that is built.
    pub head_sha: String,
    /// From 1.
    pub run_attempt: u32,
    /// Who started the run.
    pub actor: String,
    /// The rendered `run-name`, or the event type.
    pub display_title: String,
    /// As the API shows it: whole seconds.
    pub created_at: Timestamp,
    /// The `client_payload`, or the `inputs` of a `workflow_dispatch`.
    pub client_payload: Value,
    /// When the run was asked for, precisely.
    pub dispatched_at: Timestamp,
    /// When the latest attempt left the queue, if it did.
    pub started_at: Option<Timestamp>,
    /// When the latest attempt ended, if it did.
    pub completed_at: Option<Timestamp>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptView>,
    /// What all of them uploaded, oldest first.
    pub artifacts: Vec<ArtifactView>,
}

/// One attempt of a run.
#[derive(Debug, Clone)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// Set when completed.
    pub conclusion: Option<String>,
    /// When it ended, if it did.
    pub completed_at: Option<Timestamp>,
}

/// One artifact of a run.
#[derive(Debug, Clone)]
pub struct ArtifactView {
    /// Its name.
    pub name: String,
    /// The attempt that uploaded it.
    pub attempt: u32,
    /// Whether it can be downloaded no more.
    pub expired: bool,
    /// Whether its download is what was declared.
    pub sound: bool,
    /// Path and content of what was packed.
    pub files: Vec<(String, Bytes)>,
}

/// What a release looked like from an instant on.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub time: Timestamp,
    /// `owner/name`.
    pub repository: String,
    /// The release's id.
    pub id: u64,
    /// The release; none: it was deleted.
    pub release: Option<ReleaseView>,
}

/// A release, drafts included.
#[derive(Debug, Clone)]
pub struct ReleaseView {
    /// The release's id.
    pub id: u64,
    /// The tag that it has, or will have when it is published.
    pub tag_name: String,
    /// The title.
    pub name: String,
    /// Not published yet.
    pub draft: bool,
    /// Marked as not ready for production.
    pub prerelease: bool,
    /// Nothing of it can be changed any more.
    pub immutable: bool,
    /// The notes.
    pub body: String,
    /// Where the tag is made.
    pub target_commitish: String,
    /// In the order of their upload.
    pub assets: Vec<AssetView>,
}

/// One file of a release.
#[derive(Debug, Clone)]
pub struct AssetView {
    /// The asset's id.
    pub id: u64,
    /// The name after GitHub's renaming.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// `sha256:<hex>`; none while in state `starter`.
    pub digest: Option<String>,
    /// `uploaded` or `starter`.
    pub state: String,
    /// The bytes.
    pub content: Bytes,
}

/// One call and its answer, where both are JSON or nothing.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When it came.
    pub time: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The route's template as GitHub's documentation writes it.
    pub route: String,
    /// The names of the query's parameters.
    pub parameters: Vec<String>,
    /// What was sent.
    pub request: Option<Value>,
    /// The answer's status.
    pub status: u16,
    /// The answer; none if it was no JSON.
    pub response: Option<Value>,
}

/// A webhook that was sent, or would have been to a receiver.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `X-GitHub-Event`.
    pub event: String,
    /// The body.
    pub payload: Value,
}

/// One call that was received.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came, precisely.
    pub time: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, or nothing.
    pub query: String,
    /// The answer's status; 0 if the answer was lost on purpose.
    pub status: u16,
}

/// A token that an App minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// The token.
    pub token: String,
    /// Its end.
    pub expires_at: Timestamp,
    /// Whose repositories.
    pub owner: String,
    /// Their names; none: all.
    pub repositories: Option<Vec<String>>,
    /// What it may do, as `contents` to `write`.
    pub permissions: BTreeMap<String, String>,
}
