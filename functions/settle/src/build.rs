//! One build of a release that ends, or whose child ended without an end state for it.

use std::sync::atomic::{AtomicBool, Ordering};

use commons_domain::build::Build;
use commons_domain::lock::{Lock, Settled, settled};
use commons_domain::matching::Match;
use commons_domain::names::ReleaseKey;
use commons_domain::run::{Progress, Seen, progress};
use commons_github::Error;
use commons_runtime::{FindError, Stage, StageError, block_dependents, claim_run, find_run, seen};
use commons_store::{StoreError, WRITERS};

/// Records the error of a dead child; the build keeps its status, and what waits for it
/// is woken. Repeating it wakes again, and keeps the first reason.
pub async fn record(
    stage: &Stage,
    release: &ReleaseKey,
    component: &str,
    generation: u64,
    why: &str,
) -> Result<(), StageError> {
    let build = stage
        .store
        .own_build(release, component, generation)
        .await?;
    if build.status.is_failed() || build.collected.is_some() {
        return Ok(());
    }
    let dead = Build {
        error: build.error.clone().or_else(|| Some(why.to_owned())),
        wait_token: None,
        ..build.clone()
    };
    stage.store.change_build(&build, &dead, why).await?;
    // Green is green: dependents of a build that was not collected still build.
    if dead.status.is_green() {
        Ok(())
    } else {
        block_dependents(stage, &dead).await
    }
}

/// Gives an unfinished build its end; its run is cancelled. Green stays green, and
/// where the run cannot be cancelled what is on its way stays on its way.
///
/// The generation is the first thing written, so that whatever still works on the
/// build loses; the end is the last, so that a run of Settle that follows one which
/// died in between finds the build unfinished and does the rest.
pub async fn end(
    stage: &Stage,
    build: Build,
    generation: u64,
    out_of_sight: &AtomicBool,
) -> Result<(), StageError> {
    let mut taken = take(stage, build, generation).await?;
    let mut why = "it waits for nothing any more".to_owned();
    let mut stopped = true;
    let mut green = None;
    if taken.is_unfinished() {
        why = "the release ended before this build".into();
        let run = stop_run(stage, &mut taken, out_of_sight).await?;
        stopped = !matches!(run, Run::GoesOn(_));
        if let Run::Succeeded(_, seen) = &run {
            green = Some(taken.green(seen, stage.now()));
        }
        why.push_str(&run.words());
    }
    // One that was blocked may have taken a lock before.
    if !taken.status.is_green() && settle_lock(stage, &taken).await? == Settled::Orphan {
        why.push_str("; its dispatch lock is orphaned: a run that comes late is cancelled");
    }
    if let Some(token) = &taken.wait_token {
        stage.store.complete_token(token).await?;
    }
    let ended = green.unwrap_or_else(|| taken.settled(stopped, stage.now()));
    if !stopped && ended == taken {
        // Nothing changes in the table, and why its run may go on is told all the same.
        stage.store.tell_of_build(&taken, &why).await?;
    }
    stage.store.change_build(&taken, &ended, &why).await?;
    Ok(())
}

/// Takes a build from the children that still run, and reads it as they left it: a
/// token that was parked in the last moment is there. One of them may write at the same
/// time: then it is read again.
async fn take(stage: &Stage, mut build: Build, generation: u64) -> Result<Build, StageError> {
    let store = &stage.store;
    for _ in 0..WRITERS {
        let taken = Build {
            generation,
            ..build.clone()
        };
        let written = store
            .change_build(&build, &taken, "the release ended")
            .await;
        match written {
            Ok(()) => {
                let (release, component) = (&build.release, &build.component);
                return Ok(store.own_build(release, component, generation).await?);
            }
            // Another call of an owner before this one, or this release has another now.
            Err(StoreError::Stale { .. } | StoreError::LeaseLost { .. }) => {
                store.own_release(&build.release, generation).await?;
            }
            Err(error) => return Err(error.into()),
        }
        let component = &build.component;
        let read = store.build(&build.release, component).await?;
        build = read.ok_or_else(|| StageError::Internal(format!("build {component} is gone")))?;
    }
    Err(StageError::Unavailable(format!(
        "build {} changes all the time",
        build.component
    )))
}

