//! Writes to GitHub: each within the budget that all releases share, after the owner was
//! read again, and none when the stage's time is nearly up.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use commons_domain::budget::{Answer, Write};
use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_runtime::{Stage, StageError};
use jiff::Timestamp;
use tokio::sync::Mutex;

/// A function has 15 minutes; after this it hands over to its next call.
const TIME: Duration = Duration::from_secs(14 * 60);

/// What is not begun in this call is in the next one.
const NEXT_CALL: Pause = Pause::Again {
    wait: Duration::from_secs(1),
};

/// Why publishing did not come to its end in this call.
#[derive(Debug)]
pub enum Pause {
    /// The call's time, or the budget of writes, is used up: call again after this long.
    Again {
        /// Simulated time.
        wait: Duration,
    },
    /// GitHub could not be seen, or limits the rate.
    Unseen {
        /// What it said.
        why: String,
        /// What it asks to wait.
        retry_after: Option<Duration>,
    },
    /// It failed.
    Stage(StageError),
}

impl Pause {
    /// Of several the one with the highest is told: who failed, then for how long GitHub
    /// asks to wait.
    pub fn rank(&self) -> (u8, Duration) {
        match self {
            Self::Again { wait } => (0, *wait),
            Self::Unseen { retry_after, .. } => (1, retry_after.unwrap_or_default()),
            Self::Stage(_) => (2, Duration::ZERO),
        }
    }
}

impl From<StageError> for Pause {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<commons_github::Error> for Pause {
    fn from(error: commons_github::Error) -> Self {
        if error.is_cannot_see() {
            Self::Unseen {
                why: error.to_string(),
                retry_after: error.retry_after(),
            }
        } else {
            Self::Stage(StageError::Refused(error.to_string()))
        }
    }
}

/// The right to write: writes begin one at a time, however many are on their way.
pub struct Writes<'a> {
    stage: &'a Stage,
    release: ReleaseKey,
    generation: u64,
    began: Timestamp,
    turns: AtomicU32,
    begins: Mutex<()>,
    stopped: AtomicBool,
}

impl<'a> Writes<'a> {
    /// For one call of the stage.
    pub fn new(stage: &'a Stage, release: &Release) -> Self {
        Self {
            stage,
            release: release.key.clone(),
            generation: release.generation,
            began: stage.now(),
            turns: AtomicU32::new(0),
            begins: Mutex::new(()),
            stopped: AtomicBool::new(false),
        }
    }

    /// Waits for the next write's turn, and reads the owner again.
    pub async fn turn(&self) -> Result<(), Pause> {
        self.turn_for(Duration::ZERO).await
    }

    /// The same for a write that may take so long: where this call has no time for it, the
    /// next one does.
    pub async fn turn_for(&self, takes: Duration) -> Result<(), Pause> {
        let stage = self.stage;
        let _first = self.begins.lock().await;
        self.refuse_if_stopped()?;
        if stage.now() + takes > self.began + TIME {
            return Err(NEXT_CALL);
        }
        let limits = &stage.config.write_limits;
        let asked = stage
            .store
            .ask_to_write(&self.release, Write::Content, limits);
        match asked.await.map_err(StageError::from)? {
            Answer::At(begins) => stage.clock.sleep(stage.until(begins)).await,
            Answer::AskAt(then) => {
                tracing::info!(%then, "the budget of writes is used up");
                // Several writes are free by then: each call reads everything once.
                let wait = stage.config.speed.simulated(stage.until(then));
                let wait = wait.max(Duration::from_secs(60));
                return Err(Pause::Again { wait });
            }
        }
        let own = stage.store.own_release(&self.release, self.generation);
        own.await.map_err(StageError::from)?;
        // One may have failed meanwhile.
        self.refuse_if_stopped()?;
        self.turns.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn refuse_if_stopped(&self) -> Result<(), Pause> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(NEXT_CALL)
        } else {
            Ok(())
        }
    }

    /// No other write begins in this call: one has failed, or GitHub asks to wait.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether GitHub has taken a write in this call: all but the last surely.
    pub fn has_progressed(&self) -> bool {
        self.turns.load(Ordering::Relaxed) > 1
    }
}
