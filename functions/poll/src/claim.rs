//! A build whose run is not known yet.

use commons_domain::attempts::Outcome;
use commons_domain::build::Build;
use commons_domain::manifest::Trigger;
use commons_domain::matching::{self, Candidate, Match};
use commons_domain::times::RUN_APPEAR_TIMEOUT;
use commons_github::Run;
use commons_runtime::{Stage, after_attempt, cancel_late, candidate, claim_of, claim_run};

use crate::{Look, Next, StoreOr, ended_or_retrying, wait_of};

/// Looks for the run of the present attempt in the repository's unfiltered list.
pub async fn find_run(stage: &Stage, build: &Build) -> Result<Next, Look> {
    let runs = listed(stage, build).await?;
    end_late(stage, build, &runs).await?;
    match commons_runtime::find_run(stage, build, runs).await? {
        Match::Run {
            id,
            run_attempt,
            by,
        } => {
            let claimed = claim_run(stage, build, id, run_attempt, by);
            match claimed.await.map_err(StoreOr)? {
                // What the run does is known at once, without another wait.
                Ok(claimed) => crate::look_at(stage, &claimed, id).await,
                // Another build was faster: look again without this one.
                Err(_) => Ok(Next::Soon),
            }
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
