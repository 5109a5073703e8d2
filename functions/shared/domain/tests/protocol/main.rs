//! The protocol, explored: every state that the decisions of the domain can lead to.
//!
//! The model has the table, GitHub, executions and functions. Each step of a function
//! is one call of the outside world, a read, a conditional write, a call to GitHub, in
//! the order in which the stage makes them; what is decided between two calls is decided
//! by the domain's own functions, over the domain's own values ([`decide`]). Between two
//! steps anything else may happen: another function's step, a run that appears or ends,
//! time, and the faults of [`fault::Fault`]. A breadth-first search ([`search`]) visits
//! every state, and looks in each for what must hold ([`check`]), at each call that
//! starts or cancels a run for whether it may; then it goes back from the ends, so that
//! a state from which no end can be reached shows, with the shortest way to it.
//!
//! Bounds, printed with each configuration: releases × builds, faults that fall in all,
//! zombies at a time, executions of the first release. Faults fall on the first release;
//! the second does the same as it would. A child that was aborted may leave one zombie.
//! Zombies live less than ten minutes, as a function does. Runs appear within ten minutes
//! unless they are made late. Webhooks: only where waits do not end by themselves; where
//! they do, a wake-up is the end of a wait at any time.
//!
//! Taken together: reads that are made at the same time (what a build requires, the
//! builds of a release, the claims of listed runs), and, where there are two releases,
//! calls that only their own release can see. Left out: what Collect and Publish do
//! elsewhere, pins that move, `workflow_dispatch` with its returned run id, limits of
//! time, what cannot be seen for long, `only`, `adopt`.
//!
//! What holds with these exceptions, which are marked where they are made: a run of an
//! attempt that was given up, which appears after the next attempt's run was claimed, is
//! not looked for; a run without a nonce is told only while its dispatch has the lock;
//! between Settle's look at the owner and its cancelling of a run another owner may take
//! the release up; what requires a build whose artifacts have expired may start while that
//! is built again.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod check;
mod decide;
mod dispatch;
mod fault;
mod mutants;
mod parent;
mod poll;
mod rules;
mod search;
mod step;
mod table;
mod world;

use fault::Fault::{
    Abort, Blind, ChildFails, Crash, DelayedPost, DoubledWebhook, Expires, LateRun, LostAnswer,
    LostPost, OrphanEnds, RefusedPost, RunCancelled, RunFails, Stall, Stranger, Zombie,
};
use rules::Rules;
use step::{Config, Model};

/// Everything that may go wrong.
const ALL: &[fault::Fault] = &[
    Crash,
    Zombie,
    Stall,
    LostAnswer,
    DelayedPost,
    LostPost,
    RefusedPost,
    Blind,
    RunFails,
    RunCancelled,
    LateRun,
    OrphanEnds,
    Stranger,
    Abort,
    ChildFails,
    Expires,
];
/// Without the end of an execution from outside.
const CARRIED: &[fault::Fault] = &[
    Crash,
    Zombie,
    Stall,
    LostAnswer,
    DelayedPost,
    LostPost,
    RefusedPost,
    RunFails,
    RunCancelled,
    LateRun,
    Stranger,
    ChildFails,
    Expires,
];
/// What no release fails for.
const MILD: &[fault::Fault] = &[
    Crash,
    Zombie,
    Stall,
    LostAnswer,
    DelayedPost,
    LostPost,
    RefusedPost,
    RunFails,
    LateRun,
    Stranger,
    Expires,
];
const ABORT: &[fault::Fault] = &[Abort];

/// One build.
const ONE: &[u8] = &[0];
/// B requires A.
const TWO: &[u8] = &[0, 0b1];
/// C requires B, B requires A.
const CHAIN: &[u8] = &[0, 0b1, 0b10];
/// B and C require A.
const FORK: &[u8] = &[0, 0b1, 0b1];

/// One release of two builds with nonces, and one fault of any kind.
const USUAL: Config = Config {
    name: "",
    releases: 1,
    requires: TWO,
    nonces: true,
    faults: 1,
    kinds: ALL,
    zombies: 1,
    retries: 2,
    executions: 2,
    timeouts: true,
    same_end: false,
};

