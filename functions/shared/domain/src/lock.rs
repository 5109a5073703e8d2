//! The dispatch lock of a repository: at most one dispatch whose run is unclaimed.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ReleaseKey;

/// The `lock#<owner>/<repo>` item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The holder's release.
    pub release: ReleaseKey,
    /// The holder's component.
    pub component: String,
    /// The attempt that it was taken for; only it releases the lock.
    pub nonce: String,
    /// The dispatch is over by then.
    pub post_deadline: Timestamp,
    /// Its release ended before the run was claimed: the run may still come.
    #[serde(default)]
    pub orphaned: bool,
}

/// What Dispatch may do about the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockDecision {
    /// Take it, if it is still as it was read.
    Take,
    /// Somebody's dispatch is on its way: wait.
    Busy,
}

/// Decides over the stored lock for a build that has no dispatch on its way. A
/// lock of its own is a leftover: without an intent nothing was sent.
pub fn decide(
    lock: Option<&Lock>,
    release: &ReleaseKey,
    component: &str,
    run_appear_timeout: Duration,
    now: Timestamp,
) -> LockDecision {
    match lock {
        None => LockDecision::Take,
        Some(lock) if lock.release == *release && lock.component == component => LockDecision::Take,
        Some(lock) if lock.orphaned && now > lock.post_deadline + run_appear_timeout => {
            LockDecision::Take
        }
        Some(_) => LockDecision::Busy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_holder_or_time_frees_a_lock() {
        let key = |text: &str| ReleaseKey::new(text).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let wait = Duration::from_secs(600);
        let mut lock = Lock {
            release: key("o/r/v1.0.0"),
            component: "a".into(),
            nonce: "n".into(),
            post_deadline: at,
            orphaned: false,
        };
        let mine = key("o/r/v2.0.0");
        let later = at + Duration::from_secs(601);
        assert_eq!(decide(None, &mine, "a", wait, at), LockDecision::Take);
        assert_eq!(
            decide(Some(&lock), &mine, "a", wait, later),
            LockDecision::Busy
        );
        assert_eq!(
            decide(Some(&lock), &key("o/r/v1.0.0"), "a", wait, at),
            LockDecision::Take
        );
        lock.orphaned = true;
        assert_eq!(
            decide(Some(&lock), &mine, "a", wait, at + wait),
            LockDecision::Busy
        );
        assert_eq!(
            decide(Some(&lock), &mine, "a", wait, later),
            LockDecision::Take
        );
    }
}
