//! The simulator's time: the machine's, or one that a test moves.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

/// What is done at an instant.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock, and what happens by it.
pub trait Clock: Debug + Send + Sync {
    /// What it shows.
    fn now(&self) -> Timestamp;

    /// Carries work out in the background when the clock shows this instant: at once
    /// where that is past.
    fn at(&self, instant: Timestamp, work: Work);
}

/// The machine's clock. Its work is done by the tokio runtime of who calls it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn at(&self, instant: Timestamp, work: Work) {
        let left = Duration::try_from(instant.duration_since(self.now())).unwrap_or_default();
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            work.await;
        });
    }
}
