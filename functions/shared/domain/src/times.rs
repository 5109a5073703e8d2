//! How long things may take. Every duration is in simulated seconds: a rehearsal
//! divides them by its speed, a real release runs at speed 1.

use std::time::Duration;

/// A dispatch's POST must answer within this; real time, whatever the speed.
pub const DISPATCH_DEADLINE: Duration = Duration::from_secs(10);
/// An intent is acted on within this, or not at all.
pub const DISPATCH_BEGINS: Duration = Duration::from_secs(3);
/// Who owns a release is known for this long: an answer that took longer is old news. Real
/// time, whatever the speed.
pub const OWNER_KNOWN: Duration = Duration::from_secs(3);
/// A dispatched run must appear within this after the dispatch's deadline.
pub const RUN_APPEAR_TIMEOUT: Duration = Duration::from_secs(600);
/// What a build waits whose repository's dispatch lock is held, or that cannot see.
pub const BUSY_WAIT: Duration = Duration::from_secs(15);
/// First wait of the exponential backoff between attempts.
pub const BACKOFF_BASE: Duration = Duration::from_secs(30);
/// Longest wait between attempts.
pub const BACKOFF_CAP: Duration = Duration::from_secs(600);
/// A run that was cancelled has ended by then, or is cancelled by force.
pub const FORCE_CANCEL_AFTER: Duration = Duration::from_secs(300);
/// Who has seen nothing for so long gives up, and leaves everything as it is.
pub const BLIND_AFTER: Duration = Duration::from_secs(30 * 60);
/// How far GitHub's clock may be from ours.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// What GitHub asks to wait after a limit that names no time.
pub const LIMITED_WAIT: Duration = Duration::from_secs(60);

/// Simulated seconds per real second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(pub f64);

impl Speed {
    /// The real duration of a simulated one.
    pub fn real(self, simulated: Duration) -> Duration {
        simulated.div_f64(self.0.max(0.001))
    }

    /// The simulated duration of a real one.
    pub fn simulated(self, real: Duration) -> Duration {
        real.mul_f64(self.0.max(0.001))
    }

    /// Whole real seconds, at least one: what a Wait state takes.
    pub fn wait_seconds(self, simulated: Duration) -> u64 {
        (self.real(simulated).as_secs_f64().ceil() as u64).max(1)
    }
}

/// Exponential backoff with full jitter: a share (0 to 1) of base · 2ⁿ, capped.
pub fn backoff(retry: u32, jitter: f64) -> Duration {
    let ceiling = BACKOFF_BASE
        .saturating_mul(2_u32.saturating_pow(retry.saturating_sub(1)))
        .min(BACKOFF_CAP);
    ceiling.mul_f64(jitter.clamp(0.0, 1.0))
}

/// How long to wait for the next look when nothing could be seen for `unseen`: ever
/// longer, as long as it would not lead past [`BLIND_AFTER`] by much.
pub fn sight_wait(unseen: Duration) -> Duration {
    (unseen / 4).clamp(BUSY_WAIT, Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    #[test]
    fn who_sees_nothing_looks_ever_less_often() {
        let wait = |seconds| sight_wait(Duration::from_secs(seconds)).as_secs();
        assert_eq!(
            [wait(0), wait(60), wait(400), wait(1800)],
            [15, 15, 100, 300]
        );
    }

    use super::*;

    #[test]
    fn backoff_doubles_to_its_cap() {
        let full: Vec<u64> = (1..=7).map(|n| backoff(n, 1.0).as_secs()).collect();
        assert_eq!(full, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(backoff(3, 0.5).as_secs(), 60);
        assert_eq!(backoff(40, 1.0), BACKOFF_CAP);
    }

    #[test]
    fn waits_are_whole_seconds_and_at_least_one() {
        assert_eq!(Speed(1.0).wait_seconds(Duration::from_millis(1500)), 2);
        assert_eq!(Speed(60.0).wait_seconds(BUSY_WAIT), 1);
    }
}
