//! What is stored, as small integers, and as the values that the decisions take.
//!
//! A time is kept as what the decisions can tell of it: how far a deadline is away, and
//! whether a run is older than a baseline. So the explored states stay finite.

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use commons_domain::build::{Build, BuildStatus, MatchedBy, Planned};
use commons_domain::lock::Lock;
use commons_domain::manifest::Manifest;
use commons_domain::matching::Candidate;
use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::release::{Collected, Release, ReleaseStatus};
use jiff::Timestamp;

/// Builds of a release, at most.
pub const BUILDS: usize = 3;
/// Runs in GitHub, at most.
pub const RUNS: usize = 7;
/// The token's login.
pub const LOGIN: &str = "bot";
/// How long a run may take to appear.
pub const APPEAR: Duration = commons_domain::times::RUN_APPEAR_TIMEOUT;

/// A deadline that lets a call begin still.
pub const OPEN: u8 = 1;
/// One that does not, and is not over.
pub const CLOSING: u8 = 2;
/// One that is over; the run may still appear.
pub const OVER: u8 = 3;
/// One so long over that the run had its time to appear.
pub const LONG_OVER: u8 = 4;

/// The clock never moves: deadlines do.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).unwrap()
}

fn deadline(phase: u8) -> Option<Timestamp> {
    let at = |seconds: i64| Some(Timestamp::from_second(1_000_000 + seconds).unwrap());
    match phase {
        0 => None,
        OPEN => at(13),
        CLOSING => at(5),
        OVER => at(-1),
        _ => at(-700),
    }
}

fn phase(deadline: Option<Timestamp>) -> u8 {
    match deadline.map(|at| at.as_second() - 1_000_000) {
        None => 0,
        Some(10..) => OPEN,
        Some(0..) => CLOSING,
        Some(-600..) => OVER,
        Some(_) => LONG_OVER,
    }
}

/// When the lock was taken whose deadline is in this phase.
pub fn taken_at(phase: u8) -> Timestamp {
    use commons_domain::times::{DISPATCH_BEGINS, DISPATCH_DEADLINE};
    deadline(phase).unwrap() - DISPATCH_BEGINS - DISPATCH_DEADLINE
}

/// A build. Zero means that it, or the attribute, is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct B {
    pub status: u8,
    pub generation: u8,
    pub attempt: u8,
    pub retries: u8,
    /// The nonce of its present attempt: generation and attempt of its decision.
    pub nonce: u8,
    pub abandoned: [u8; 4],
    /// Of its POST's deadline.
    pub phase: u8,
    /// The claimed run, one more than its index.
    pub run: u8,
    pub run_attempt: u8,
    pub matched: u8,
    /// Components that it waits for.
    pub waiting: u8,
    /// Whether the token that its child is parked with is stored.
    pub token: bool,
    pub error: bool,
    /// Runs that were there at its baseline.
    pub older: u8,
    /// In a value that a decision returned: `seq` has grown.
    pub woken: bool,
}

impl Hash for B {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u8(self.status);
        if self.status == 0 {
            return;
        }
        let small = [
            self.generation,
            self.attempt,
            self.retries,
            self.nonce,
            self.phase,
            self.run,
            self.run_attempt,
            self.matched,
            self.waiting,
            self.older,
            u8::from(self.token) | u8::from(self.error) << 1 | u8::from(self.woken) << 2,
        ];
        small.hash(to);
        self.abandoned.hash(to);
    }
}

const STATUS: [BuildStatus; 12] = [
    BuildStatus::Pending,
    BuildStatus::Dispatching,
    BuildStatus::Dispatched,
    BuildStatus::Queued,
    BuildStatus::InProgress,
    BuildStatus::Retrying,
    BuildStatus::Success,
    BuildStatus::Collected,
    BuildStatus::Failure,
    BuildStatus::Cancelled,
    BuildStatus::TimedOut,
    BuildStatus::Blocked,
];

