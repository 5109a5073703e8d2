//! What time it is, as the stages ask: the machine's clock, or one that a test moves.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;

/// A clock, and how to wait by it.
pub trait Clock: Debug + Send + Sync {
    /// What it shows.
    fn now(&self) -> Timestamp;

    /// Ends when this long has passed on it.
    fn sleep(&self, duration: Duration) -> Sleep<'_>;
}

/// A wait by a clock.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
