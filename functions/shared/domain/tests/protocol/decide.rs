//! The decisions over small integers.
//!
//! What a decision says of them is remembered, so that it is asked once for each question
//! and not once for each state.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use commons_domain::attempts::{self, Outcome};
use commons_domain::build::{Build, BuildStatus};
use commons_domain::dispatch::Readiness;
use commons_domain::lease::LeaseDecision;
use commons_domain::lock::{self, LockDecision};
use commons_domain::matching::{self, Candidate, Match};
use commons_domain::run::{self, Progress, Seen};
use commons_domain::wake;

use crate::search::Mix;
use crate::table::{
    APPEAR, B, BUILDS, L, LOGIN, Names, R, RUNS, Run, RunState, execution, now, release_code,
    taken_at,
};

use crate::rules::Rules;

type Memo<K, V> = RefCell<HashMap<K, V, Mix>>;

fn remembered<K: Hash + Eq + Copy, V: Clone>(
    memo: &Memo<K, V>,
    key: K,
    ask: impl FnOnce() -> V,
) -> V {
    if let Some(known) = memo.borrow().get(&key) {
        return known.clone();
    }
    let answer = ask();
    memo.borrow_mut().insert(key, answer.clone());
    answer
}

/// What Dispatch does next, in small integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    Free,
    Waits(u8),
    OnItsWay,
    Green,
    Blocked,
    Over,
}

/// What a list of runs says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    None,
    Run { index: u8, attempt: u8, by: u8 },
    Ambiguous,
}

/// Instead of a generation: the plan stands.
pub const PLANNED: u8 = u8::MAX;

/// What a look at a claimed run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    Running,
    Green,
    Failed,
    Cancelled,
    Unknown,
}

/// A change of a build that needs nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    Accepted,
    NotSent,
    InProgress,
    Green,
    Failed,
    NoRun,
    LostRerun,
    Cancelled,
    Ambiguous,
    Expired,
    Blocked,
    /// Ends it, with this status.
    End(u8),
    Collected,
    Error,
    RerunIntent,
    Settled(bool),
}

/// The decisions over small integers.
pub struct Decide {
    pub rules: Rules,
    pub names: Names,
    as_read: Memo<(B, B), bool>,
    becomes: Memo<(B, B), bool>,
    ready: Memo<(u8, B, [B; 2]), Ready>,
    locks: Memo<(u8, u8, L, B), bool>,
    changes: Memo<(u8, u8, B, Change), B>,
    intents: Memo<(u8, u8, B, u8, u8), B>,
    adoptions: Memo<(u8, u8, B, u8, u8), B>,
    found: Memo<(u8, u8, B, [Run; RUNS], u8), Found>,
    late: Memo<(u8, u8, B, [Run; RUNS], u8), u8>,
    looks: Memo<(u8, B, Run), Look>,
    flags: Memo<(u8, u8, B, u8), bool>,
    leases: Memo<(u8, R, u8, u8), u8>,
    blocks: Memo<(u8, B, [B; BUILDS]), u8>,
    tells: Memo<[(u8, B); 2], bool>,
    nonces: bool,
}

impl Decide {
    pub fn new(rules: Rules, names: Names, nonces: bool) -> Self {
        Self {
            rules,
            names,
            nonces,
            as_read: Memo::default(),
            becomes: Memo::default(),
            ready: Memo::default(),
            locks: Memo::default(),
            changes: Memo::default(),
            intents: Memo::default(),
            adoptions: Memo::default(),
            found: Memo::default(),
            late: Memo::default(),
            looks: Memo::default(),
            flags: Memo::default(),
            leases: Memo::default(),
            blocks: Memo::default(),
            tells: Memo::default(),
        }
    }

    pub fn owns(&self, stored: u8, held: u8) -> bool {
        (self.rules.owns)(stored.into(), held.into())
    }