/// A status as it is kept.
pub fn status_code(status: BuildStatus) -> u8 {
    1 + STATUS.iter().position(|s| *s == status).unwrap() as u8
}

impl B {
    pub fn is_there(self) -> bool {
        self.status != 0
    }

    pub fn status(self) -> BuildStatus {
        STATUS[usize::from(self.status) - 1]
    }

    /// What a conditional write makes of this stored build: only what differs between
    /// `before` and `after` is written.
    pub fn changed(self, before: Self, after: Self) -> Self {
        let mut next = self;
        macro_rules! write {
            ($($field:ident),*) => {$(
                if before.$field != after.$field {
                    next.$field = after.$field;
                }
            )*};
        }
        write!(
            status,
            generation,
            attempt, retries, nonce, abandoned, phase, run
        );
        write!(run_attempt, matched, waiting, token, error, older);
        next.plain()
    }

    /// Forgets what no decision asks for any more, so that fewer states differ.
    pub fn plain(mut self) -> Self {
        self.woken = false;
        let status = self.status();
        let claimed =
            self.run != 0 && !matches!(status, BuildStatus::Dispatching | BuildStatus::Dispatched);
        if self.phase != 0 && (claimed || status.is_failed()) {
            self.phase = LONG_OVER;
        }
        if self.run != 0 {
            self.older = 0;
        }
        self
    }
}

/// A lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct L {
    /// Its holder, one more than its release; zero where it is free.
    pub release: u8,
    pub nonce: u8,
    pub phase: u8,
    pub orphaned: bool,
}

/// A release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct R {
    pub status: u8,
    pub generation: u8,
    /// The execution that owns it, one more than its number.
    pub lease: u8,
}

const RELEASE: [ReleaseStatus; 7] = [
    ReleaseStatus::Planning,
    ReleaseStatus::Building,
    ReleaseStatus::Publishing,
    ReleaseStatus::Published,
    ReleaseStatus::Drafted,
    ReleaseStatus::Failed,
    ReleaseStatus::Cancelled,
];

/// A release's status as it is kept.
pub fn release_code(status: ReleaseStatus) -> u8 {
    1 + RELEASE.iter().position(|s| *s == status).unwrap() as u8
}

impl R {
    pub fn status(self) -> ReleaseStatus {
        RELEASE[usize::from(self.status) - 1]
    }
}

/// A workflow run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Run {
    pub state: RunState,
    pub component: u8,
    /// The release that dispatched it, one more; zero for a stranger.
    pub by: u8,
    pub nonce: u8,
    pub attempt: u8,
    /// Who has claimed it: a release, one more, and its nonce.
    pub claimed_by: u8,
    pub claimed_nonce: u8,
    /// It may appear after its time.
    pub late: bool,
}