/// What became of the run of a build that ends.
enum Run {
    /// There is none that is known.
    None,
    /// It is cancelled.
    Cancelled(u64),
    /// It had ended by itself, or is gone.
    Over(u64),
    /// It had succeeded, and nobody has looked since: who starts the release again has it.
    Succeeded(u64, Seen),
    /// It may run on: why it could not be cancelled.
    GoesOn(String),
}

impl Run {
    /// The end of the sentence that tells of the build's end.
    fn words(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Cancelled(run) => format!("; run {run} is cancelled"),
            Self::Over(run) => format!("; run {run} was over"),
            Self::Succeeded(run, _) => format!("; run {run} had succeeded"),
            Self::GoesOn(why) => format!("; its run may go on: {why}"),
        }
    }
}

/// Cancels the run of a build that is on its way: the one that it claimed, else the one
/// that Poll would claim, which is claimed for it. Once GitHub is out of sight it is not
/// asked for every build.
async fn stop_run(
    stage: &Stage,
    build: &mut Build,
    out_of_sight: &AtomicBool,
) -> Result<Run, StageError> {
    if !build.status.is_on_its_way() {
        return Ok(Run::None);
    }
    if out_of_sight.load(Ordering::Relaxed) {
        return Ok(Run::GoesOn("GitHub cannot be seen".into()));
    }
    let component = build.component.clone();
    let goes_on = |error: Error| {
        tracing::warn!(%error, component, "the run of an ended release was not cancelled");
        out_of_sight.fetch_or(error.is_cannot_see(), Ordering::Relaxed);
        Ok(Run::GoesOn(error.to_string()))
    };
    let run = match run_of(stage, build).await {
        Ok(Some(run)) => run,
        Ok(None) | Err(FindError::GitHub(Error::NotFound { .. } | Error::Conflict { .. })) => {
            return Ok(Run::None);
        }
        Err(FindError::GitHub(error)) => return goes_on(error),
        Err(FindError::Store(error)) => return Err(error.into()),
    };
    // The owner is read again before each write to GitHub.
    let store = &stage.store;
    store.own_release(&build.release, build.generation).await?;
    match stage.github.cancel(&build.repository, run).await {
        Ok(()) => Ok(Run::Cancelled(run)),
        // It has ended by itself.
        Err(Error::Conflict { .. }) => match stage.github.run(&build.repository, run).await {
            Ok(found) => Ok(over(build, run, seen(&found))),
            Err(Error::NotFound { .. }) => Ok(Run::Over(run)),
            Err(error) => goes_on(error),
        },
        // It is gone.
        Err(Error::NotFound { .. }) => Ok(Run::Over(run)),
        Err(error) => goes_on(error),
    }
}

/// How a run ended by itself.
fn over(build: &Build, run: u64, seen: Seen) -> Run {
    if progress(build, &seen) == Progress::Green {
        Run::Succeeded(run, seen)
    } else {
        Run::Over(run)
    }
}

/// The run of the build's present attempt, claimed.
async fn run_of(stage: &Stage, build: &mut Build) -> Result<Option<u64>, FindError> {
    let Some(baseline) = build.baseline.filter(|_| build.workflow_run_id.is_none()) else {
        return Ok(build.workflow_run_id);
    };
    let listed = stage.github.runs_since(&build.repository, baseline).await?;
    if let Match::Run {
        id,
        run_attempt,
        by,
    } = find_run(stage, build, listed).await?
        && let Ok(claimed) = claim_run(stage, build, id, run_attempt, by).await?
    {
        *build = claimed;
    }
    Ok(build.workflow_run_id)
}

/// The run of a dispatch that nobody claimed may still come: its lock is orphaned. A
/// lock that the build took and never acted with is freed.
async fn settle_lock(stage: &Stage, build: &Build) -> Result<Settled, StageError> {
    let Some(lock) = stage.store.lock(&build.repository).await? else {
        return Ok(Settled::Leave);
    };
    let settled = settled(&lock, build);
    if settled == Settled::Leave {
        return Ok(settled);
    }
    // Read after the lock: so the lock that was read is no later owner's.
    let store = &stage.store;
    store.own_release(&build.release, build.generation).await?;
    match settled {
        Settled::Leave => {}
        Settled::Orphan => {
            let orphan = Lock {
                orphaned: true,
                ..lock.clone()
            };
            // One that is not as it was read any more was freed by who claimed the run.
            let name = &build.repository;
            store.take_lock(name, Some(&lock), &orphan).await?;
        }
        Settled::Free => store.release_lock(&build.repository, &lock.nonce).await?,
    }
    Ok(settled)
}