    pub fn is_as_read(&self, stored: B, read: B) -> bool {
        // Only these are asked for.
        let key = |b: B| B {
            status: b.status,
            attempt: b.attempt,
            run: b.run,
            run_attempt: b.run_attempt,
            generation: b.generation,
            ..B::default()
        };
        let (stored, read) = (key(stored), key(read));
        remembered(&self.as_read, (stored, read), || {
            let build = |b| self.names.build(0, 0, b);
            (self.rules.is_as_read)(&build(stored), &build(read))
        })
    }

    pub fn may_become(&self, before: B, after: B) -> bool {
        let key = |b: B| B {
            status: b.status,
            generation: b.generation,
            ..B::default()
        };
        let (before, after) = (key(before), key(after));
        remembered(&self.becomes, (before, after), || {
            let build = |b| self.names.build(0, 0, b);
            (self.rules.may_become)(&build(before), &build(after))
        })
    }

    /// `required`: the builds that it requires, with their components.
    pub fn readiness(&self, component: u8, build: B, required: &[(u8, B)]) -> Ready {
        let plain = |b: B| B {
            status: b.status,
            error: b.error,
            ..B::default()
        };
        let mut others = [B::default(); 2];
        for (n, (_, b)) in required.iter().enumerate() {
            others[n] = plain(*b);
        }
        remembered(&self.ready, (component, plain(build), others), || {
            let others: Vec<Build> = required
                .iter()
                .map(|(c, b)| self.names.build(0, *c, plain(*b)))
                .collect();
            let build = self.names.build(0, component, plain(build));
            match (self.rules.readiness)(&build, &others, now()) {
                Readiness::Ready | Readiness::NotBefore(_) => Ready::Free,
                Readiness::NotReady(names) => Ready::Waits(self.names.bits(names.iter())),
                Readiness::OnItsWay => Ready::OnItsWay,
                Readiness::Green => Ready::Green,
                Readiness::Blocked(_) => Ready::Blocked,
                Readiness::Over => Ready::Over,
            }
        })
    }

    /// Whether a build of `release` may take the lock.
    pub fn may_take(&self, release: u8, component: u8, stored: L, holder: B) -> bool {
        remembered(&self.locks, (release, component, stored, holder), || {
            let lock = self.names.lock(component, stored);
            let holder = holder
                .is_there()
                .then(|| self.names.build(stored.release - 1, component, holder));
            let key = &self.names.keys[usize::from(release)];
            let decision = (self.rules.lock)(lock.as_ref(), holder.as_ref(), key, APPEAR, now());
            decision == LockDecision::Take
        })
    }

    /// Whether a lock may be taken that was read before. `moved`: it was written since.
    pub fn is_lock_as_read(&self, component: u8, stored: L, read: L, moved: bool) -> bool {
        match (
            self.names.lock(component, stored),
            self.names.lock(component, read),
        ) {
            (None, None) => true,
            (Some(mut stored), Some(read)) => {
                // Time has passed, and the deadline is the same; unless it was written anew.
                stored.post_deadline = if moved { now() } else { read.post_deadline };
                (self.rules.is_lock_as_read)(&stored, &read)
            }
            _ => false,
        }
    }

    pub fn settled_lock(&self, release: u8, component: u8, stored: L, build: B) -> lock::Settled {
        let build = self.names.build(release, component, build);
        self.names
            .lock(component, stored)
            .map_or(lock::Settled::Leave, |lock| lock::settled(&lock, &build))
    }

    /// The number of the nonce that the next attempt has.
    pub fn next_nonce(&self, build: B) -> u8 {
        crate::table::nonce(build.generation, build.attempt + 1)
    }

    /// The intent of a build whose lock has its deadline in `phase`.
    pub fn intent(&self, release: u8, component: u8, build: B, phase: u8, older: u8) -> B {
        remembered(
            &self.intents,
            (release, component, build, phase, older),
            || {
                let before = self.names.build(release, component, build);
                let nonce = before.next_nonce();
                let at = taken_at(phase);
                let baseline = now() - Duration::from_secs(100);
                let after = (self.rules.intent)(&before, nonce, baseline, at);
                self.names.small(&after, older)
            },
        )
    }

