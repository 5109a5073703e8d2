//! Finding the run of a dispatch, and claiming it.

use commons_domain::attempts::Outcome;
use commons_domain::build::{Build, MatchedBy};
use commons_domain::manifest::Trigger;
use commons_domain::matching::{self, Candidate, Match};
use commons_domain::times::RUN_APPEAR_TIMEOUT;
use commons_github::Run;
use commons_runtime::{Stage, after_attempt, cancel_late, candidate, claim_of, own_claim};
use commons_store::Claimed;

use crate::{Look, Next, StoreOr, ended_or_retrying, wait_of};

/// Looks for the run of the present attempt in the repository's unfiltered list.
pub async fn find_run(stage: &Stage, build: &Build) -> Result<Next, Look> {
    let runs = listed(stage, build).await?;
    end_late(stage, build, &runs).await?;
    let runs: Vec<Candidate> = runs.into_iter().map(candidate).collect();
    let login = stage.github.login().await?;
    let mut unclaimed = Vec::new();
    for run in matching::candidates(build, &runs, &login) {
        match stage
            .store
            .claim_of(&build.repository, run.id)
            .await
            .map_err(StoreOr)?
        {
            None => unclaimed.push(run),
            Some(claim) if claim == own_claim(build) => {
                unclaimed = vec![run];
                break;
            }
            Some(_) => {}
        }
    }
    match matching::decide(build, &unclaimed) {
        Match::Run {
            id,
            run_attempt,
            by,
        } => {
            if by == MatchedBy::OnlyCandidate && !is_ours(stage, build, id).await? {
                return absent(stage, build).await;
            }
            claim_run(stage, build, id, run_attempt, by).await
        }
        Match::Ambiguous(ids) => {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            let why = format!(
                "AmbiguousRun: runs {} of {} could each be this build's; start the release again with \"adopt\": {{\"{}\": <the right one>}}",
                ids.join(" and "),
                build.repository,
                build.component
            );
            // One of them is this build's and stays unclaimed.
            orphan_lock(stage, build).await?;
            commons_runtime::end_build(
                stage,
                build,
                commons_domain::build::BuildStatus::Failure,
                why,
            )
            .await
            .map_err(Look::Stage)?;
            Ok(Next::Over)
        }
        Match::None => absent(stage, build).await,
    }
}

/// The runs of the repository since the present dispatch.
pub async fn listed(stage: &Stage, build: &Build) -> Result<Vec<Run>, Look> {
    let since = build.baseline.unwrap_or(build.created_at);
    Ok(stage.github.runs_since(&build.repository, since).await?)
}

/// Cancels what has come late of dispatches that were given up, and still runs.
pub async fn end_late(stage: &Stage, build: &Build, runs: &[Run]) -> Result<(), Look> {
    let going = runs.iter().filter(|run| run.status != "completed");
    let going: Vec<Candidate> = going.cloned().map(candidate).collect();
    for late in matching::late(build, &going) {
        let nonce = matching::title_nonce(&late.display_title).unwrap_or_default();
        let claim = claim_of(&build.release, &build.component, nonce);
        cancel_late(stage, &build.repository, late.id, &claim, Some(build)).await?;
    }
    Ok(())
}

/// Whether the only candidate is this build's although it shows no nonce: nobody else
/// dispatches while the build has the lock, which is read after the list; or it was
/// claimed already.
async fn is_ours(stage: &Stage, build: &Build, run: u64) -> Result<bool, Look> {
    let (store, repository) = (&stage.store, &build.repository);
    let lock = store.lock(repository).await.map_err(StoreOr)?;
    let claim = own_claim(build);
    let holds = lock.is_some_and(|lock| {
        lock.release == build.release
            && lock.component == build.component
            && lock.nonce == claim.nonce
    });
    if holds {
        return Ok(true);
    }
    let claimed = store.claim_of(repository, run).await.map_err(StoreOr)?;
    Ok(claimed == Some(claim))
}

async fn claim_run(
    stage: &Stage,
    build: &Build,
    id: u64,
    run_attempt: u32,
    by: MatchedBy,
) -> Result<Next, Look> {
    let claim = own_claim(build);
    if let Claimed::By(_) = stage
        .store
        .claim(&build.repository, id, &claim)
        .await
        .map_err(StoreOr)?
    {
        // Another build was faster: look again without this one.
        return Ok(Next::Soon);
    }
    let claimed = build.claimed(id, run_attempt, by);
    stage
        .store
        .change_build(
            build,
            &claimed,
            &format!("claimed run {id}, known by {}", by.words()),
        )
        .await
        .map_err(StoreOr)?;
    // Not before: who loses the build here leaves its lock to who looks for the run.
    stage
        .store
        .release_lock(&build.repository, &claim.nonce)
        .await
        .map_err(StoreOr)?;
    // What the run does is known at once, without another wait.
    Box::pin(crate::look(stage, &claimed)).await
}

/// No run. Within its time that is a reason to wait; after it, the attempt failed
/// and its nonce is kept, so that a run that comes late is known and cancelled.
async fn absent(stage: &Stage, build: &Build) -> Result<Next, Look> {
    let now = stage.now();
    let appear = stage.config.speed.real(RUN_APPEAR_TIMEOUT);
    if !build.is_overdue_at_github(appear, now) {
        return Ok(wait_of(stage, build));
    }
    let given_up = build.given_up();
    let (path, repository) = (&build.workflow_path, &build.repository);
    let listens = match build.spec.trigger {
        Trigger::RepositoryDispatch => format!(
            "listens to repository_dispatch of '{}'",
            build.spec.event_type
        ),
        Trigger::WorkflowDispatch => "listens to workflow_dispatch".to_owned(),
    };
    let minutes = RUN_APPEAR_TIMEOUT.as_secs() / 60;
    let why = format!(
        "NoRun: no run of {path} appeared in {repository} within {minutes} minutes of the dispatch; check that the workflow {listens} at {}, that it is enabled, and that Actions run there: allowed by the organisation, not out of minutes",
        build.git_ref
    );
    let next = after_attempt(stage, &given_up, Outcome::NoRun, &why, false);
    // Before it is written: nobody else would know the lock for one whose run may come.
    orphan_lock(stage, build).await?;
    ended_or_retrying(stage, build, next, &why).await
}

/// The attempt ends without its run: others wait for that one, but not forever.
async fn orphan_lock(stage: &Stage, build: &Build) -> Result<(), Look> {
    if let Some(nonce) = &build.nonce {
        stage
            .store
            .orphan_lock(&build.repository, nonce)
            .await
            .map_err(StoreOr)?;
    }
    Ok(())
}
