//! One decision at a time is replaced by a wrong one, and the search must find it: so it
//! can fail. Some are what the functions once did.

use commons_domain::build::{Build, BuildStatus};
use commons_domain::dispatch::{Readiness, readiness};
use commons_domain::lease::{self, LeaseDecision};
use commons_domain::lock::{self, LockDecision};

use crate::fault::Fault;
use crate::rules::Rules;
use crate::step::{Config, Model};
use crate::{ONE, USUAL, search};

/// Two releases of one build.
const BESIDE: Config = Config {
    name: "a mutant",
    releases: 2,
    requires: ONE,
    ..USUAL
};
/// Two releases of one build whose runs show no nonce.
const UNNAMED: Config = Config {
    nonces: false,
    ..BESIDE
};

fn found(mutant: &str, config: Config, rules: Rules, by: &str) {
    let seen = search::explore(&Model::new(config, rules));
    let what = seen.broken.map_or("nothing".into(), |broken| broken.what);
    println!("protocol: {mutant}: '{what}' after {} states", seen.states);
    assert!(
        what != "nothing" && what.starts_with(by),
        "{mutant}: found '{what}', not '{by}'"
    );
}

#[test]
fn a_claim_without_its_condition() {
    let rules = Rules {
        may_claim: |_, _| true,
        lock_is_proof: false,
        ..Rules::default()
    };
    found("claims anything", UNNAMED, rules, "2:");
}

#[test]
fn a_write_without_the_generation() {
    let rules = Rules {
        owns: |_, _| true,
        may_become: |_, _| true,
        is_as_read: |stored, read| (stored.status, stored.attempt) == (read.status, read.attempt),
        ..Rules::default()
    };
    found("ignores the generation", USUAL, rules, "8:");
}

#[test]
fn a_generation_that_shrinks() {
    let rules = Rules {
        may_become: |_, _| true,
        ..Rules::default()
    };
    found("takes a build back", USUAL, rules, "8:");
}

#[test]
fn a_lease_from_an_owner_that_runs() {
    let rules = Rules {
        lease: |release, who, _, draft| match release {
            Some(release) => LeaseDecision::Take {
                generation: release.generation + 1,
            },
            None => lease::decide(release, who, None, draft),
        },
        ..Rules::default()
    };
    found("takes any lease", USUAL, rules, "8:");
}

#[test]
fn a_dispatch_without_its_intent() {
    let rules = Rules {
        intent: |build, nonce, baseline, now| Build {
            status: build.status,
            attempt: build.attempt,
            ..build.intent(nonce, baseline, now)
        },
        ..Rules::default()
    };
    found("writes no intent", USUAL, rules, "1:");
}

#[test]
fn a_call_after_its_deadline() {
    let rules = Rules {
        may_act: |_, _| true,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Stall],
        ..BESIDE
    };
    found("acts too late", config, rules, "lock:");
}

#[test]
fn a_dispatch_before_green() {
    let rules = Rules {
        readiness: |build, required, now| match readiness(build, required, now) {
            Readiness::NotReady(_) => Readiness::Ready,
            other => other,
        },
        ..Rules::default()
    };
    found("waits for nothing", USUAL, rules, "3:");
}

#[test]
fn an_orphaned_lock_at_once() {
    let rules = Rules {
        lock: |stored, holder, _, appear, now| match stored {
            Some(stored) if stored.orphaned => LockDecision::Take,
            _ => lock::decide(stored, holder, appear, now),
        },
        ..Rules::default()
    };
    found("takes an orphaned lock", BESIDE, rules, "lock:");
}

#[test]
fn ones_own_lock_at_once() {
    let rules = Rules {
        lock: |stored, holder, key, appear, now| match stored {
            Some(stored) if stored.release == *key && !stored.orphaned => LockDecision::Take,
            _ => lock::decide(stored, holder, appear, now),
        },
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Abort],
        ..BESIDE
    };
    found("takes its own lock at once", config, rules, "lock:");
}

#[test]
fn a_lock_that_is_told_by_its_nonce_alone() {
    let rules = Rules {
        lock: |stored, holder, key, appear, now| match stored {
            Some(stored) if stored.release == *key && !stored.orphaned => LockDecision::Take,
            _ => lock::decide(stored, holder, appear, now),
        },
        is_lock_as_read: |stored, read| stored.nonce == read.nonce,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Crash],
        ..BESIDE
    };
    found("replaces a lock that was renewed", config, rules, "lock:");
}

#[test]
fn a_wait_for_first_attempts_alone() {
    let rules = Rules {
        may_await_dependencies: |build, generation| {
            build.status == BuildStatus::Pending && build.generation == generation
        },
        ..Rules::default()
    };
    let config = Config {
        faults: 2,
        kinds: &[Fault::RunFails, Fault::Expires],
        ..USUAL
    };
    found("lets no second attempt wait", config, rules, "pause:");
}

#[test]
fn a_wait_that_forgets_seq() {
    let rules = Rules {
        may_await_run: |build, generation, _| build.generation == generation,
        ..Rules::default()
    };
    let config = Config {
        timeouts: false,
        faults: 0,
        ..USUAL
    };
    found("forgets seq", config, rules, "no end");
}

#[test]
fn a_run_that_is_given_up_while_it_is_claimed() {
    let rules = Rules {
        is_as_read: |stored, read| {
            let told = |b: &Build| (b.status, b.attempt, b.generation);
            told(stored) == told(read)
        },
        ..Rules::default()
    };
    let config = Config {
        requires: ONE,
        faults: 2,
        kinds: crate::MILD,
        same_end: true,
        ..USUAL
    };
    found("does not look for a claim", config, rules, "7:");
}

#[test]
fn an_only_candidate_without_the_lock() {
    let rules = Rules {
        lock_is_proof: false,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Stall],
        ..UNNAMED
    };
    found("takes another's run", config, rules, "2:");
}

#[test]
fn a_lock_that_is_freed_before_the_run_is_written() {
    let rules = Rules {
        claim_is_one_write: false,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Abort],
        executions: 1,
        ..USUAL
    };
    found("frees the lock first", config, rules, "no end");
}

#[test]
fn a_settle_that_frees_its_successor_s_lock() {
    let rules = Rules {
        settle_looks_again: false,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::Abort],
        zombies: 0,
        ..BESIDE
    };
    found("frees another's lock", config, rules, "lock:");
}

#[test]
fn an_orphan_that_is_not_read_again() {
    let rules = Rules {
        orphan_is_read_again: false,
        ..Rules::default()
    };
    let config = Config {
        kinds: &[Fault::ChildFails],
        ..UNNAMED
    };
    found("claims for an old orphan", config, rules, "2:");
}