    pub fn may_act(&self, release: u8, component: u8, build: B) -> bool {
        remembered(&self.flags, (release, component, build, 0), || {
            let build = self.names.build(release, component, build);
            (self.rules.may_act)(&build, now())
        })
    }

    pub fn is_given_up(&self, release: u8, component: u8, build: B) -> bool {
        remembered(&self.flags, (release, component, build, 1), || {
            let build = self.names.build(release, component, build);
            (self.rules.is_overdue)(&build, APPEAR, now())
        })
    }

    /// Whether nothing was dispatched for it since it was with this nonce.
    pub fn last_dispatched_with(&self, release: u8, component: u8, build: B, nonce: u8) -> bool {
        let build = self.names.build(release, component, build);
        build.last_dispatched_with(&self.names.nonce(release, component, nonce))
    }

    /// Whether Plan waits for a dispatch of it that may be in flight.
    pub fn is_in_flight(&self, release: u8, component: u8, build: B) -> bool {
        remembered(&self.flags, (release, component, build, 3), || {
            let build = self.names.build(release, component, build);
            build.in_flight_until().is_some_and(|until| until > now())
        })
    }

    pub fn may_await_dependencies(&self, build: B, generation: u8) -> bool {
        remembered(&self.flags, (0, 0, build, 16 + generation), || {
            // Its nonces are of no interest, and may be another component's.
            let build = B {
                nonce: 0,
                abandoned: [0; 4],
                ..build
            };
            let build = self.names.build(0, 0, build);
            (self.rules.may_await_dependencies)(&build, generation.into())
        })
    }

    /// `moved`: its `seq` has grown since it was read.
    pub fn may_await_run(&self, build: B, generation: u8, moved: bool) -> bool {
        let key = 64 + 2 * generation + u8::from(moved);
        remembered(&self.flags, (0, 0, build, key), || {
            let build = B {
                nonce: 0,
                abandoned: [0; 4],
                ..build
            };
            let mut build = self.names.build(0, 0, build);
            build.seq = u64::from(moved);
            (self.rules.may_await_run)(&build, generation.into(), 0)
        })
    }

    /// What Plan writes; `woken` in the answer: `seq` grows.
    pub fn planned(&self, release: u8, component: u8, stored: B, generation: u8, waiting: u8) -> B {
        let key = (release, component, stored, generation, waiting);
        remembered(&self.adoptions, key, || {
            let planned = self.names.planned(component);
            let set = self.names.set(waiting);
            let build = if stored.is_there() {
                let stored = self.names.build(release, component, stored);
                stored.adopted(planned, generation.into(), set, false, now())
            } else {
                let key = self.names.keys[usize::from(release)].clone();
                Build::new(key, planned, generation.into(), set, now())
            };
            self.names.small(&build, stored.older)
        })
    }

    /// Applies a change.
    pub fn change(&self, release: u8, component: u8, b: B, change: Change) -> B {
        remembered(&self.changes, (release, component, b, change), || {
            let build = self.names.build(release, component, b);
            let error = || "error".to_owned();
            let follows = |build: &Build, outcome| {
                attempts::after(build, outcome, error(), true, Duration::ZERO, now())
            };
            let after = match change {
                Change::Accepted => build.accepted(),
                Change::NotSent => build.not_sent(),
                Change::InProgress => Build {
                    status: BuildStatus::InProgress,
                    ..build
                },
                Change::Green => Build {
                    status: BuildStatus::Success,
                    wait_token: None,
                    ..build
                },
                Change::Failed => follows(&build, Outcome::Failed),
                Change::Cancelled => follows(&build, Outcome::CancelledByPerson),
                Change::Blocked => build.blocked(error(), now()),
                Change::Ambiguous => follows(&build, Outcome::Ambiguous),
                Change::Expired => follows(&build, Outcome::Expired),
                Change::NoRun => follows(&build.given_up(), Outcome::NoRun),
                Change::LostRerun => follows(&build.without_rerun(), Outcome::NoRerun),
                Change::End(status) => {
                    let status = B { status, ..b }.status();
                    build.ended(status, error(), now())
                }
                Change::Collected => Build {
                    status: BuildStatus::Collected,
                    collected: Some(self.names.collected()),
                    error: None,
                    ..build
                },
                Change::Error => Build {
                    error: Some(error()),
                    wait_token: None,
                    ..build
                },
                Change::RerunIntent => build.rerun_intent(now()),
                Change::Settled(stopped) => build.settled(stopped, now()),
            };
            self.names.small(&after, b.older)
        })
    }

