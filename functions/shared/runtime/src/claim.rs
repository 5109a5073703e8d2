//! Finding the run of a dispatch, and claiming it.

use commons_domain::build::{Build, MatchedBy};
use commons_domain::matching::{Candidate, Match, candidates, decide};
use commons_domain::names::ReleaseKey;
use commons_domain::run::Seen;
use commons_github::{Error, Run};
use commons_store::{Claim, Claimed, StoreError};

use crate::Stage;

/// Why runs could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// At GitHub.
    #[error(transparent)]
    GitHub(#[from] Error),
    /// At the table.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What GitHub says of a run, for who judges its progress.
pub fn seen(run: &Run) -> Seen {
    Seen {
        status: run.status.clone(),
        conclusion: run.conclusion.clone(),
        run_attempt: run.run_attempt,
        head_sha: run.head_sha.clone(),
        run_started_at: run.run_started_at,
    }
}

/// What the decisions need to know of a run.
pub fn candidate(run: Run) -> Candidate {
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

/// The runs that can be that of a dispatch of `build`, and that nobody has claimed; the one
/// that is claimed for it, if there is one, alone.
pub(crate) async fn unclaimed(
    stage: &Stage,
    build: &Build,
    runs: &[Candidate],
    claim: &Claim,
) -> Result<Vec<Candidate>, FindError> {
    let login = stage.github.login().await?;
    let mut unclaimed = Vec::new();
    for run in candidates(build, runs, &login) {
        match stage.store.claim_of(&build.repository, run.id).await? {
            None => unclaimed.push(run),
            Some(claimed) if claimed == *claim => return Ok(vec![run]),
            Some(_) => {}
        }
    }
    Ok(unclaimed)
}

/// The run of the present attempt of `build` among those that were listed since.
pub async fn find_run(stage: &Stage, build: &Build, listed: Vec<Run>) -> Result<Match, FindError> {
    let runs: Vec<Candidate> = listed.into_iter().map(candidate).collect();
    let unclaimed = unclaimed(stage, build, &runs, &own_claim(build)).await?;
    Ok(match decide(build, &unclaimed) {
        Match::Run {
            id,
            by: MatchedBy::OnlyCandidate,
            ..
        } if !is_ours(stage, build, id).await? => Match::None,
        found => found,
    })
}

/// Whether the only candidate is this build's although it shows no nonce: nobody else
/// dispatches while the build has the lock, which is read after the list; or it was
/// claimed already.
async fn is_ours(stage: &Stage, build: &Build, run: u64) -> Result<bool, StoreError> {
    let (store, repository) = (&stage.store, &build.repository);
    let lock = store.lock(repository).await?;
    let claim = own_claim(build);
    let holds = lock.is_some_and(|lock| {
        lock.release == build.release
            && lock.component == build.component
            && lock.nonce == claim.nonce
    });
    Ok(holds || store.claim_of(repository, run).await? == Some(claim))
}

/// Claims a run for the present attempt of `build`; the build as it is then, or who was
/// faster.
pub async fn claim_run(
    stage: &Stage,
    build: &Build,
    id: u64,
    run_attempt: u32,
    by: MatchedBy,
) -> Result<Result<Build, Claim>, StoreError> {
    let claimed = build.claimed(id, run_attempt, by);
    let why = format!("claimed run {id}, known by {}", by.words());
    let claim = own_claim(build);
    let written = stage.store.claim_for(id, &claim, build, &claimed, &why);
    Ok(match written.await? {
        Claimed::Ours => Ok(claimed),
        Claimed::By(other) => Err(other),
    })
}
