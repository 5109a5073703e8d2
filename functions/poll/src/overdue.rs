//! A run that takes longer than the manifest allows: it is cancelled, by force if it does
//! not heed that, and the build ends when it has ended.

use commons_domain::attempts::Outcome;
use commons_domain::build::Build;
use commons_domain::times::FORCE_CANCEL_AFTER;
use commons_github::{Error, Run};
use commons_runtime::Stage;

use crate::{Look, Next, StoreOr, run_over};

/// One more step towards the end of a run that takes too long.
///
/// Running it twice is safe: what is asked for is written down first, and a run that has
/// ended refuses to be cancelled.
pub async fn give_up(stage: &Stage, build: &Build, run: &Run, why: String) -> Result<Next, Look> {
    let Some(asked_at) = build.cancel_asked_at else {
        return cancel(stage, build, run, why).await;
    };
    let patience = stage.config.speed.real(FORCE_CANCEL_AFTER);
    if stage.now() <= asked_at + patience {
        return Ok(Next::Soon);
    }
    own(stage, build).await?;
    match stage.github.force_cancel(&build.repository, run.id).await {
        Ok(()) => {
            let forced = format!("run {} did not heed it, and is cancelled by force", run.id);
            let told = stage.store.tell_of_build(build, &forced);
            told.await.map_err(StoreOr)?;
            run_over(stage, build, run, Outcome::TooLong, why).await
        }
        Err(Error::Conflict { .. }) => Ok(Next::Soon),
        Err(error) => Err(error.into()),
    }
}

/// Asks GitHub to cancel the run. Why is written down first: who dies after the call
/// leaves a run that looks as if a person had cancelled it.
async fn cancel(stage: &Stage, build: &Build, run: &Run, why: String) -> Result<Next, Look> {
    let (overdue, why) = match &build.overdue {
        Some(why) => (build.clone(), why.clone()),
        None => {
            let why = match run.status.as_str() {
                "waiting" => waiting_for(stage, build, run, why).await?,
                _ => why,
            };
            let overdue = Build {
                overdue: Some(why.clone()),
                ..build.clone()
            };
            let changed = stage.store.change_build(build, &overdue, &why);
            changed.await.map_err(StoreOr)?;
            (overdue, why)
        }
    };
    own(stage, build).await?;
    match stage.github.cancel(&build.repository, run.id).await {
        // It ended in this moment: the next look sees how.
        Ok(()) | Err(Error::Conflict { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let asked = Build {
        cancel_asked_at: Some(stage.now()),
        ..overdue.clone()
    };
    let reason = format!("run {} is asked to end: {why}", run.id);
    let changed = stage.store.change_build(&overdue, &asked, &reason);
    changed.await.map_err(StoreOr)?;
    Ok(Next::Soon)
}

/// The owner is read again before each write to GitHub.
async fn own(stage: &Stage, build: &Build) -> Result<(), Look> {
    let own = stage.store.own_release(&build.release, build.generation);
    own.await.map(drop).map_err(|error| StoreOr(error).into())
}

/// The sentence with the approvals that the run waits for.
async fn waiting_for(stage: &Stage, build: &Build, run: &Run, why: String) -> Result<String, Look> {
    let environments = stage
        .github
        .pending_environments(&build.repository, run.id)
        .await?;
    Ok(if environments.is_empty() {
        why
    } else {
        let names = environments.join(", ");
        format!("{why}; it waits for the approval of the environment {names}")
    })
}
