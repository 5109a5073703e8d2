//! What follows a published release: a `repository_dispatch` to each repository that the
//! manifest names, such as a website's or one of images.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::names::RepoName;
use crate::release::Release;

/// One `repository_dispatch`, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Where it is sent.
    pub repository: RepoName,
    /// Its `event_type`.
    pub event_type: String,
    /// The intent, written before the call: who finds it without an end looks whether the
    /// dispatch has arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// It has arrived, or it cannot be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it cannot be sent, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Dispatch {
    /// One that was not begun.
    pub fn new(repository: RepoName, event_type: String) -> Self {
        Self {
            repository,
            event_type,
            begun_at: None,
            ended_at: None,
            error: None,
        }
    }
}

impl Release {
    /// The first dispatch that has no end yet, by its place.
    pub fn next_dispatch(&self) -> Option<usize> {
        let dispatches = self.after_publish.iter();
        dispatches.into_iter().position(|d| d.ended_at.is_none())
    }

    /// With one dispatch changed.
    pub fn with_dispatch(&self, place: usize, change: impl FnOnce(&mut Dispatch)) -> Self {
        let mut changed = self.clone();
        if let Some(dispatch) = changed.after_publish.get_mut(place) {
            change(dispatch);
        }
        changed
    }

    /// The `client_payload`: eight of GitHub's ten keys, the same however often it is sent.
    pub fn after_publish_payload(&self) -> Value {
        json!({
            "version": self.key.version(),
            "release": self.key,
            "repository": self.key.repository(),
            "commit": self.target_commit,
            "prerelease": self.prerelease,
            "html_url": self.html_url,
            "published_at": self.completed_at,
            "triggered_by": "bllvm-commons",
        })
    }
}
