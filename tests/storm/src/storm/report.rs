//! What a storm came to.

use serde::{Deserialize, Serialize};
use storm_oracle::Counts;

use super::world::Played;

/// The last line of a storm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Releases in this process.
    pub releases: usize,
    /// Releases through the whole local cloud.
    pub releases_local: usize,
    /// Builds of all of them.
    pub builds: usize,
    /// Faults that happened.
    pub faults_injected: usize,
    /// What never may go wrong.
    #[serde(flatten)]
    pub counts: Counts,
    /// On the wall.
    pub seconds: f64,
}

impl Report {
    /// Adds what a plan came to.
    pub fn add(&mut self, played: &Played, builds: usize) {
        self.builds += builds;
        self.faults_injected += played.faults.len();
        let (sum, more) = (&mut self.counts, played.counts());
        sum.wrong_runs += more.wrong_runs;
        sum.double_dispatches += more.double_dispatches;
        sum.double_releases += more.double_releases;
        sum.partial_releases += more.partial_releases;
        sum.early_dispatches += more.early_dispatches;
        sum.rebuilt_green += more.rebuilt_green;
        sum.stuck += more.stuck;
        sum.leaked_locks += more.leaked_locks;
        sum.unverified_published += more.unverified_published;
        sum.leaked_secrets += more.leaked_secrets;
    }

    /// Whether nothing went wrong that never may.
    pub fn is_clean(&self) -> bool {
        self.counts == Counts::default()
    }

    /// One line of JSON.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("a report is JSON")
    }
}
