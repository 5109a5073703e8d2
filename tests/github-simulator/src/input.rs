//! What a simulated organisation consists of: repositories, their workflows,
//! and the script that their runs follow.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

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
    /// Each file ends in a line of JSON that says who built it: repository, commit, run,
    /// attempt, actor, and the release, version and component that the run was asked for.
    pub provenance: bool,
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
            provenance: false,
        }
    }
}

/// One upload of a run, served as a zip unless it is raw.
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
    /// Uploaded as it is; then there are no `files`.
    pub raw: Option<Raw>,
    /// What serves its bytes.
    pub storage: Storage,
}

impl Default for Artifact {
    fn default() -> Self {
        Self {
            name: "artifact".into(),
            files: Vec::new(),
            expired: false,
            digest: true,
            corrupt: None,
            raw: None,
            storage: Storage::default(),
        }
    }
}

/// A file that is uploaded without a zip around it: `archive: false` of upload-artifact v7.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    /// Its bytes.
    pub content: Vec<u8>,
    /// The Content-Type of its download.
    pub content_type: Option<String>,
    /// The Content-Disposition of its download.
    pub disposition: Option<String>,
}

impl Artifact {
    /// A file that is uploaded as it is. The artifact has its name, and the download says
    /// it in ASCII and in UTF-8, and by the name's ending what it is, as the uploader does.
    pub fn raw(name: &str, content: impl Into<Vec<u8>>) -> Self {
        let kind = match name.rsplit('.').next() {
            Some("gz") => "application/gzip",
            Some("tar") => "application/x-tar",
            Some("txt") => "text/plain",
            Some("zip") => "application/zip",
            _ => "application/octet-stream",
        };
        let plain = name.replace(|c: char| !c.is_ascii() || c == '"', "_");
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
        let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
        Self {
            name: name.into(),
            raw: Some(Raw {
                content: content.into(),
                content_type: Some(kind.into()),
                disposition: Some(disposition),
            }),
            ..Self::default()
        }
    }
}

/// What serves a download's bytes. GitHub's own does it as Azure's Blob Storage; what an
/// Enterprise Server has, and what stands between, may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Storage {
    /// Serves the range that is asked for, and says how long the whole is.
    #[default]
    Ranges,
    /// Serves all bytes, whatever range is asked for.
    NoRanges,
    /// Serves all bytes, and does not say how many they are.
    NoLength,
    /// Serves all bytes and then others, without an end.
    Endless,
    /// Says that the whole has so many bytes more, and serves others there, without an end.
    Longer(u64),
    /// Serves a byte every 20 ms.
    Slow,
    /// Serves a byte every 20 ms at the first address that a download is given, and ranges
    /// at those that follow.
    SlowOnce,
    /// Is elsewhere: the download is redirected to this address.
    Elsewhere(String),
}

impl Artifact {
    /// The same, where every file ends in this line.
    pub(crate) fn with_last_line(&self, line: &str) -> Self {
        let mut other = self.clone();
        for (_, content) in &mut other.files {
            content.push(b'\n');
            content.extend_from_slice(line.as_bytes());
        }
        other
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
