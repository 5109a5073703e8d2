//! The machine's clock.

use std::time::Duration;

use commons_domain::clock::{Clock, Sleep};
use jiff::Timestamp;

/// The clock of the machine that the function runs on.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(duration))
    }
}