impl Hash for Run {
    fn hash<H: Hasher>(&self, to: &mut H) {
        // The state is asked for alone where a decision does not ask for it.
        self.state.hash(to);
        if self.attempt == 0 {
            return;
        }
        let small = [
            self.component,
            self.by,
            self.nonce,
            self.attempt,
            self.claimed_by,
            self.claimed_nonce,
            u8::from(self.late),
        ];
        small.hash(to);
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RunState {
    /// There is none.
    #[default]
    None,
    /// GitHub has accepted the dispatch; no list shows the run.
    Hidden,
    Running,
    Success,
    Failure,
    Cancelled,
}

impl Run {
    pub fn is_active(self) -> bool {
        matches!(self.state, RunState::Hidden | RunState::Running)
    }
}

/// A nonce by the generation and the attempt that it is decided in.
pub fn nonce(generation: u8, attempt: u8) -> u8 {
    assert!(
        (1..=15).contains(&generation) && attempt <= 15,
        "{generation} {attempt}"
    );
    generation << 4 | attempt
}

/// Between the small integers and the domain's values.
pub struct Names {
    pub keys: [ReleaseKey; 2],
    planned: Vec<Planned>,
    nonces: HashMap<(u8, u8, u8), String>,
    numbers: HashMap<String, u8>,
}

impl Names {
    /// `requires`: for each component the components that it requires, as bits.
    pub fn new(requires: &[u8], retries: u32) -> Self {
        let name = |n: usize| ["a", "b", "c"][n];
        let mut text = String::from("[versions]\n");
        for (n, bits) in requires.iter().enumerate() {
            let needs: Vec<String> = (0..BUILDS)
                .filter(|i| bits & (1 << i) != 0)
                .map(|i| format!("\"{}=1.0.0\"", name(i)))
                .collect();
            text += &format!(
                "{} = {{ version = \"1.0.0\", max_retries = {retries}, requires = [{}] }}\n",
                name(n),
                needs.join(", ")
            );
        }
        let manifest = Manifest::parse(&text).unwrap();
        let planned = (0..requires.len())
            .map(|n| Planned {
                spec: manifest.components()[name(n)].clone(),
                repository: RepoName::new(&format!("o/{}", name(n))).unwrap(),
                pin: "p".into(),
                git_ref: "main".into(),
                workflow_path: ".github/workflows/build.yml".into(),
                shows_nonce: false,
            })
            .collect();
        let key = |version| ReleaseKey::new(&format!("o/r/{version}")).unwrap();
        let mut names = Self {
            keys: [key("v1.0.0"), key("v2.0.0")],
            planned,
            nonces: HashMap::new(),
            numbers: HashMap::new(),
        };
        for release in 0..2 {
            for component in 0..requires.len() as u8 {
                for generation in 1..=15 {
                    for attempt in 1..=15 {
                        let build = B {
                            status: 1,
                            generation,
                            attempt: attempt - 1,
                            ..B::default()
                        };
                        let text = names.build(release, component, build).next_nonce();
                        let number = nonce(generation, attempt);
                        names.numbers.insert(text.clone(), number);
                        names.nonces.insert((release, component, number), text);
                    }
                }
            }
        }
        names
    }

    pub fn planned(&self, component: u8) -> Planned {
        self.planned[usize::from(component)].clone()
    }

    pub fn nonce(&self, release: u8, component: u8, number: u8) -> String {
        self.nonces[&(release, component, number)].clone()
    }

    fn component(&self, name: &str) -> u8 {
        self.planned
            .iter()
            .position(|p| p.spec.name == name)
            .unwrap() as u8
    }

    /// Components as bits.
    pub fn bits<'a>(&self, names: impl Iterator<Item = &'a String>) -> u8 {
        names.fold(0, |bits, name| bits | 1 << self.component(name))
    }

    pub fn set(&self, bits: u8) -> BTreeSet<String> {
        (0..self.planned.len())
            .filter(|n| bits & (1 << n) != 0)
            .map(|n| self.planned[n].spec.name.clone())
            .collect()
    }

    /// The domain's build.
    pub fn build(&self, release: u8, component: u8, b: B) -> Build {
        let mut build = Build::new(
            self.keys[usize::from(release)].clone(),
            self.planned(component),
            b.generation.into(),
            self.set(b.waiting),
            now(),
        );
        build.status = b.status();
        build.attempt = b.attempt.into();
        build.retry_count = b.retries.into();
        build.wait_token = b.token.then(|| "token".into());
        build.nonce = (b.nonce != 0).then(|| self.nonce(release, component, b.nonce));
        build.abandoned = b
            .abandoned
            .iter()
            .filter(|n| **n != 0)
            .map(|n| self.nonce(release, component, *n))
            .collect();
        let dispatched = b.nonce != 0 || b.abandoned[0] != 0;
        build.baseline = dispatched.then(|| now() - Duration::from_secs(100));
        build.dispatched_at = build.baseline.filter(|_| b.nonce != 0);
        build.post_deadline = deadline(b.phase);
        build.workflow_run_id = (b.run != 0).then(|| u64::from(b.run));
        build.run_attempt = (b.run_attempt != 0).then(|| b.run_attempt.into());
        build.matched_by = match b.matched {
            0 => None,
            1 => Some(MatchedBy::Nonce),
            _ => Some(MatchedBy::OnlyCandidate),
        };
        build.error = b.error.then(|| "error".into());
        if b.status() == BuildStatus::Collected {
            build.collected = Some(self.collected());
        }
        build
    }

    /// A list of no files.
    pub fn collected(&self) -> Collected {
        Collected {
            workflow_run_id: 1,
            run_attempt: 1,
            key: "key".into(),
            sha256: commons_domain::names::Sha256::of(b""),
            count: 0,
        }
    }

    /// What a decision made of a build. `older` is carried on by the caller.
    pub fn small(&self, build: &Build, older: u8) -> B {
        let mut abandoned = [0; 4];
        let mut given_up: Vec<u8> = build.abandoned.iter().map(|n| self.numbers[n]).collect();
        given_up.sort_unstable();
        given_up.dedup();
        abandoned[..given_up.len()].copy_from_slice(&given_up);
        B {
            status: status_code(build.status),
            generation: build.generation as u8,
            attempt: build.attempt as u8,
            retries: build.retry_count as u8,
            nonce: build.nonce.as_ref().map_or(0, |n| self.numbers[n]),
            abandoned,
            phase: phase(build.post_deadline),
            run: build.workflow_run_id.unwrap_or(0) as u8,
            run_attempt: build.run_attempt.unwrap_or(0) as u8,
            matched: match build.matched_by {
                None => 0,
                Some(MatchedBy::Nonce) => 1,
                Some(_) => 2,
            },
            waiting: self.bits(build.waiting_on.iter()),
            token: build.wait_token.is_some(),
            error: build.error.is_some() && !build.status.is_failed(),
            older: if build.baseline.is_some() { older } else { 0 },
            woken: build.seq > 0,
        }
    }

    /// The domain's lock; none where it is free.
    pub fn lock(&self, component: u8, l: L) -> Option<Lock> {
        (l.release != 0).then(|| Lock {
            release: self.keys[usize::from(l.release) - 1].clone(),
            component: self.planned[usize::from(component)].spec.name.clone(),
            nonce: self.nonce(l.release - 1, component, l.nonce),
            post_deadline: deadline(l.phase).unwrap(),
            orphaned: l.orphaned,
        })
    }

    /// The domain's release; none before its first owner.
    pub fn release(&self, release: u8, r: R) -> Option<Release> {
        (r.status != 0).then(|| Release {
            key: self.keys[usize::from(release)].clone(),
            status: r.status(),
            generation: r.generation.into(),
            lease: (r.lease != 0).then(|| execution(r.lease)),
            prerelease: false,
            stop_at_draft: false,
            manifest_ref: None,
            manifest_commit: None,
            target_commit: None,
            draft_deadline: None,
            after_publish: Vec::new(),
            github_release_id: None,
            html_url: None,
            created_at: now(),
            started_at: now(),
            unseen_since: None,
            completed_at: r.status().may_start_again().then(now),
            error: r.status().may_start_again().then(|| "error".into()),
        })
    }

    /// A listed run as a candidate for a build whose baseline knew the `older` runs.
    pub fn candidate(&self, index: usize, run: Run, older: u8, nonces: bool) -> Candidate {
        let planned = &self.planned[usize::from(run.component)];
        let before = if older & (1 << index) != 0 { 200 } else { 50 };
        let title = if nonces && run.by != 0 {
            format!("x [{}]", self.nonce(run.by - 1, run.component, run.nonce))
        } else {
            "build-chain".into()
        };
        Candidate {
            id: index as u64 + 1,
            path: planned.workflow_path.clone(),
            event: planned.spec.trigger.event().into(),
            head_sha: planned.pin.clone(),
            created_at: now() - Duration::from_secs(before),
            actor: Some(if run.by == 0 { "stranger" } else { LOGIN }.into()),
            display_title: title,
            run_attempt: run.attempt.into(),
        }
    }
}

/// The ARN of an execution.
pub fn execution(number: u8) -> String {
    format!("execution-{number}")
}
