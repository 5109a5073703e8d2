//! A clock that a test moves: nobody waits for what only time brings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use commons_domain::clock::{Clock, Sleep};
use github_simulator::Work;
use jiff::Timestamp;

/// The machine's clock, ahead by what was waited by it.
#[derive(Debug, Default)]
pub struct MovedClock {
    /// Microseconds.
    ahead: AtomicU64,
}

impl MovedClock {
    /// Moves it on.
    pub fn advance(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.ahead.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + Duration::from_micros(self.ahead.load(Ordering::Relaxed))
    }

    /// Moves it on instead of waiting.
    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(async move {
            self.advance(duration);
            tokio::task::yield_now().await;
        })
    }
}

impl github_simulator::Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    fn at(&self, instant: Timestamp, work: Work) {
        let left = instant.duration_since(Clock::now(self));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::try_from(left).unwrap_or_default()).await;
            work.await;
        });
    }
}