/// Explores, prints how much there was, and fails with the way to what is broken.
fn holds(config: Config) {
    let model = Model::new(config, Rules::default());
    let (seen, c) = (search::explore(&model), &model.config);
    println!(
        "protocol: {}: {} × {} builds, {} faults, {} zombies, {} executions: \
         {} states, {} transitions, {} ends, {:.1} s",
        c.name,
        c.releases,
        c.requires.len(),
        c.faults,
        c.zombies,
        c.executions,
        seen.states,
        seen.transitions,
        seen.ends,
        seen.seconds
    );
    if let Some(broken) = seen.broken {
        panic!("{}: {}\n{}", c.name, broken.what, broken.trace.join("\n"));
    }
}

#[test]
fn two_releases_of_two_builds() {
    holds(Config {
        name: "nothing goes wrong",
        releases: 2,
        faults: 0,
        same_end: true,
        ..USUAL
    });
}

/// Half of all the time: by its name it begins first.
#[test]
fn a_function_dies_in_one_of_two_releases_of_two_builds() {
    holds(Config {
        name: "a function dies",
        releases: 2,
        kinds: &[Crash],
        same_end: true,
        ..USUAL
    });
}

#[test]
fn two_releases_of_one_repository() {
    for nonces in [true, false] {
        holds(Config {
            name: if nonces {
                "one repository"
            } else {
                "one repository, no nonces"
            },
            releases: 2,
            requires: ONE,
            nonces,
            kinds: CARRIED,
            ..USUAL
        });
    }
}

#[test]
fn an_abort_beside_another_release() {
    let beside = Config {
        name: "an abort, and a takeover, beside another release",
        releases: 2,
        requires: ONE,
        kinds: ABORT,
        ..USUAL
    };
    holds(Config {
        zombies: 0,
        ..beside.clone()
    });
    for nonces in [true, false] {
        holds(Config {
            name: "an abort beside another release",
            executions: 1,
            nonces,
            ..beside.clone()
        });
    }
}

#[test]
fn an_abort_and_a_takeover() {
    holds(Config {
        name: "an abort, and a takeover",
        kinds: ABORT,
        zombies: 0,
        ..USUAL
    });
    holds(Config {
        name: "an abort",
        kinds: ABORT,
        executions: 1,
        ..USUAL
    });
}

#[test]
fn any_fault_of_one_release() {
    for nonces in [true, false] {
        holds(Config {
            name: if nonces {
                "any fault but an abort"
            } else {
                "the same without nonces"
            },
            nonces,
            kinds: CARRIED,
            ..USUAL
        });
        holds(Config {
            name: if nonces {
                "any fault"
            } else {
                "any fault, no nonces"
            },
            nonces,
            requires: ONE,
            ..USUAL
        });
    }
}

#[test]
fn two_faults() {
    holds(Config {
        name: "any two faults",
        requires: ONE,
        faults: 2,
        zombies: 0,
        ..USUAL
    });
}

#[test]
fn what_no_release_fails_for_ends_the_same() {
    let mild = Config {
        name: "the same end",
        kinds: MILD,
        same_end: true,
        ..USUAL
    };
    holds(mild.clone());
    holds(Config {
        requires: ONE,
        faults: 2,
        ..mild.clone()
    });
    holds(Config {
        requires: ONE,
        releases: 2,
        ..mild
    });
}

#[test]
fn three_builds() {
    holds(Config {
        name: "a chain",
        requires: CHAIN,
        kinds: &[
            Crash,
            Stall,
            LostAnswer,
            DelayedPost,
            LostPost,
            RefusedPost,
            RunFails,
            ChildFails,
            Expires,
        ],
        ..USUAL
    });
    holds(Config {
        name: "a fork",
        requires: FORK,
        faults: 0,
        same_end: true,
        ..USUAL
    });
}

/// Waits do not end by themselves: webhooks and tokens must do.
#[test]
fn no_wake_up_falls_between() {
    holds(Config {
        name: "push alone",
        timeouts: false,
        faults: 2,
        kinds: &[Crash, DoubledWebhook, RunFails, RunCancelled, LostAnswer],
        ..USUAL
    });
}
