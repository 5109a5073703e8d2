//! What is judged: GitHub's side of what happened, and the table in the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

/// Everything that is seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// A release's seconds per second.
    pub speed: f64,
    /// Whose token the releases have.
    pub login: String,
    /// `owner/name` of where releases are published.
    pub release_repository: String,
    /// What was to be released under each version: its components by name.
    pub asked: BTreeMap<String, BTreeMap<String, Component>>,
    /// Components that were asked for by name to be built again, by version.
    pub asked_again: BTreeSet<(String, String)>,
    /// Every run.
    pub runs: Vec<Run>,
    /// Every call to the API.
    pub requests: Vec<Request>,
    /// How releases of the release repository changed, oldest first.
    pub moments: Vec<Moment>,
    /// Every item of the table, attributes without their types.
    pub table: Vec<Value>,
    /// How each version that was started stands.
    pub ends: Vec<End>,
    /// What no secret may be in: where it was written, and what.
    pub written: Vec<(String, String)>,
    /// What every secret holds.
    pub canary: String,
    /// The public half of what signs releases, as SubjectPublicKeyInfo; none where they are
    /// not signed.
    pub signing_key: Option<Vec<u8>>,
}

/// What a version was asked to have of a component.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// `owner/name`.
    pub repository: String,
    /// What must be green before.
    pub requires: Vec<String>,
    /// The files of its artifacts that are published; none where it publishes nothing.
    pub files: BTreeSet<String>,
}

/// A workflow run.
#[derive(Debug, Clone)]
pub struct Run {
    /// `owner/name`.
    pub repository: String,
    /// Its id.
    pub id: u64,
    /// Who started it.
    pub actor: String,
    /// The commit that it builds.
    pub head_sha: String,
    /// What it was started with: `client_payload`, or the inputs.
    pub payload: Value,
    /// When it came about, precisely.
    pub created_at: Timestamp,
    /// When GitHub was asked for it, where that was seen: a run may come about later.
    pub asked_at: Option<Timestamp>,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// What they uploaded, oldest first.
    pub artifacts: Vec<Artifact>,
}

/// One attempt of a run.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How and when it ended, if it did.
    pub ended: Option<(String, Timestamp)>,
}

/// What an attempt uploaded.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Of which attempt.
    pub attempt: u32,
    /// Whether it could be downloaded no more.
    pub expired: bool,
    /// Whether its download is what was declared.
    pub sound: bool,
    /// What is in it.
    pub files: Vec<File>,
}

/// A file of an artifact.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path there.
    pub path: String,
    /// Its bytes.
    pub content: Bytes,
}

/// A call to GitHub.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came.
    pub time: Timestamp,
    /// `GET`, `POST`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The answer's; 0 where it was lost.
    pub status: u16,
}

/// What a release looked like from an instant on.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub time: Timestamp,
    /// Its id.
    pub id: u64,
    /// The release; none: it was deleted.
    pub release: Option<Release>,
}

/// A release at GitHub.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its tag.
    pub tag: String,
    /// Not seen by others.
    pub draft: bool,
    /// Its files.
    pub assets: Vec<Asset>,
}

/// A file of a release.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// `uploaded`, or `starter`.
    pub state: String,
    /// Its bytes.
    pub content: Bytes,
}

/// How a version stands when nothing happens any more.
#[derive(Debug, Clone)]
pub struct End {
    /// The version.
    pub version: String,
    /// Executions of it that have not ended.
    pub running: Vec<String>,
}

/// What no file of a hostile archive may bring in.
const HOSTILE: &[u8] = b"HOSTILE";

impl Artifact {
    /// Whether it can be had, is what was declared, and holds nothing hostile.
    pub(crate) fn is_usable(&self) -> bool {
        let hostile = self.files.iter().any(|file| is_hostile(&file.content));
        self.sound && !self.expired && !hostile
    }
}

/// Whether these bytes are of a hostile archive's.
pub(crate) fn is_hostile(content: &[u8]) -> bool {
    content.windows(HOSTILE.len()).any(|part| part == HOSTILE)
}

impl Run {
    /// The version and the component that it was started for, by us.
    pub(crate) fn of(&self, seen: &Seen) -> Option<(&str, &str)> {
        let release = self.payload["release"].as_str()?;
        let version = release.strip_prefix(&format!("{}/", seen.release_repository))?;
        let component = self.payload["component"].as_str()?;
        (self.actor == seen.login).then_some((version, component))
    }

    /// When it first ended as `success`.
    pub(crate) fn green_at(&self) -> Option<Timestamp> {
        let ends = self.attempts.iter().filter_map(|a| a.ended.as_ref());
        let mut green = ends.filter(|(conclusion, _)| conclusion == "success");
        green.next().map(|(_, time)| *time)
    }

    /// When its latest attempt ended.
    pub(crate) fn over_at(&self) -> Option<Timestamp> {
        Some(self.attempts.last()?.ended.as_ref()?.1)
    }
}

impl Seen {
    /// The runs that were started for a version, with what for.
    pub(crate) fn started(&self) -> Vec<(&str, &str, &Run)> {
        let started = self.runs.iter().filter_map(|run| {
            let (version, component) = run.of(self)?;
            Some((version, component, run))
        });
        started.collect()
    }

    /// When it was first asked that a run be cancelled.
    pub(crate) fn cancelled_at(&self, run: &Run) -> Option<Timestamp> {
        let of_run = format!("/repos/{}/actions/runs/{}/", run.repository, run.id);
        let asked = self.requests.iter().filter(|request| {
            let rest = request.path.strip_prefix(&of_run);
            let cancels = rest.is_some_and(|rest| ["cancel", "force-cancel"].contains(&rest));
            request.method == "POST" && cancels && [0, 202].contains(&request.status)
        });
        asked.map(|request| request.time).min()
    }

    /// The items of the table whose sort key begins so.
    pub(crate) fn items<'a>(&'a self, sk: &'a str) -> impl Iterator<Item = &'a Value> {
        let of = move |item: &&Value| item["sk"].as_str().is_some_and(|s| s.starts_with(sk));
        self.table.iter().filter(of)
    }

    /// The key of a version's release.
    pub(crate) fn key(&self, version: &str) -> String {
        format!("{}/{version}", self.release_repository)
    }
}
