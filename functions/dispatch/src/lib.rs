//! Dispatch: starts the build of one component, once.
//!
//! It reads what the build requires, re-reads the pin, takes the repository's
//! dispatch lock, writes the intent, and acts once.
//!
//! Running it twice is safe: everything before the intent only reads, or takes a
//! lock that the same build may take again; the intent is conditioned on the
//! status that was read, so only one of two runs gets past it; and a build whose
//! intent is written is never dispatched by this stage, only looked for by Poll.

mod act;

use std::time::Duration;

use commons_domain::budget::{Answer, Write};
use commons_domain::build::{Build, BuildStatus};
use commons_domain::dispatch::{Readiness, readiness};
use commons_domain::lock::{self, Lock, LockDecision};
use commons_domain::manifest::Trigger;
use commons_domain::names::ReleaseKey;
use commons_domain::times::{BUSY_WAIT, DISPATCH_BEGINS, DISPATCH_DEADLINE, RUN_APPEAR_TIMEOUT};
use commons_runtime::{Stage, StageError, block_dependents, cancel_orphan, end_build, in_sight};
use serde::{Deserialize, Serialize};

/// Which build.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// Its release.
    pub release: ReleaseKey,
    /// Its component.
    pub component: String,
    /// The generation of the execution that asks.
    pub generation: u64,
    /// The child execution that carries it.
    #[serde(default)]
    pub child: Option<String>,
}

/// Where the build goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Something that it requires is not green.
    AwaitDependencies,
    /// The lock is held, the budget of writes is used up, or GitHub cannot be seen: wait,
    /// no attempt counted.
    Busy,
    /// A dispatch is on its way.
    AwaitRun,
    /// Green already.
    Green,
    /// It has its end.
    Over,
}

/// The answer to the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Where to go.
    pub next: Next,
    /// The build's wake-up counter, for the wait that follows.
    pub seq: u64,
    /// Seconds to wait where `next` is `busy`.
    pub wait_seconds: u64,
}

/// Starts the build if it may start.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    let mut build = stage
        .store
        .own_build(&input.release, &input.component, input.generation)
        .await?;
    if let Some(child) = &input.child
        && build.child != input.child
    {
        let carried = Build {
            child: input.child.clone(),
            ..build.clone()
        };
        let why = format!("carried by {child}");
        stage.store.change_build(&build, &carried, &why).await?;
        build = carried;
    }
    let answer = |next: Next, build: &Build| Output {
        next,
        seq: build.seq,
        wait_seconds: stage.config.speed.wait_seconds(BUSY_WAIT),
    };
    let mut readiness_now = look(&stage, &build).await?;
    if let Readiness::NotReady(waiting_on) = &readiness_now {
        // Written before the second look: a dependency that turns green in between
        // finds this build in the set, or is seen green by the look.
        if *waiting_on != build.waiting_on {
            let waiting = Build {
                waiting_on: waiting_on.clone(),
                ..build.clone()
            };
            let names: Vec<&str> = waiting_on.iter().map(String::as_str).collect();
            let why = format!("waits for {}", names.join(", "));
            stage.store.change_build(&build, &waiting, &why).await?;
            build = waiting;
        }
        readiness_now = look(&stage, &build).await?;
    }
    match readiness_now {
        Readiness::OnItsWay => Ok(answer(Next::AwaitRun, &build)),
        Readiness::Green => Ok(answer(Next::Green, &build)),
        Readiness::Over => {
            // Whoever ended it here may have died before it told what waits.
            if build.status == BuildStatus::Failure {
                block_dependents(&stage, &build).await?;
            }
            Ok(answer(Next::Over, &build))
        }
        Readiness::NotReady(_) => Ok(answer(Next::AwaitDependencies, &build)),
        Readiness::NotBefore(at) => {
            let left =
                u64::try_from((at.as_second() - stage.now().as_second()).max(1)).unwrap_or(1);
            Ok(Output {
                wait_seconds: left,
                ..answer(Next::Busy, &build)
            })
        }
        Readiness::Blocked(why) => {
            end_build(&stage, &build, BuildStatus::Blocked, why).await?;
            Ok(answer(Next::Over, &build))
        }
        Readiness::Ready => Ok(match start(&stage, &build).await? {
            Started::AwaitRun => answer(Next::AwaitRun, &build),
            Started::Over => answer(Next::Over, &build),
            Started::Busy { wait } => Output {
                wait_seconds: stage.config.speed.wait_seconds(wait),
                ..answer(Next::Busy, &build)
            },
        }),
    }
}

/// What came of starting a build that is ready.
enum Started {
    /// A dispatch is on its way.
    AwaitRun,
    /// The lock is held, the budget of writes is used up, or GitHub cannot be seen.
    Busy {
        /// Simulated time.
        wait: Duration,
    },
    /// It has its end.
    Over,
}

impl Started {
    /// The lock is held.
    const LOCKED: Self = Self::Busy { wait: BUSY_WAIT };
}

async fn look(stage: &Stage, build: &Build) -> Result<Readiness, StageError> {
    let reads = build
        .requires
        .iter()
        .map(|name| stage.store.build(&build.release, name));
    let dependencies: Vec<Build> = futures_util::future::try_join_all(reads)
        .await?
        .into_iter()
        .flatten()
        .collect();
    if dependencies.len() != build.requires.len() {
        return Err(StageError::Internal(format!(
            "a build that {} requires is not in the table",
            build.component
        )));
    }
    Ok(readiness(build, &dependencies, stage.now()))
}

