//! The dispatch lock of a repository: at most one dispatch whose run is unclaimed.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build::Build;
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

impl Lock {
    /// Whether this stored lock may be replaced by who decided over `read`. Two calls for
    /// the same attempt write the same nonce, so the rest is compared too. The store says
    /// the same as a condition of its write.
    pub fn is_as_read(&self, read: &Self) -> bool {
        self == read
    }
}

/// What Dispatch may do about the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockDecision {
    /// Take it, if it is still as it was read.
    Take,
    /// Somebody's dispatch is on its way: wait.
    Busy,
}

/// Decides over the stored lock for a build that has no dispatch on its way. `holder`
/// is the build that the lock names. A lock is only believed as far as its holder's
/// build bears it out, so that one which a killed stage left blocks nobody for long. One
/// that names the build itself is no better than another's: a later owner, or another
/// call of Dispatch, may be acting with it in this moment.
pub fn decide(
    lock: Option<&Lock>,
    holder: Option<&Build>,
    run_appear_timeout: Duration,
    now: Timestamp,
) -> LockDecision {
    let Some(lock) = lock else {
        return LockDecision::Take;
    };
    let dispatched = holder.filter(|b| b.nonce.as_ref() == Some(&lock.nonce));
    let free = match dispatched {
        // Its run is claimed: whoever claimed it was killed before it freed the lock.
        Some(build) if build.workflow_run_id.is_some() => true,
        // The holder's own Poll claims the run, or gives it up.
        Some(build) if build.status.is_on_its_way() && !lock.orphaned => false,
        // It ended without its run, which may still come.
        Some(_) => now > lock.post_deadline + run_appear_timeout,
        // No intent was written with it, so nothing was sent, or it is long over.
        None if !lock.orphaned => now > lock.post_deadline,
        None => now > lock.post_deadline + run_appear_timeout,
    };
    if free {
        LockDecision::Take
    } else {
        LockDecision::Busy
    }
}

/// What Settle does with the lock of an unfinished build's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It is somebody else's.
    Leave,
    /// Its dispatch was sent, perhaps, and nobody claimed the run: it may still come.
    Orphan,
    /// The build took it and never acted with it.
    Free,
}

/// Decides over the stored lock for a build that ends with its release.
pub fn settled(lock: &Lock, build: &Build) -> Settled {
    if lock.release != build.release || lock.component != build.component {
        Settled::Leave
    } else if build.nonce.as_ref() == Some(&lock.nonce) {
        Settled::Orphan
    } else if lock.orphaned {
        // An earlier attempt's, whose run may still come.
        Settled::Leave
    } else {
        Settled::Free
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::build::{BuildStatus, Planned};
    use crate::manifest::Manifest;
    use crate::names::RepoName;

    const WAIT: Duration = Duration::from_secs(600);
    const DEADLINE: Timestamp = Timestamp::UNIX_EPOCH;

    fn key(text: &str) -> ReleaseKey {
        ReleaseKey::new(text).unwrap()
    }

    fn lock(orphaned: bool) -> Lock {
        Lock {
            release: key("o/r/v1.0.0"),
            component: "a".into(),
            nonce: "n".into(),
            post_deadline: DEADLINE,
            orphaned,
        }
    }

    fn holder(status: BuildStatus, nonce: Option<&str>, run: Option<u64>) -> Build {
        let manifest = Manifest::parse("[versions]\na = { version = \"1.0.0\" }").unwrap();
        let planned = Planned {
            spec: manifest.components()["a"].clone(),
            repository: RepoName::new("o/a").unwrap(),
            pin: "p".into(),
            git_ref: "main".into(),
            workflow_path: "w".into(),
            shows_nonce: false,
        };
        let mut build = Build::new(key("o/r/v1.0.0"), planned, 1, BTreeSet::new(), DEADLINE);
        build.status = status;
        build.nonce = nonce.map(str::to_owned);
        build.workflow_run_id = run;
        build
    }

    /// Decides some seconds after the deadline.
    fn theirs(lock: &Lock, holder: Option<&Build>, seconds: u64) -> LockDecision {
        let now = DEADLINE + Duration::from_secs(seconds);
        decide(Some(lock), holder, WAIT, now)
    }

    #[test]
    fn none_is_taken() {
        let decision = decide(None, None, WAIT, DEADLINE);
        assert_eq!(decision, LockDecision::Take);
    }

    #[test]
    fn ones_own_leftover_is_waited_for_another_call_may_be_acting_with_it() {
        let of = |seconds| {
            let now = DEADLINE + Duration::from_secs(seconds);
            decide(Some(&lock(false)), None, WAIT, now)
        };
        assert_eq!(of(0), LockDecision::Busy);
        assert_eq!(of(1), LockDecision::Take);
    }

    #[test]
    fn ones_own_orphan_is_waited_for_as_any_other() {
        let of = |seconds| {
            let now = DEADLINE + Duration::from_secs(seconds);
            decide(Some(&lock(true)), None, WAIT, now)
        };
        assert_eq!(of(600), LockDecision::Busy);
        assert_eq!(of(601), LockDecision::Take);
    }

    #[test]
    fn a_dispatch_on_its_way_keeps_its_lock() {
        let build = holder(BuildStatus::Dispatched, Some("n"), None);
        assert_eq!(
            theirs(&lock(false), Some(&build), 100_000),
            LockDecision::Busy
        );
    }

    #[test]
    fn a_claimed_run_frees_it() {
        let build = holder(BuildStatus::InProgress, Some("n"), Some(1));
        assert_eq!(theirs(&lock(false), Some(&build), 0), LockDecision::Take);
    }

    #[test]
    fn a_run_that_may_still_come_is_waited_for() {
        let build = holder(BuildStatus::Cancelled, Some("n"), None);
        for orphaned in [false, true] {
            assert_eq!(
                theirs(&lock(orphaned), Some(&build), 600),
                LockDecision::Busy
            );
            assert_eq!(
                theirs(&lock(orphaned), Some(&build), 601),
                LockDecision::Take
            );
        }
        // The holder has gone on, and the orphan's run may come nevertheless.
        assert_eq!(theirs(&lock(true), None, 600), LockDecision::Busy);
        assert_eq!(theirs(&lock(true), None, 601), LockDecision::Take);
    }

    #[test]
    fn one_without_an_intent_is_free_after_its_deadline() {
        for build in [None, Some(holder(BuildStatus::Pending, None, None))] {
            assert_eq!(theirs(&lock(false), build.as_ref(), 0), LockDecision::Busy);
            assert_eq!(theirs(&lock(false), build.as_ref(), 1), LockDecision::Take);
        }
    }
}
