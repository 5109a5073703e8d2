//! Runs that came too late: the dispatch was given up, or its release has ended. They
//! are claimed for that dispatch, so that nobody else takes them, and cancelled.

use commons_domain::build::Build;
use commons_domain::lock::Lock;
use commons_domain::matching::{Candidate, title_nonce};
use commons_domain::names::RepoName;
use commons_domain::times::{CLOCK_SKEW, DISPATCH_BEGINS, DISPATCH_DEADLINE};
use commons_github::Error;
use commons_store::{Claim, Claimed};

use crate::Stage;
use crate::claim::{FindError, candidate, claim_of, unclaimed};

/// Claims a run for the dispatch of `build` that it came from, and cancels it; the build's
/// events tell of it. Another claim wins: then the run is not touched, and the answer is
/// false.
pub async fn cancel_late(
    stage: &Stage,
    repository: &RepoName,
    run: u64,
    claim: &Claim,
    build: Option<&Build>,
) -> Result<bool, FindError> {
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
/// names: while that has not dispatched since, a run without a nonce can be told too.
///
/// Running it twice is safe: the claim is the same, and a lock is released by its nonce.
pub async fn cancel_orphan(
    stage: &Stage,
    repository: &RepoName,
    lock: &Lock,
    holder: Option<&Build>,
) -> Result<bool, FindError> {
    let named = holder;
    let holder = holder.filter(|build| build.last_dispatched_with(&lock.nonce));
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
        (None, Some(build)) => match unclaimed(stage, build, &runs, &claim).await?[..] {
            // The lock kept others away.
            [ref run] => Some(run.id),
            _ => None,
        },
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