/// Frees the lock, unless another call for this build has acted with it meanwhile and
/// waits for its run: once that is claimed, whoever claimed it frees no lock any more.
async fn free_unless_dispatched(
    stage: &Stage,
    build: &Build,
    lock: &Lock,
) -> Result<(), StageError> {
    let now = stage.store.build(&build.release, &build.component).await?;
    let waits =
        |now: Build| now.nonce.as_ref() == Some(&lock.nonce) && now.workflow_run_id.is_none();
    if now.is_some_and(waits) {
        return Ok(());
    }
    stage.store.free_lock(&build.repository, lock).await?;
    Ok(())
}

/// What an intent says; `left`: the lock that was taken over for it.
fn intended(intent: &Build, left: Option<&Lock>) -> String {
    let what = match intent.spec.trigger {
        Trigger::RepositoryDispatch => format!("{} is sent to", intent.spec.event_type),
        Trigger::WorkflowDispatch => format!("{} is started in", intent.workflow_path),
    };
    let mut why = format!(
        "attempt {}: {what} {} at {}, with the nonce {}",
        intent.attempt,
        intent.repository,
        intent.git_ref,
        intent.nonce.as_deref().unwrap_or_default()
    );
    if let Some(left) = left {
        why.push_str(&format!(
            "; the lock that {} of {} had left with {} is taken over",
            left.component, left.release, left.nonce
        ));
    }
    why
}

/// Lock, pin, intent, act.
async fn start(stage: &Stage, build: &Build) -> Result<Started, StageError> {
    if build.status == BuildStatus::Retrying && build.workflow_run_id.is_some() {
        return act::rerun(stage, build).await;
    }
    let now = stage.now();
    let nonce = build.next_nonce();
    let mut held = stage.store.lock(&build.repository).await?;
    let holder = match &held {
        Some(lock) => stage.store.build(&lock.release, &lock.component).await?,
        None => None,
    };
    let decision = lock::decide(
        held.as_ref(),
        holder.as_ref(),
        stage.config.speed.real(RUN_APPEAR_TIMEOUT),
        now,
    );
    // The run of a release that ended may have come meanwhile: then nobody waits. Whoever
    // takes its lock over looks too: after that nobody finds it.
    let mut free = decision == LockDecision::Take;
    if let Some(lock) = held.as_ref().filter(|lock| lock.orphaned) {
        match cancel_orphan(stage, &build.repository, lock, holder.as_ref()).await {
            Ok(true) => (held, free) = (None, true),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "whether an orphan's run has come cannot be seen");
                return Ok(Started::LOCKED);
            }
        }
    }
    if !free {
        return Ok(Started::LOCKED);
    }
    let lock = Lock {
        release: build.release.clone(),
        component: build.component.clone(),
        nonce: nonce.clone(),
        post_deadline: stage.now() + DISPATCH_BEGINS + DISPATCH_DEADLINE,
        orphaned: false,
    };
    if !stage
        .store
        .take_lock(&build.repository, held.as_ref(), &lock)
        .await?
    {
        return Ok(Started::LOCKED);
    }
    let head = match stage.github.head(&build.repository, &build.git_ref).await {
        Ok(head) => head,
        Err(error) => {
            free_unless_dispatched(stage, build, &lock).await?;
            return act::refused_or_busy(stage, build, &error).await;
        }
    };
    in_sight(stage, build).await?;
    if head.sha != build.pin {
        free_unless_dispatched(stage, build, &lock).await?;
        let what = if build.spec.trigger == Trigger::RepositoryDispatch {
            "branch"
        } else {
            "tag"
        };
        let why = format!(
            "PinMoved: {what} {} of {} moved from {}, where this release pinned it, to {}",
            build.git_ref, build.repository, build.pin, head.sha
        );
        act::fail(stage, build, why).await?;
        return Ok(Started::Over);
    }
    if let Some(wait) = sent_away(stage, build).await? {
        free_unless_dispatched(stage, build, &lock).await?;
        return Ok(Started::Busy { wait });
    }
    let now = stage.now();
    if now + DISPATCH_DEADLINE > lock.post_deadline {
        // Others take a lock without an intent for left once its deadline is over.
        tracing::warn!(
            component = build.component,
            "GitHub was too slow for the lock"
        );
        free_unless_dispatched(stage, build, &lock).await?;
        return Ok(Started::LOCKED);
    }
    let intent = build.intent(nonce, head.seen_at, now);
    // The owner is read again before each write to GitHub; the intent's own
    // condition then keeps a later owner from missing it.
    let owned = stage
        .store
        .own_release(&build.release, build.generation)
        .await;
    let written = match owned {
        Ok(_) => {
            stage
                .store
                .change_build(build, &intent, &intended(&intent, held.as_ref()))
                .await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        free_unless_dispatched(stage, build, &lock).await?;
        return Err(error.into());
    }
    act::dispatch(stage, &intent).await
}

/// Takes one write from the budget that all releases share, or says how long to wait for
/// it, in simulated time: spread over a minute, since as many as wait would come at once.
async fn sent_away(stage: &Stage, build: &Build) -> Result<Option<Duration>, StageError> {
    let limits = &stage.config.write_limits;
    let asked = stage
        .store
        .ask_to_write(&build.release, Write::Dispatch, limits);
    match asked.await? {
        Answer::At(_) => Ok(None),
        Answer::AskAt(then) => {
            let spread = limits.minute.mul_f64(fastrand::f64());
            tracing::info!(%then, component = build.component, "the budget of writes is used up");
            Ok(Some(
                stage.config.speed.simulated(stage.until(then) + spread),
            ))
        }
    }
}