    pub fn claimed(&self, release: u8, component: u8, b: B, index: u8, attempt: u8, by: u8) -> B {
        use commons_domain::build::MatchedBy;
        let by = if by == 1 {
            MatchedBy::Nonce
        } else {
            MatchedBy::OnlyCandidate
        };
        let build = self.names.build(release, component, b);
        let claimed = build.claimed(u64::from(index) + 1, attempt.into(), by);
        self.names.small(&claimed, b.older)
    }

    pub fn may_claim(&self, run: Run, release: u8, nonce: u8) -> bool {
        let stored = (run.claimed_by != 0).then_some((run.claimed_by, run.claimed_nonce));
        (self.rules.may_claim)(stored.as_ref(), &(release + 1, nonce))
    }

    fn listed(&self, component: u8, b: B, runs: &[Run; RUNS], list: u8) -> Vec<Candidate> {
        (0..RUNS)
            .filter(|n| list & (1 << n) != 0 && runs[*n].component == component)
            .map(|n| self.names.candidate(n, runs[n], b.older, self.nonces))
            .collect()
    }

    /// The run of a build's present attempt among the listed ones.
    pub fn found(&self, release: u8, component: u8, b: B, runs: &[Run; RUNS], list: u8) -> Found {
        let runs = asked(runs);
        remembered(&self.found, (release, component, b, runs, list), || {
            let build = self.names.build(release, component, b);
            let mut unclaimed = Vec::new();
            let listed = self.listed(component, b, &runs, list);
            for candidate in (self.rules.candidates)(&build, &listed, LOGIN) {
                let run = runs[candidate.id as usize - 1];
                if run.claimed_by == 0 {
                    unclaimed.push(candidate);
                } else if (run.claimed_by, run.claimed_nonce) == (release + 1, b.nonce) {
                    unclaimed = vec![candidate];
                    break;
                }
            }
            match matching::decide(&build, &unclaimed) {
                Match::None => Found::None,
                Match::Ambiguous(_) => Found::Ambiguous,
                Match::Run {
                    id,
                    run_attempt,
                    by,
                } => Found::Run {
                    index: id as u8 - 1,
                    attempt: run_attempt as u8,
                    by: if by == commons_domain::build::MatchedBy::Nonce {
                        1
                    } else {
                        2
                    },
                },
            }
        })
    }

    /// The listed runs of attempts that were given up, as bits.
    pub fn late(&self, release: u8, component: u8, b: B, runs: &[Run; RUNS], list: u8) -> u8 {
        let runs = asked(runs);
        remembered(&self.late, (release, component, b, runs, list), || {
            let build = self.names.build(release, component, b);
            let listed = self.listed(component, b, &runs, list);
            matching::late(&build, &listed)
                .iter()
                .fold(0, |bits, run| bits | 1 << (run.id - 1))
        })
    }

