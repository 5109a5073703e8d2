//! What a simulated organisation consists of: repositories, their workflows,
//! and the script that their runs follow.

use std::collections::BTreeMap;

/// A repository and everything that is in it at the start.
#[derive(Debug, Clone)]
pub struct Repository {
    /// `owner/name`.
    pub name: String,
    /// Usually `main`.
    pub default_branch: String,
    /// Path to content; the same at every commit.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The workflows that GitHub Actions knows.
    pub workflows: Vec<Workflow>,
    /// Tags that exist at the start, all at the head.
    pub tags: Vec<String>,
    /// What runs in this repository do.
    pub script: Script,
    /// Read-only: nothing runs here.
    pub archived: bool,
    /// Whether the token may write here.
    pub may_push: bool,
    /// Whether releases are immutable once they are published.
    pub immutable_releases: bool,
}

impl Default for Repository {
    fn default() -> Self {
        Self {
            name: "octo-org/octo-repo".into(),
            default_branch: "main".into(),
            files: BTreeMap::new(),
            workflows: vec![Workflow::default()],
            tags: Vec::new(),
            script: Script::default(),
            archived: false,
            may_push: true,
            immutable_releases: false,
        }
    }
}

/// One workflow file.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// `.github/workflows/build.yml`.
    pub path: String,
    /// The `name:` in the file.
    pub name: String,
    /// What starts it.
    pub on: Vec<Trigger>,
    /// Whether it has a `run-name` that shows the nonce.
    pub run_name: bool,
    /// `active`, or `disabled_manually` and the like: then nothing starts it.
    pub state: String,
}

impl Default for Workflow {
    fn default() -> Self {
        Self {
            path: ".github/workflows/build.yml".into(),
            name: "Build".into(),
            on: vec![
                Trigger::RepositoryDispatch("build-chain".into()),
                Trigger::WorkflowDispatch,
            ],
            run_name: true,
            state: "active".into(),
        }
    }
}

/// A release that somebody made by hand.
#[derive(Debug, Clone, Default)]
pub struct ForeignRelease {
    /// Its tag.
    pub tag: String,
    /// Not published.
    pub draft: bool,
    /// Name and content.
    pub assets: Vec<(String, Vec<u8>)>,
    /// Whether it is marked as a prerelease.
    pub prerelease: bool,
}

/// What starts a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// `repository_dispatch` with this `event_type`.
    RepositoryDispatch(String),
    /// `workflow_dispatch`.
    WorkflowDispatch,
}

/// What every run of a repository does, in simulated seconds.
#[derive(Debug, Clone)]
pub struct Script {
    /// How long an attempt is queued.
    pub queue_seconds: f64,
    /// How long it is in progress.
    pub run_seconds: f64,
    /// The conclusion of each attempt; the last one repeats.
    pub conclusions: Vec<String>,
    /// What an attempt that concludes `success` uploads.
    pub artifacts: Vec<Artifact>,
    /// What an attempt that ran and ends otherwise has uploaded by then.
    pub failed_artifacts: Vec<Artifact>,
    /// The names of its jobs.
    pub jobs: Vec<String>,
    /// The environment whose approval its runs wait for, without end.
    pub approval: Option<String>,
    /// Runs go on when they are cancelled; only force ends them.
    pub ignores_cancel: bool,
    /// Its runs are of one concurrency group: one runs, the newest waits for it, and what
    /// waited before is cancelled without any job.
    pub one_at_a_time: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            queue_seconds: 5.0,
            run_seconds: 60.0,
            conclusions: vec!["success".into()],
            artifacts: Vec::new(),
            failed_artifacts: Vec::new(),
            jobs: vec!["build".into()],
            approval: None,
            ignores_cancel: false,
            one_at_a_time: false,
        }
    }
}

/// One upload of a run, served as a zip.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The artifact's name; not a file name.
    pub name: String,
    /// Path in the zip, and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Whether it is expired from the start: listed, but 410 on download.
    pub expired: bool,
    /// Whether GitHub knows its digest; `null` before upload-artifact v4.
    pub digest: bool,
    /// How the download differs from what was declared.
    pub corrupt: Option<Corrupt>,
}

impl Default for Artifact {
    fn default() -> Self {
        Self {
            name: "artifact".into(),
            files: Vec::new(),
            expired: false,
            digest: true,
            corrupt: None,
        }
    }
}

/// How a download differs from what was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrupt {
    /// The declared digest is of something else.
    WrongDigest,
    /// Only the first half is served, as if that were all.
    Truncated,
    /// A byte in the middle is another than its archive says; the digest is right.
    Inside,
}
