//! Writes to GitHub: a second apart, each after the owner was read again, and
//! none when the stage's time is nearly up.

use std::time::Duration;

use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_domain::times::{BETWEEN_WRITES, BUSY_WAIT};
use commons_runtime::{Stage, StageError};
use jiff::Timestamp;

/// A function has 15 minutes; after this it hands over to its next call.
const TIME: Duration = Duration::from_secs(14 * 60);

/// Why publishing did not come to its end in this call.
#[derive(Debug)]
pub enum Pause {
    /// Call again after this long.
    Again {
        /// Simulated time.
        wait: Duration,
    },
    /// It failed.
    Stage(StageError),
}

impl From<StageError> for Pause {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<commons_github::Error> for Pause {
    fn from(error: commons_github::Error) -> Self {
        if let commons_github::Error::RateLimited {
            retry_after: Some(wait),
            ..
        } = &error
        {
            tracing::warn!(%error, "GitHub asks to wait");
            return Self::Again { wait: *wait };
        }
        if error.is_cannot_see() {
            tracing::warn!(%error, "GitHub cannot be seen");
            return Self::Again { wait: BUSY_WAIT };
        }
        Self::Stage(StageError::Refused(error.to_string()))
    }
}

/// The right to write, one write at a time.
pub struct Writes<'a> {
    stage: &'a Stage,
    release: ReleaseKey,
    generation: u64,
    began: Timestamp,
    last: Option<Timestamp>,
}

impl<'a> Writes<'a> {
    /// For one call of the stage.
    pub fn new(stage: &'a Stage, release: &Release) -> Self {
        Self {
            stage,
            release: release.key.clone(),
            generation: release.generation,
            began: stage.now(),
            last: None,
        }
    }

    /// Waits for the next write's turn, and reads the owner again.
    pub async fn turn(&mut self) -> Result<(), Pause> {
        if self.stage.now() > self.began + TIME {
            return Err(Pause::Again {
                wait: Duration::from_secs(1),
            });
        }
        let apart = self.stage.config.speed.real(BETWEEN_WRITES);
        if let Some(last) = self.last {
            let left = (last + apart).duration_since(self.stage.now());
            if let Ok(left) = Duration::try_from(left) {
                self.stage.clock.sleep(left).await;
            }
        }
        self.stage
            .store
            .own_release(&self.release, self.generation)
            .await
            .map_err(StageError::from)?;
        self.last = Some(self.stage.now());
        Ok(())
    }
}
