//! The decisions, as a table of the domain's own functions: a mutant replaces one.

use std::time::Duration;

use commons_domain::build::Build;
use commons_domain::dispatch::{self, Readiness};
use commons_domain::lease::{self, LeaseDecision};
use commons_domain::lock::{self, Lock, LockDecision};
use commons_domain::matching::{self, Candidate};
use commons_domain::names::ReleaseKey;
use commons_domain::release::Release;
use commons_domain::wake;
use jiff::Timestamp;

/// Of a lock, its holder, and the release that wants it.
type LockFn = fn(Option<&Lock>, Option<&Build>, &ReleaseKey, Duration, Timestamp) -> LockDecision;
/// Who has claimed a run: a release and a nonce.
pub type Claim = (u8, u8);

/// Every decision that a mutant may replace.
#[derive(Clone, Copy)]
pub struct Rules {
    pub lease: fn(Option<&Release>, &str, Option<bool>, bool) -> LeaseDecision,
    pub owns: fn(u64, u64) -> bool,
    pub is_as_read: fn(&Build, &Build) -> bool,
    pub may_become: fn(&Build, &Build) -> bool,
    pub readiness: fn(&Build, &[Build], Timestamp) -> Readiness,
    pub lock: LockFn,
    pub is_lock_as_read: fn(&Lock, &Lock) -> bool,
    pub intent: fn(&Build, String, Timestamp, Timestamp) -> Build,
    pub may_act: fn(&Build, Timestamp) -> bool,
    pub candidates: fn(&Build, &[Candidate], &str) -> Vec<Candidate>,
    pub may_claim: fn(Option<&Claim>, &Claim) -> bool,
    pub may_await_dependencies: fn(&Build, u64) -> bool,
    pub may_await_run: fn(&Build, u64, u64) -> bool,
    pub is_overdue: fn(&Build, Duration, Timestamp) -> bool,
    /// Poll takes the only candidate without a proof only while its build has the lock.
    pub lock_is_proof: bool,
    /// The claim, the claimed run on the build and the freed lock are one write.
    pub claim_is_one_write: bool,
    /// Settle reads who owns the release between the lock and its change.
    pub settle_looks_again: bool,
    /// Who found an orphan's run reads the lock again before it claims.
    pub orphan_is_read_again: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            lease: lease::decide,
            owns: |stored, held| stored == held,
            is_as_read: Build::is_as_read,
            may_become: Build::may_become,
            readiness: dispatch::readiness,
            lock: |stored, holder, _, appear, now| lock::decide(stored, holder, appear, now),
            is_lock_as_read: Lock::is_as_read,
            intent: Build::intent,
            may_act: Build::may_act,
            candidates: matching::candidates,
            may_claim: matching::may_claim,
            may_await_dependencies: wake::may_await_dependencies,
            may_await_run: wake::may_await_run,
            is_overdue: Build::is_overdue_at_github,
            lock_is_proof: true,
            claim_is_one_write: true,
            settle_looks_again: true,
            orphan_is_read_again: true,
        }
    }
}
