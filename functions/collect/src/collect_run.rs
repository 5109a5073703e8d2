//! Collecting one run: choose, receive, check, list.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use commons_artifacts::{AssetList, Store, Verification, list_key, select};
use commons_domain::clock::Clock;
use commons_domain::names::{ReleaseKey, RepoName, Sha256};
use commons_github::{Artifact, GitHub};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use crate::checks;
use crate::receive::{Received, receive};

/// Artifacts that are received at a time: each has a few parts in memory.
pub const AT_A_TIME: usize = 4;

/// What to collect.
#[derive(Debug, Clone)]
pub struct Job {
    /// The release.
    pub release_key: ReleaseKey,
    /// The component.
    pub component: String,
    /// Its repository.
    pub repository: RepoName,
    /// The green run.
    pub run_id: u64,
    /// Its attempt.
    pub run_attempt: u32,
    /// Globs over artifact names.
    pub artifacts: Vec<String>,
    /// Programs that must be there.
    pub binaries: Vec<String>,
    /// Put before each asset's name.
    pub asset_prefix: Option<String>,
    /// The component's version.
    pub version: String,
}

/// What collecting works with, and how long.
pub struct Means<'a> {
    /// GitHub.
    pub github: &'a GitHub,
    /// The bucket.
    pub s3: &'a Store,
    clock: &'a dyn Clock,
    until: Timestamp,
    received: AtomicUsize,
    /// One artifact could not be received: no other is begun.
    failed: AtomicBool,
    /// One artifact makes the rest worth nothing.
    refused: AtomicBool,
}

impl<'a> Means<'a> {
    /// For one call, which has this much time.
    pub fn new(github: &'a GitHub, s3: &'a Store, clock: &'a dyn Clock, time: Duration) -> Self {
        Self {
            github,
            s3,
            clock,
            until: clock.now() + time,
            received: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// How many artifacts came whole in this call.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn has_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn has_failed(&self, error: &CollectError) {
        self.failed.store(true, Ordering::Relaxed);
        if error.is_final() {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Whether one more artifact may be begun.
    pub(crate) fn may_begin(&self) -> bool {
        !self.failed.load(Ordering::Relaxed) && !self.is_over()
    }

    /// Whether what is on its way shall end: the time is up, or it is of no use.
    pub(crate) fn is_over(&self) -> bool {
        self.refused.load(Ordering::Relaxed) || self.now() > self.until
    }
}

/// Why a run was not collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What was built is not what it should be: the build fails.
    #[error(transparent)]
    Verification(#[from] Verification),
    /// GitHub refused.
    #[error("{0}")]
    Refused(String),
    /// The call's time is up: what has come is written down.
    #[error("not every artifact came in the time of one call")]
    TimeUp,
    /// GitHub, S3 or the disk could not be used: try again.
    #[error("{why}")]
    CannotSee {
        /// What happened.
        why: String,
        /// What GitHub asks to wait.
        retry_after: Option<Duration>,
    },
}

impl From<commons_github::Error> for CollectError {
    fn from(error: commons_github::Error) -> Self {
        let why = error.to_string();
        if error.is_cannot_see() {
            let retry_after = error.retry_after();
            Self::CannotSee { why, retry_after }
        } else {
            Self::Refused(why)
        }
    }
}

impl CollectError {
    /// Whether the next call would come to the same.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Verification(_) | Self::Refused(_))
    }

    /// Of the errors of several artifacts the one with the highest is told.
    fn rank(&self) -> u8 {
        match self {
            _ if self.is_final() => 3,
            Self::CannotSee { retry_after, .. } => 1 + u8::from(retry_after.is_some()),
            _ => 0,
        }
    }

    pub(crate) fn cannot_see(error: &impl std::fmt::Display) -> Self {
        Self::CannotSee {
            why: error.to_string(),
            retry_after: None,
        }
    }
}

impl Job {
    /// Below it is everything that is kept of the run's attempt but its list.
    pub fn folder(&self) -> String {
        let (key, component) = (&self.release_key, &self.component);
        format!("{key}/{component}/{}.{}/", self.run_id, self.run_attempt)
    }

    /// Where a file of an artifact goes. Two artifacts may hold files of one name.
    pub fn key(&self, artifact: u64, name: &str) -> String {
        let prefix = self.asset_prefix.as_deref().unwrap_or_default();
        format!("{}{artifact}/{prefix}{name}", self.folder())
    }

    /// Where it is written down what was received of an artifact.
    pub fn record_key(&self, artifact: u64) -> String {
        format!("{}{artifact}.json", self.folder())
    }
}

/// Collects a run; the list, its S3 key, and the sum of its bytes. What fails verification
/// leaves nothing in the bucket.
pub async fn collect_run(
    means: &Means<'_>,
    job: &Job,
) -> Result<(AssetList, String, Sha256), CollectError> {
    let s3 = means.s3;
    let collected = assets(means, job).await;
    if collected.as_ref().is_err_and(CollectError::is_final) {
        let deleted = s3.delete_all(&job.folder()).await;
        deleted.map_err(|error| CollectError::cannot_see(&error))?;
    }
    let list = AssetList {
        component: job.component.clone(),
        run_id: job.run_id,
        run_attempt: job.run_attempt,
        assets: collected?,
    };
    let key = list_key(
        &job.release_key,
        &job.component,
        job.run_id,
        job.run_attempt,
    );
    let sha256 = s3
        .put_json(&key, &list)
        .await
        .map_err(|error| CollectError::cannot_see(&error))?;
    Ok((list, key, sha256))
}

async fn assets(
    means: &Means<'_>,
    job: &Job,
) -> Result<Vec<commons_artifacts::Asset>, CollectError> {
    if job.artifacts.is_empty() && job.binaries.is_empty() {
        return Ok(Vec::new());
    }
    let found = means.github.artifacts(&job.repository, job.run_id).await?;
    let chosen = select::choose(&found, &job.artifacts)
        .map_err(|error| CollectError::Refused(error.to_string()))?;
    checks::artifacts(job, &found, &chosen)?;
    // Made before they are run: with the closure in the stream the compiler would not see
    // that the whole may move between threads.
    let received = chosen.iter().map(|artifact| one(means, job, artifact));
    let received: Vec<_> = received.collect();
    let received: Vec<_> = stream::iter(received).buffered(AT_A_TIME).collect().await;
    let received = all(received)?;
    // Where no glob chose them, those count that hold a declared binary.
    let counts =
        |received: &Received| !job.artifacts.is_empty() || checks::holds_any(job, received);
    let received: Vec<Received> = received.into_iter().filter(counts).collect();
    checks::binaries(job, &received)?;
    checks::sums(&received)?;
    Ok(checks::assets(job, &received)?)
}

/// One artifact; the others are told when it does not come.
async fn one(means: &Means<'_>, job: &Job, artifact: &Artifact) -> Result<Received, CollectError> {
    let received = receive(means, job, artifact).await;
    if let Err(error) = &received {
        means.has_failed(error);
    }
    received
}

/// All of them, or why not: the first of the errors that say most.
fn all(received: Vec<Result<Received, CollectError>>) -> Result<Vec<Received>, CollectError> {
    let mut all = Vec::new();
    let mut errors = Vec::new();
    for one in received {
        match one {
            Ok(one) => all.push(one),
            Err(error) => errors.push(error),
        }
    }
    // Of equal ones the last is taken.
    let worst = errors.into_iter().rev().max_by_key(CollectError::rank);
    worst.map_or(Ok(all), Err)
}
