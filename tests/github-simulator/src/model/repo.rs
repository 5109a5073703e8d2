//! A repository: its commits, branches, tags and files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::archive::Prepared;
use super::release::Release;
use super::run::Run;
use crate::input::{Repository, Workflow};

/// The state of one repository.
#[derive(Debug)]
pub(crate) struct Repo {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) default_branch: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) workflows: Vec<Registered>,
    /// The commit of each.
    pub(crate) tags: BTreeMap<String, String>,
    /// Of the tags those that are annotated.
    pub(crate) annotated: BTreeMap<String, TagObject>,
    /// The default branch's history, oldest first; the last one is its head.
    pub(crate) commits: Vec<Commit>,
    pub(crate) script: Arc<Prepared>,
    pub(crate) runs: Vec<Run>,
    pub(crate) releases: Vec<Release>,
    /// The release that was made the latest.
    pub(crate) latest: Option<u64>,
    pub(crate) archived: bool,
    pub(crate) may_push: bool,
    pub(crate) immutable_releases: bool,
    /// Tags of immutable releases, for ever.
    pub(crate) locked_tags: BTreeSet<String>,
    /// How many runs the index knows that filtered lists are made of; none: all of them.
    pub(crate) indexed: Option<usize>,
    pub(crate) created_at: Timestamp,
}

/// A workflow with the id that GitHub gave it.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) id: u64,
    pub(crate) spec: Workflow,
}

/// The object of an annotated tag.
#[derive(Debug, Clone)]
pub(crate) struct TagObject {
    pub(crate) sha: String,
    pub(crate) message: String,
    pub(crate) date: Timestamp,
}

/// One commit of the default branch.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) sha: String,
    pub(crate) message: String,
    /// What it merges: a commit of another branch.
    pub(crate) merges: Option<String>,
    pub(crate) date: Timestamp,
}

/// Files whose workflows have a `run-name` only where the runs are titled by it.
fn named(
    mut files: BTreeMap<String, Vec<u8>>,
    workflows: &[Workflow],
) -> BTreeMap<String, Vec<u8>> {
    for workflow in workflows.iter().filter(|workflow| !workflow.run_name) {
        if let Some(file) = files.get_mut(&workflow.path) {
            *file = without_run_name(&String::from_utf8_lossy(file)).into_bytes();
        }
    }
    files
}

fn without_run_name(file: &str) -> String {
    let mut within = false;
    let mut left = String::new();
    for line in file.split_inclusive('\n') {
        within = line.starts_with("run-name:") || within && line.starts_with(' ');
        if !within {
            left.push_str(line);
        }
    }
    left
}

impl Repo {
    pub(crate) fn new(id: u64, given: Repository, now: Timestamp) -> Self {
        let mut repo = Self {
            id,
            name: given.name,
            default_branch: given.default_branch,
            archived: given.archived,
            may_push: given.may_push,
            immutable_releases: given.immutable_releases,
            locked_tags: BTreeSet::new(),
            indexed: None,
            files: named(given.files, &given.workflows),
            workflows: (1..)
                .zip(given.workflows)
                .map(|(n, spec)| Registered {
                    id: id * 100 + n,
                    spec,
                })
                .collect(),
            tags: BTreeMap::new(),
            annotated: BTreeMap::new(),
            commits: Vec::new(),
            script: Arc::new(Prepared::new(given.script)),
            runs: Vec::new(),
            releases: Vec::new(),
            latest: None,
            created_at: now,
        };
        let head = repo.push_commit(now);
        repo.tags = given
            .tags
            .into_iter()
            .map(|tag| (tag, head.clone()))
            .collect();
        repo
    }

