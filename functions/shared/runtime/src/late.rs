//! Runs that came too late: the dispatch was given up, or its release has ended. They
//! are claimed for that dispatch, so that nobody else takes them, and cancelled.

use commons_domain::build::Build;
use commons_domain::lock::Lock;
use commons_domain::matching::{Candidate, candidates, title_nonce};
use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::run::Seen;
use commons_domain::times::{CLOCK_SKEW, DISPATCH_BEGINS, DISPATCH_DEADLINE};
use commons_github::Error;
use commons_store::{Claim, Claimed, StoreError};

use crate::Stage;

/// Why late runs could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum LateError {
    /// At GitHub.
    #[error(transparent)]
    GitHub(#[from] Error),
    /// At the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What GitHub says of a run, for who judges its progress.
pub fn seen(run: &commons_github::Run) -> Seen {
    Seen {
        status: run.status.clone(),
        conclusion: run.conclusion.clone(),
        run_attempt: run.run_attempt,
        head_sha: run.head_sha.clone(),
        run_started_at: run.run_started_at,
    }
}

/// What the decisions need to know of a run.
pub fn candidate(run: commons_github::Run) -> Candidate {
    Candidate {
        id: run.id,
        path: run.path,
        event: run.event,
        head_sha: run.head_sha,
        created_at: run.created_at,
        actor: run.actor,
        display_title: run.display_title,
        run_attempt: run.run_attempt,
    }
}

/// Claims a run for the dispatch of `build` that it came from, and cancels it; the build's
/// events tell of it. Another claim wins: then the run is not touched, and the answer is
/// false.
pub async fn cancel_late(
    stage: &Stage,
    repository: &RepoName,
    run: u64,
    claim: &Claim,
    build: Option<&Build>,
) -> Result<bool, LateError> {
    let store = &stage.store;
    let claimed = match build {
        Some(build) => store.claim_late(repository, run, claim, build).await?,
        None => store.claim(repository, run, claim).await?,
    };
    if let Claimed::By(_) = claimed {
        return Ok(false);
    }
    tracing::warn!(run, %repository, component = claim.component, "a run came late; it is cancelled");
    match stage.github.cancel(repository, run).await {
        // 409: it has ended by itself.
        Ok(()) | Err(Error::Conflict { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Looks for the run of a lock whose release ended before the run was claimed; if it
/// has come, it is cancelled and the lock is free. `holder` is the build that the lock
/// names: while it still stands at that dispatch, a run without a nonce can be told too.
///
/// Running it twice is safe: the claim is the same, and a lock is released by its nonce.
pub async fn cancel_orphan(
    stage: &Stage,
    repository: &RepoName,
    lock: &Lock,
    holder: Option<&Build>,
) -> Result<bool, LateError> {
    let named = holder;
    let holder = holder.filter(|build| build.nonce.as_ref() == Some(&lock.nonce));
    // Taken up again with its release: its own Poll claims the run.
    if holder.is_some_and(|build| build.status.is_on_its_way()) {
        return Ok(false);
    }
    let claim = claim_of(&lock.release, &lock.component, &lock.nonce);
    let since = holder
        .and_then(|build| build.baseline)
        .unwrap_or(lock.post_deadline - DISPATCH_DEADLINE - DISPATCH_BEGINS - CLOCK_SKEW);
    let listed = stage.github.runs_since(repository, since).await?;
    let runs: Vec<Candidate> = listed.into_iter().map(candidate).collect();
    let shown = runs
        .iter()
        .find(|run| title_nonce(&run.display_title) == Some(&lock.nonce));
    let found = match (shown, holder) {
        (Some(run), _) => Some(run.id),
        (None, Some(build)) => the_only_one(stage, build, &runs, &claim).await?,
        (None, None) => None,
    };
    let Some(run) = found else {
        return Ok(false);
    };
    // The list was made before: while the lock is the same, nobody has dispatched since.
    let now = stage.store.lock(repository).await?;
    if !now.is_some_and(|now| now.is_as_read(lock)) {
        return Ok(false);
    }
    if !cancel_late(stage, repository, run, &claim, named).await? {
        return Ok(false);
    }
    stage.store.release_lock(repository, &lock.nonce).await?;
    Ok(true)
}

/// The claim of a dispatch.
pub fn claim_of(release: &ReleaseKey, component: &str, nonce: &str) -> Claim {
    Claim {
        release: release.clone(),
        component: component.to_owned(),
        nonce: nonce.to_owned(),
    }
}

/// The claim of a build's present dispatch.
pub fn own_claim(build: &Build) -> Claim {
    let nonce = build.nonce.as_deref().unwrap_or_default();
    claim_of(&build.release, &build.component, nonce)
}

/// The run that is claimed so already, by whoever died before it cancelled it; else the
/// only unclaimed one that can be the build's: the lock kept others away.
async fn the_only_one(
    stage: &Stage,
    build: &Build,
    runs: &[Candidate],
    claim: &Claim,
) -> Result<Option<u64>, LateError> {
    let login = stage.github.login().await?;
    let mut unclaimed = Vec::new();
    for run in candidates(build, runs, &login) {
        match stage.store.claim_of(&build.repository, run.id).await? {
            None => unclaimed.push(run.id),
            Some(claimed) if claimed == *claim => return Ok(Some(run.id)),
            Some(_) => {}
        }
    }
    Ok(match unclaimed[..] {
        [run] => Some(run),
        _ => None,
    })
}
