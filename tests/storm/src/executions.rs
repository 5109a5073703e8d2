//! Executions as Step Functions keeps them: their status, where they wait, and the
//! tokens that they wait for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use commons_domain::clock::Clock as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::asl::Failure;
use crate::clock::{VirtualClock, Waker};
use crate::history::History;

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It runs.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It was stopped.
    Aborted,
    /// It ended by its time.
    TimedOut,
}

impl Status {
    /// As AWS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// The type of the last event of its history.
    fn event(self) -> &'static str {
        match self {
            Self::Running => "ExecutionStarted",
            Self::Succeeded => "ExecutionSucceeded",
            Self::Failed => "ExecutionFailed",
            Self::Aborted => "ExecutionAborted",
            Self::TimedOut => "ExecutionTimedOut",
        }
    }
}

/// What ends a wait.
#[derive(Debug, Clone)]
pub enum Wake {
    /// What was waited for.
    Answer(Result<Value, Failure>),
    /// The time is over.
    Time,
    /// The execution has ended.
    Ended,
}

/// One execution: a release's, or a child of its Map.
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// What it was started with.
    pub input: Value,
    /// When.
    pub started: Timestamp,
    /// Whether a Map started it.
    pub child: bool,
    progress: Mutex<Progress>,
}

/// What changes of an execution.
#[derive(Clone)]
pub struct Progress {
    /// Where it stands.
    pub status: Status,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it failed with, or was stopped for.
    pub failure: Option<Failure>,
    /// Its history.
    pub history: History,
    /// The state that it is in, what it does there, and since when.
    doing: Option<(String, &'static str, Timestamp)>,
    waker: Option<Waker<Wake>>,
}

impl Execution {
    /// One that starts now.
    pub fn new(arn: String, input: Value, child: bool, now: Timestamp) -> Arc<Self> {
        let mut history = History::default();
        history.event(Status::Running.event());
        let progress = Progress {
            status: Status::Running,
            ended: None,
            failure: None,
            history,
            doing: None,
            waker: None,
        };
        Arc::new(Self {
            name: arn.rsplit(':').next().unwrap_or_default().to_owned(),
            arn,
            input,
            started: now,
            child,
            progress: Mutex::new(progress),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.lock().status
    }

    /// Writes to its history, unless it has ended.
    pub fn record(&self, write: impl FnOnce(&mut History)) {
        let mut progress = self.lock();
        if progress.status == Status::Running {
            write(&mut progress.history);
        }
    }

    /// Waits in a state until it is woken, a time has come, or the execution ends.
    /// `begin` is told what wakes it.
    pub async fn park(
        &self,
        clock: &VirtualClock,
        (state, what): (&str, &'static str),
        until: Option<Timestamp>,
        begin: impl FnOnce(Waker<Wake>),
    ) -> Wake {
        let (waker, parked) = clock.parking();
        {
            let mut progress = self.lock();
            if progress.status != Status::Running {
                return Wake::Ended;
            }
            progress.doing = Some((state.to_owned(), what, clock.now()));
            progress.waker = Some(waker.clone());
        }
        let alarm = until.map(|until| {
            let waker = waker.clone();
            clock.ring_at(until, move |busy| {
                waker.wake_as(busy, Wake::Time);
            })
        });
        begin(waker);
        let woken = parked.wait().await;
        if let Some(alarm) = alarm {
            clock.cancel(alarm);
        }
        let mut progress = self.lock();
        progress.doing = None;
        progress.waker = None;
        woken
    }

    /// Ends it; false where it has ended before. Whatever it waits for, it waits no more.
    pub fn end(&self, status: Status, failure: Option<Failure>, now: Timestamp) -> bool {
        let waker = {
            let mut progress = self.lock();
            if progress.status != Status::Running {
                return false;
            }
            progress.history.event(status.event());
            progress.status = status;
            progress.ended = Some(now);
            progress.failure = failure;
            progress.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake(Wake::Ended);
        }
        true
    }

    /// Where it waits, if it does, as a sentence.
    pub fn whereabouts(&self) -> Option<String> {
        let progress = self.lock();
        if progress.status != Status::Running {
            return None;
        }
        let at = match &progress.doing {
            Some((state, what, since)) => format!("in {state}, {what} since {since:.0}"),
            None => "between states".to_owned(),
        };
        Some(format!("{} is {at}", self.name))
    }
}

/// Every execution, and every token.
#[derive(Default)]
pub struct Executions {
    all: Mutex<BTreeMap<String, Arc<Execution>>>,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    issued: u64,
    open: BTreeMap<String, Waker<Wake>>,
}

/// What came of an answer to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was waited for.
    Woken,
    /// Its task is over.
    Late,
    /// There is no such token.
    Unknown,
}

impl Executions {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Execution>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one.
    pub fn add(&self, execution: &Arc<Execution>) {
        self.all()
            .insert(execution.arn.clone(), Arc::clone(execution));
    }

    /// The execution of an ARN.
    pub fn get(&self, arn: &str) -> Option<Arc<Execution>> {
        self.all().get(arn).cloned()
    }

    /// All, children included, by ARN.
    pub fn list(&self) -> Vec<Arc<Execution>> {
        self.all().values().cloned().collect()
    }

    /// A token that nobody waits for yet.
    pub fn token(&self) -> String {
        let mut tokens = self.tokens();
        tokens.issued += 1;
        format!("token-{}", tokens.issued)
    }

    /// From now on an answer to the token wakes.
    pub fn open(&self, token: &str, waker: Waker<Wake>) {
        self.tokens().open.insert(token.to_owned(), waker);
    }

    /// The task of the token is over.
    pub fn close(&self, token: &str) {
        self.tokens().open.remove(token);
    }

    /// Answers a token.
    pub fn answer(&self, token: &str, output: Value) -> Answered {
        let (waker, issued) = {
            let mut tokens = self.tokens();
            (tokens.open.remove(token), tokens.issued)
        };
        match waker {
            Some(waker) if waker.wake(Wake::Answer(Ok(output))) => Answered::Woken,
            Some(_) => Answered::Late,
            None => {
                let number = token.strip_prefix("token-").and_then(|n| n.parse().ok());
                let known = number.is_some_and(|number: u64| (1..=issued).contains(&number));
                if known {
                    Answered::Late
                } else {
                    Answered::Unknown
                }
            }
        }
    }
}