    pub fn look(&self, component: u8, b: B, run: Run) -> Look {
        let b = B {
            nonce: 0,
            abandoned: [0; 4],
            ..b
        };
        remembered(&self.looks, (component, b, run), || {
            let (status, conclusion) = match run.state {
                RunState::Success => ("completed", Some("success")),
                RunState::Failure => ("completed", Some("failure")),
                RunState::Cancelled => ("completed", Some("cancelled")),
                _ => ("in_progress", None),
            };
            let build = self.names.build(0, component, b);
            let seen = Seen {
                status: status.into(),
                conclusion: conclusion.map(str::to_owned),
                run_attempt: run.attempt.into(),
                head_sha: build.pin.clone(),
                run_started_at: None,
            };
            match run::progress(&build, &seen) {
                Progress::Green => Look::Green,
                Progress::Ended(..) => Look::Failed,
                Progress::Cancelled => Look::Cancelled,
                Progress::Unknown => Look::Unknown,
                Progress::Queued | Progress::InProgress => Look::Running,
            }
        })
    }

    /// The generation that an execution takes; zero where it may not. `runs`: whether
    /// the holder is said to run, one more; zero before it was asked.
    pub fn lease(&self, release: u8, stored: R, who: u8, runs: u8) -> u8 {
        remembered(&self.leases, (release, stored, who, runs), || {
            let stored = self.names.release(release, stored);
            let runs = (runs != 0).then_some(runs == 2);
            match (self.rules.lease)(stored.as_ref(), &execution(who), runs, false) {
                LeaseDecision::Take { generation } => generation as u8,
                LeaseDecision::Planned => PLANNED,
                _ => 0,
            }
        })
    }
}

/// What several builds or a release say.
impl Decide {
    /// The dependents that a dead build blocks, as bits.
    pub fn blocked(&self, component: u8, dead: B, builds: &[B; BUILDS]) -> u8 {
        let plain = |b: B| B {
            status: b.status,
            generation: b.generation,
            token: b.token,
            ..B::default()
        };
        let (dead, builds) = (plain(dead), builds.map(plain));
        remembered(&self.blocks, (component, dead, builds), || {
            let dead = self.names.build(0, component, dead);
            let builds: Vec<Build> = (0..)
                .zip(builds)
                .filter(|(_, b)| b.is_there())
                .map(|(c, b)| self.names.build(0, c, b))
                .collect();
            let blocked = wake::blocked(&dead, &builds);
            self.names.bits(blocked.into_iter().map(|b| &b.component))
        })
    }

    /// Whether the green build tells that dependent.
    pub fn is_told(&self, dependent: (u8, B), green: (u8, B)) -> bool {
        let plain = |b: B| B {
            status: b.status,
            generation: b.generation,
            ..B::default()
        };
        let key = [(dependent.0, plain(dependent.1)), (green.0, plain(green.1))];
        remembered(&self.tells, key, || {
            let [dependent, green] = key.map(|(c, b)| self.names.build(0, c, b));
            wake::is_told(&dependent, &green)
        })
    }

    pub fn is_woken(&self, told: B) -> bool {
        let told = B {
            status: told.status,
            waiting: told.waiting,
            ..B::default()
        };
        remembered(&self.flags, (0, 0, told, 4), || {
            wake::is_woken(&self.names.build(0, 0, told))
        })
    }

    /// The release after Settle's first write.
    pub fn settled(&self, r: R, aborted: bool) -> R {
        let release = self.names.release(0, r).unwrap();
        let settled = release.settled(aborted, "error", now());
        R {
            status: release_code(settled.status),
            generation: settled.generation as u8,
            ..r
        }
    }

    pub fn is_owned_by(&self, r: R, who: u8) -> bool {
        let release = self.names.release(0, r);
        release.is_some_and(|release| release.is_owned_by(&execution(who)))
    }

    /// Whether the sweeper ends what came after the release's end.
    pub fn is_over(&self, r: R) -> bool {
        let since = now() - Duration::from_secs(1);
        let release = self.names.release(0, r);
        release.is_some_and(|release| release.is_over(since))
    }
}

/// What a match asks of the runs: not how they do.
fn asked(runs: &[Run; RUNS]) -> [Run; RUNS] {
    runs.map(|run| Run {
        state: RunState::None,
        late: false,
        ..run
    })
}
