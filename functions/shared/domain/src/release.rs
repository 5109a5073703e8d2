//! A release and what it may become.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::after_publish::Dispatch;
use crate::manifest::Component;
use crate::names::{ReleaseKey, RepoName, Sha256};

/// Status of a release, as stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseStatus {
    /// An execution has the lease and plans.
    Planning,
    /// Builds are on their way.
    Building,
    /// Every build is complete; the draft is being filled.
    Publishing,
    /// Seen by everybody.
    Published,
    /// A whole, verified draft, as asked for.
    Drafted,
    /// Ended without a release.
    Failed,
    /// Ended by a person.
    Cancelled,
}

impl ReleaseStatus {
    /// Whether a new execution may take it up again.
    pub fn may_start_again(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Building => "building",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::Drafted => "drafted",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The `release` item of a release's partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The partition.
    pub key: ReleaseKey,
    /// Where it stands.
    pub status: ReleaseStatus,
    /// Grows by one with each owner.
    pub generation: u64,
    /// The execution that owns it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Published as a prerelease.
    pub prerelease: bool,
    /// Asked to stop at a verified draft.
    #[serde(default)]
    pub stop_at_draft: bool,
    /// The ref that the manifest was read at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_ref: Option<String>,
    /// The commit of that ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_commit: Option<String>,
    /// Where the release's tag is, or is made: the release repository's pin, or the
    /// manifest's commit where that repository is no component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_commit: Option<String>,
    /// A call of Publish was creating the draft; its POST is over by then. It is never taken
    /// away, and no value comes twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_deadline: Option<Timestamp>,
    /// The draft, from the moment it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_release_id: Option<u64>,
    /// Its page, once published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html_url: Option<String>,
    /// The dispatches that follow it, and how they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_publish: Vec<Dispatch>,
    /// First seen.
    pub created_at: Timestamp,
    /// Taken up by its present owner.
    pub started_at: Timestamp,
    /// Published, drafted, failed or cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Since when GitHub cannot be seen to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_since: Option<Timestamp>,
    /// Why it failed, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Release {
    /// The tag that a component of it gets at the commit that was built, where components
    /// are tagged: its own `git_tag`, or its version's. None of a nightly; none where the
    /// release's own tag is the same.
    pub fn component_tag(&self, repository: &RepoName, component: &Component) -> Option<String> {
        let version = self.key.version();
        let tag = component.tag();
        let own = *repository == self.key.repository() && tag == version.as_str();
        (version.nightly_commit().is_none() && !own).then_some(tag)
    }

    /// Whether Settle may end it for `execution`: only its owner's end is its end.
    pub fn is_owned_by(&self, execution: &str) -> bool {
        self.lease.as_deref() == Some(execution)
    }

    /// The first write of Settle: the end, and a generation that makes whatever still
    /// runs lose. A Settle that died on the way has written status and reason, and they
    /// stay: what ended it is not what ended the release.
    pub fn settled(&self, aborted: bool, why: &str, now: Timestamp) -> Self {
        let begun = self.status.may_start_again();
        let status = match (begun, aborted) {
            (true, _) => self.status,
            (false, true) => ReleaseStatus::Cancelled,
            (false, false) => ReleaseStatus::Failed,
        };
        Self {
            status,
            generation: self.generation + 1,
            completed_at: Some(now),
            error: self
                .error
                .clone()
                .filter(|_| begun)
                .or_else(|| Some(why.to_owned())),
            ..self.clone()
        }
    }

    /// Whether the sweeper ends what came after its end, which was later than `since`.
    pub fn is_over(&self, since: Timestamp) -> bool {
        self.lease.is_none() && self.status.may_start_again() && self.completed_at > Some(since)
    }
}

/// Where a build's verified files are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// The run that built them.
    pub workflow_run_id: u64,
    /// Its attempt.
    pub run_attempt: u32,
    /// S3 key of the asset list.
    pub key: String,
    /// SHA-256 of the asset list's bytes.
    pub sha256: Sha256,
    /// How many assets it lists.
    pub count: u64,
}