    pub(crate) fn owner(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    pub(crate) fn head(&self) -> &str {
        self.commits.last().map_or("", |commit| &commit.sha)
    }

    /// Moves the default branch; the new head depends on nothing but the
    /// repository's name and how many commits came before.
    pub(crate) fn push_commit(&mut self, now: Timestamp) -> String {
        let message = match self.commits.len() + 1 {
            1 => "Initial commit".into(),
            n => format!("Change {n}"),
        };
        self.commit_as(message, false, now)
    }

    /// As [`Repo::push_commit`], with a message; perhaps one that merges a branch.
    pub(crate) fn commit_as(&mut self, message: String, merge: bool, now: Timestamp) -> String {
        let n = self.commits.len() + 1;
        let id = |of: &str| {
            let mut sha = hex::encode(Sha256::digest(format!("{}{of}#{n}", self.name)));
            sha.truncate(40);
            sha
        };
        let (sha, merges) = (id(""), merge.then(|| id("/branch")));
        self.commits.push(Commit {
            sha: sha.clone(),
            message,
            merges,
            date: now,
        });
        sha
    }

    /// Points a tag at the head by an object of its own; the object's id.
    pub(crate) fn annotate(&mut self, tag: &str, message: &str, now: Timestamp) -> String {
        let head = self.head().to_string();
        let mut sha = hex::encode(Sha256::digest(format!("{}@{tag}@{head}", self.name)));
        sha.truncate(40);
        self.tags.insert(tag.into(), head);
        let object = TagObject {
            sha: sha.clone(),
            message: message.into(),
            date: now,
        };
        self.annotated.insert(tag.into(), object);
        sha
    }

    /// The commit that a branch, a tag or a (short) id names, and the branch or
    /// tag as a run's `head_branch` shows it.
    pub(crate) fn resolve(&self, reference: &str) -> Option<(&Commit, String)> {
        let name = reference.strip_prefix("refs/").unwrap_or(reference);
        let branch = name.strip_prefix("heads/").unwrap_or(name);
        let tag = name.strip_prefix("tags/").unwrap_or(name);
        if branch == self.default_branch || reference == "HEAD" {
            return Some((self.commits.last()?, self.default_branch.clone()));
        }
        if let Some(sha) = self.tags.get(tag) {
            return Some((self.commit(sha)?, tag.into()));
        }
        (name.len() >= 7)
            .then(|| self.commit(name))
            .flatten()
            .map(|commit| (commit, name.into()))
    }

    fn commit(&self, sha: &str) -> Option<&Commit> {
        self.commits
            .iter()
            .find(|commit| commit.sha.starts_with(sha))
    }

    /// How many commits of the default branch lie before the given one.
    pub(crate) fn depth(&self, sha: &str) -> usize {
        self.commits
            .iter()
            .position(|commit| commit.sha == sha)
            .unwrap_or_default()
    }

    /// A workflow by id or by file name, as the API's paths name it.
    pub(crate) fn workflow(&self, key: &str) -> Option<&Registered> {
        self.workflows.iter().find(|workflow| {
            workflow.id.to_string() == key
                || workflow.spec.path == key
                || workflow.spec.path.rsplit('/').next() == Some(key)
        })
    }

    pub(crate) fn run(&mut self, id: u64) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_resolve() {
        let given = Repository {
            tags: vec!["v1".into()],
            ..Repository::default()
        };
        let mut repo = Repo::new(1, given, Timestamp::UNIX_EPOCH);
        let first = repo.head().to_string();
        let second = repo.push_commit(Timestamp::UNIX_EPOCH);
        let sha = |name: &str| repo.resolve(name).map(|(commit, _)| commit.sha.clone());
        assert_eq!(sha("main"), Some(second.clone()));
        assert_eq!(sha("refs/heads/main"), Some(second.clone()));
        assert_eq!(sha("refs/tags/v1"), Some(first.clone()));
        assert_eq!(sha("v1"), Some(first));
        assert_eq!(sha(&second[..7]), Some(second));
        assert_eq!(sha("v2"), None);
    }

    #[test]
    fn a_workflow_whose_runs_are_not_titled_has_no_run_name() {
        let file = "name: Build\nrun-name: >-\n  ${{ inputs.nonce }}\n  twice\n\non: push\n";
        let of = |run_name| {
            let workflow = Workflow {
                run_name,
                ..Workflow::default()
            };
            let files = BTreeMap::from([(workflow.path.clone(), file.into())]);
            let named = named(files, &[workflow]);
            String::from_utf8(named.into_values().next().unwrap()).unwrap()
        };
        assert_eq!(of(true), file);
        assert_eq!(of(false), "name: Build\n\non: push\n");
    }
}
