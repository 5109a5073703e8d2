//! Judges what became of releases. It sees what GitHub saw and what the table holds in
//! the end, as raw JSON, and knows what was asked for; it shares no code with what it
//! judges, so that no mistake is made twice.
//!
//! What counts as wrong is said at each of the [`Counts`]. What the protocol gives up on
//! purpose is no fault: a dispatch whose run has not appeared in ten minutes may be
//! repeated, and its run, if it comes after all, is not published; an orphaned lock keeps
//! its repository until that run cannot come any more.

mod builds;
mod dispatches;
mod ends;
mod releases;
mod seen;

pub use seen::{
    Artifact, Asset, Attempt, Component, End, File, Moment, Release, Request, Run, Seen,
};

use std::fmt;

use serde::{Deserialize, Serialize};

/// How often each thing went wrong that never may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Something published is of a run that is not its build's: of another version,
    /// component, commit, attempt or person, or of nobody.
    pub wrong_runs: u64,
    /// A build was dispatched while a dispatch of it was on its way.
    pub double_dispatches: u64,
    /// A version has two releases, or was published twice.
    pub double_releases: u64,
    /// A release was seen while it was not whole.
    pub partial_releases: u64,
    /// A build was dispatched before all that it requires was green.
    pub early_dispatches: u64,
    /// A build that was green was built again, unasked and without an expired artifact.
    pub rebuilt_green: u64,
    /// A release has no end.
    pub stuck: u64,
    /// The lock of a repository is held for a release that has ended.
    pub leaked_locks: u64,
    /// Something published is not what its run's artifact held, or its artifact was not
    /// what was declared.
    pub unverified_published: u64,
    /// A secret is written somewhere.
    pub leaked_secrets: u64,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which of the counts.
    pub what: What,
    /// A sentence.
    pub why: String,
}

/// The names of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is told at its count")]
pub enum What {
    WrongRuns,
    DoubleDispatches,
    DoubleReleases,
    PartialReleases,
    EarlyDispatches,
    RebuiltGreen,
    Stuck,
    LeakedLocks,
    UnverifiedPublished,
    LeakedSecrets,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.what, self.why)
    }
}

impl Counts {
    /// Counts findings.
    pub fn of(findings: &[Finding]) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            *counts.count(finding.what) += 1;
        }
        counts
    }

    fn count(&mut self, what: What) -> &mut u64 {
        match what {
            What::WrongRuns => &mut self.wrong_runs,
            What::DoubleDispatches => &mut self.double_dispatches,
            What::DoubleReleases => &mut self.double_releases,
            What::PartialReleases => &mut self.partial_releases,
            What::EarlyDispatches => &mut self.early_dispatches,
            What::RebuiltGreen => &mut self.rebuilt_green,
            What::Stuck => &mut self.stuck,
            What::LeakedLocks => &mut self.leaked_locks,
            What::UnverifiedPublished => &mut self.unverified_published,
            What::LeakedSecrets => &mut self.leaked_secrets,
        }
    }
}

/// Everything that went wrong.
pub fn judge(seen: &Seen) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |what, why| findings.push(Finding { what, why });
    releases::judge(seen, &mut say);
    dispatches::judge(seen, &mut say);
    builds::judge(seen, &mut say);
    ends::judge(seen, &mut say);
    findings
}

/// Where a judge says what it found.
type Say<'a> = &'a mut dyn FnMut(What, String);
