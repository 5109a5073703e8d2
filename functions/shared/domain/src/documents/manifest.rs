//! `release-manifest.json`: who built what from what. Its schema is
//! `docs/release-manifest.schema.json`.

use serde::{Deserialize, Serialize};

use crate::build::Build;
use crate::names::{RepoName, Sha256, Version};
use crate::release::Release;

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseManifest {
    /// The release's version, which is its tag.
    pub version: Version,
    /// Where it is published.
    pub repository: RepoName,
    /// The commit of its tag.
    pub commit: Option<String>,
    /// Whether it is a prerelease.
    pub prerelease: bool,
    /// What was released: `versions.toml`.
    pub manifest: Manifest,
    /// Every component, in the order in which they were built.
    pub components: Vec<Component>,
    /// Every file that was built, sorted by name.
    pub assets: Vec<Asset>,
}

/// Where the manifest was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its path in the release's repository.
    pub path: String,
    /// The commit that it was read at. Not by which name: that may be another when it is
    /// read again, and this document must not.
    pub commit: Option<String>,
}

/// A component, and the run that built it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name in the manifest.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Where it was built.
    pub repository: RepoName,
    /// The commit that was built.
    pub commit: String,
    /// The branch or tag that was built.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The path of the workflow that built it.
    pub workflow: String,
    /// The event that started the workflow.
    pub event: String,
    /// The workflow run.
    pub run_id: u64,
    /// Its attempt.
    pub run_attempt: u32,
    /// The components that had to be green before.
    pub requires: Vec<String>,
}

/// A file, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its name at GitHub.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: Sha256,
    /// The component that built it.
    pub component: String,
    /// Where it was built.
    pub repository: RepoName,
    /// From which commit.
    pub commit: String,
    /// By which workflow run.
    pub run_id: u64,
    /// By which attempt of it.
    pub run_attempt: u32,
    /// The artifact of the run that it came in.
    pub artifact: Artifact,
}

/// An artifact of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// GitHub's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Of the artifact's own bytes; none where GitHub announced none.
    pub digest: Option<Sha256>,
    /// The file's path in it.
    pub path: String,
}

impl Component {
    /// What was built; none of a build that has collected nothing.
    pub fn of(build: &Build) -> Option<Self> {
        let collected = build.collected.as_ref()?;
        Some(Self {
            name: build.component.clone(),
            version: build.spec.version.clone(),
            repository: build.repository.clone(),
            commit: build.pin.clone(),
            git_ref: build.git_ref.clone(),
            workflow: build.workflow_path.clone(),
            event: build.spec.trigger.event().to_owned(),
            run_id: collected.workflow_run_id,
            run_attempt: collected.run_attempt,
            requires: build.requires.clone(),
        })
    }
}

impl ReleaseManifest {
    /// Of a release with these complete builds and files; `path` is the manifest's.
    pub fn of(release: &Release, path: &str, builds: &[Build], mut assets: Vec<Asset>) -> Self {
        assets.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            version: release.key.version(),
            repository: release.key.repository(),
            commit: release.target_commit.clone(),
            prerelease: release.prerelease,
            manifest: Manifest {
                path: path.to_owned(),
                commit: release.manifest_commit.clone(),
            },
            components: builds.iter().filter_map(Component::of).collect(),
            assets,
        }
    }

    /// The document's text: JSON that people can read, with a line break at its end.
    pub fn render(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}
