//! What a template sees.

use serde::Serialize;

use crate::names::Sha256;

/// One published file, as it is known before its name is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name on GitHub.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256,
    /// Who built it; empty where it is the release's own.
    pub component: String,
}

/// Everything that is told of a release. Field names are an API: templates of others
/// name them, and docs/notes.md lists them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// The release's version, which is its tag.
    pub version: String,
    /// Whether it is published as a prerelease.
    pub prerelease: bool,
    /// The release repository, `owner/name`.
    pub repository: String,
    /// Its page.
    pub repository_url: String,
    /// What was built, by name.
    pub components: Vec<Component>,
    /// How many components were left out, for length.
    pub components_left_out: usize,
    /// The files by platform and variant.
    pub sections: Vec<Section>,
    /// The files by name.
    pub artifacts: Vec<File>,
    /// How many files were left out of both, for length.
    pub artifacts_left_out: usize,
    /// What is new.
    pub changes: Changes,
    /// How to verify the files.
    pub verification: Verification,
}

/// A component of the release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Component {
    /// Its name in the manifest.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Its repository, `owner/name`.
    pub repository: String,
    /// Its page.
    pub repository_url: String,
    /// The commit that it was built at, 40 hex digits.
    pub commit: String,
    /// Its first seven.
    pub short_commit: String,
    /// Its page.
    pub commit_url: String,
    /// The workflow run that built it.
    pub run_id: Option<u64>,
    /// Which attempt of the run.
    pub attempt: Option<u32>,
    /// Its page.
    pub run_url: Option<String>,
    /// How long the run took, for people.
    pub duration: Option<String>,
    /// The same in seconds.
    pub seconds: Option<i64>,
    /// By what the run was recognised, in words.
    pub matched: Option<String>,
}

/// The files for one platform, of one variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// `Linux x86_64, experimental`; `Other files` for those that name no platform.
    pub title: String,
    /// `Linux x86_64`.
    pub platform: Option<String>,
    /// `experimental`; none for the usual one.
    pub variant: Option<String>,
    /// Its files, by name.
    pub artifacts: Vec<File>,
}

/// A file of the release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Where it is downloaded.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// The same for people.
    pub human_size: String,
    /// Its sum, 64 hex digits.
    pub sha256: String,
    /// Who built it; none where it is the release's own.
    pub component: Option<String>,
    /// For which platform it is, as far as its name says.
    pub platform: Option<String>,
    /// Which variant it is.
    pub variant: Option<String>,
}

/// What is new since the last published release.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Changes {
    /// That release; none for the first.
    pub since: Option<Release>,
    /// The changes by kind, over all repositories; none is empty.
    pub groups: Vec<Group>,
    /// What was compared, by component.
    pub compared: Vec<Compared>,
    /// How many comparisons were left out, for length.
    pub compared_left_out: usize,
    /// What else is to be said, one sentence each.
    pub remarks: Vec<String>,
    /// How many of them were left out, for length.
    pub remarks_left_out: usize,
}

/// Another release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// Its page.
    pub url: String,
}

/// Changes of one kind, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// `breaking`, `feature`, `fix`, `performance`, `documentation`, `maintenance` or
    /// `other`.
    pub kind: String,
    /// `Features`.
    pub title: String,
    /// The changes.
    pub changes: Vec<Change>,
    /// How many were left out, for length.
    pub left_out: usize,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The component that it is of; several where they share a repository.
    pub component: String,
    /// The part of it that the subject names in parentheses.
    pub scope: Option<String>,
    /// The first line of its message, without kind, scope and pull request.
    pub subject: String,
    /// The commit.
    pub commit: String,
    /// Its first seven digits.
    pub short_commit: String,
    /// Its page.
    pub commit_url: String,
    /// The pull request that it came by.
    pub pull: Option<u64>,
    /// Its page.
    pub pull_url: Option<String>,
}

/// A component whose commit is another than in the last published release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// The component.
    pub component: String,
    /// The first seven digits of the commit that it was built at then.
    pub from: String,
    /// Of the one that it is built at now.
    pub to: String,
    /// GitHub's page of what lies between.
    pub url: String,
    /// How many commits lie between, where that is known.
    pub commits: Option<u64>,
    /// How many of them were not read, since there are too many.
    pub unread: u64,
}

/// How to verify the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// The public key that the sums are signed for, PEM; none where they are not signed.
    pub public_key: Option<String>,
    /// What to run in an empty folder, in this order.
    pub commands: Vec<String>,
}
