//! Which run belongs to a dispatch. Runs are listed unfiltered and filtered here; a nonce
//! decides at once. Where the workflow shows none, one candidate is ours, two are an error.

use jiff::Timestamp;

use crate::build::{Build, MatchedBy};

/// What our nonces begin with, so that a run of another dispatch is told apart.
pub const NONCE_PREFIX: &str = "bc-";

/// What is known of a listed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The run's id.
    pub id: u64,
    /// Its workflow's path.
    pub path: String,
    /// Its event.
    pub event: String,
    /// The commit it builds.
    pub head_sha: String,
    /// When GitHub created it.
    pub created_at: Timestamp,
    /// Who started it.
    pub actor: Option<String>,
    /// Its title: `run-name` where the workflow sets one.
    pub display_title: String,
    /// Its attempt.
    pub run_attempt: u32,
}

/// What a list of runs says about a dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// None of them is ours.
    None,
    /// This one is.
    Run {
        /// The run's id.
        id: u64,
        /// Its attempt.
        run_attempt: u32,
        /// What proves it.
        by: MatchedBy,
    },
    /// These could be, and nothing decides.
    Ambiguous(Vec<u64>),
}

/// The candidates that could be the run of `build`'s present attempt: one with its nonce,
/// if there is one, alone; where the workflow would show it, no other.
pub fn candidates(build: &Build, runs: &[Candidate], login: &str) -> Vec<Candidate> {
    let possible = runs.iter().filter(|run| could_be(build, run, login));
    let nonce = build.nonce.as_deref().unwrap_or_default();
    let (proven, open): (Vec<_>, Vec<_>) = possible
        .cloned()
        .partition(|run| title_nonce(&run.display_title) == Some(nonce));
    if proven.is_empty() && !build.shows_nonce {
        open.into_iter()
            .filter(|run| title_nonce(&run.display_title).is_none())
            .collect()
    } else {
        proven
    }
}

/// Decides over candidates that no other build has claimed.
pub fn decide(build: &Build, unclaimed: &[Candidate]) -> Match {
    match unclaimed {
        [] => Match::None,
        [run] => {
            let proven =
                title_nonce(&run.display_title).is_some_and(|n| build.nonce.as_deref() == Some(n));
            let by = if proven {
                MatchedBy::Nonce
            } else {
                MatchedBy::OnlyCandidate
            };
            Match::Run {
                id: run.id,
                run_attempt: run.run_attempt,
                by,
            }
        }
        several => Match::Ambiguous(several.iter().map(|run| run.id).collect()),
    }
}

/// Whether a run may be claimed as `ours`: nobody has it, or we have it already. The
/// store says the same as a condition of its write.
pub fn may_claim<Claim: PartialEq>(stored: Option<&Claim>, ours: &Claim) -> bool {
    stored.is_none_or(|stored| stored == ours)
}

/// Runs of attempts that were given up because their run did not appear.
pub fn late<'a>(build: &Build, runs: &'a [Candidate]) -> Vec<&'a Candidate> {
    runs.iter()
        .filter(|run| {
            title_nonce(&run.display_title).is_some_and(|n| build.abandoned.iter().any(|a| a == n))
        })
        .collect()
}

/// Whether a build may have the run that a person names: who started it and when does
/// not matter then, what it builds does.
pub fn may_adopt(build: &Build, run: &Candidate) -> Result<(), String> {
    let (id, path) = (run.id, workflow_path(run));
    if path != build.workflow_path {
        let ours = &build.workflow_path;
        return Err(format!("run {id} is of {path}, and not of {ours}"));
    }
    if run.event != build.spec.trigger.event() {
        let (theirs, ours) = (&run.event, build.spec.trigger.event());
        return Err(format!(
            "run {id} was started by {theirs}, and not by {ours}"
        ));
    }
    if run.head_sha != build.pin {
        let (theirs, ours) = (&run.head_sha, &build.pin);
        return Err(format!(
            "run {id} builds {theirs}, and {} is pinned at {ours}",
            build.component
        ));
    }
    Ok(())
}

/// A path may carry the ref behind an @.
fn workflow_path(run: &Candidate) -> &str {
    run.path.split('@').next().unwrap_or_default()
}

fn could_be(build: &Build, run: &Candidate, login: &str) -> bool {
    may_adopt(build, run).is_ok()
        && build
            .baseline
            .is_some_and(|baseline| run.created_at >= baseline)
        && run.actor.as_deref() == Some(login)
}

/// The nonce in a run's title: `… [bc-0123456789abcdef]`.
pub fn title_nonce(title: &str) -> Option<&str> {
    title
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'))
        .map(|(inside, _)| inside)
        .find(|inside| {
            inside
                .strip_prefix(NONCE_PREFIX)
                .is_some_and(|hex| hex.len() == 16 && hex.chars().all(|c| c.is_ascii_hexdigit()))
        })
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
