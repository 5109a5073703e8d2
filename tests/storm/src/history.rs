//! What an execution's history would hold at AWS, counted, and where AWS would end it.
//!
//! The types are those of
//! <https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html>,
//! of which an execution may have 25,000:
//! <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>. A state is
//! entered and exited; between that a function's ARN as a resource is
//! `LambdaFunctionScheduled`, `…Started` and `…Succeeded`, `…Failed` or `…TimedOut`, once
//! per try, and a service that is waited for with a token is `TaskScheduled`,
//! `TaskStarted`, `TaskSubmitted` and `TaskSucceeded` or `TaskTimedOut`. A failed call of
//! the service has one event fewer.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::asl::Failure;

/// No history is longer:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>.
const MOST_EVENTS: u64 = 25_000;
/// No input or output of a state is larger, in bytes of JSON: 256 KiB.
const LARGEST_PAYLOAD: usize = 262_144;

/// The counts of one execution, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// How many events of each type.
    pub events: BTreeMap<String, u64>,
    /// States entered, and retries: what AWS bills.
    pub transitions: u64,
    /// How many waits for a token ran out, by the name of their state.
    pub ran_out: BTreeMap<String, u64>,
    /// The largest input or output of a state, in bytes of JSON.
    pub largest_payload: usize,
}

impl History {
    /// An event.
    pub fn event(&mut self, kind: impl Into<String>) {
        *self.events.entry(kind.into()).or_default() += 1;
    }

    /// A state of this type is entered with this input.
    pub fn entered(&mut self, kind: &str, input: &Value) {
        self.event(format!("{kind}StateEntered"));
        self.transitions += 1;
        self.payload(input);
    }

    /// It is left with this output.
    pub fn exited(&mut self, kind: &str, output: &Value) {
        self.event(format!("{kind}StateExited"));
        self.payload(output);
    }

    fn payload(&mut self, payload: &Value) {
        self.largest_payload = self.largest_payload.max(payload.to_string().len());
    }

    /// All events.
    pub fn length(&self) -> u64 {
        self.events.values().sum()
    }

    /// What AWS ends the execution with, where it has outgrown a quota.
    pub fn outgrown(&self) -> Option<Failure> {
        if self.largest_payload > LARGEST_PAYLOAD {
            let bytes = self.largest_payload;
            let cause = format!("an input or output of {bytes} bytes, {LARGEST_PAYLOAD} at most");
            return Some(Failure::data_limit(cause));
        }
        let events = self.length();
        let cause = format!("a history of {events} events, {MOST_EVENTS} at most");
        (events >= MOST_EVENTS).then(|| Failure::runtime(cause))
    }
}

/// The executions of one release or of several, as figures to print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many executions were children of a Map.
    pub children: usize,
    /// The longest history of a child, in events.
    pub longest_child: u64,
    /// The longest history of a parent, in events.
    pub longest_parent: u64,
    /// State transitions of all.
    pub transitions: u64,
    /// The largest input or output of a state, in bytes of JSON.
    pub largest_payload: usize,
}

impl Figures {
    /// Adds an execution's.
    pub fn add(&mut self, history: &History, child: bool) {
        let length = history.length();
        self.add_all(&Self {
            children: usize::from(child),
            longest_child: if child { length } else { 0 },
            longest_parent: if child { 0 } else { length },
            transitions: history.transitions,
            largest_payload: history.largest_payload,
        });
    }

    /// Adds those of others.
    pub fn add_all(&mut self, other: &Self) {
        self.children += other.children;
        self.longest_child = self.longest_child.max(other.longest_child);
        self.longest_parent = self.longest_parent.max(other.longest_parent);
        self.transitions += other.transitions;
        self.largest_payload = self.largest_payload.max(other.largest_payload);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} children; longest history of a child {} events, of a parent {}; {} transitions; largest payload {} bytes",
            self.children,
            self.longest_child,
            self.longest_parent,
            self.transitions,
            self.largest_payload
        )
    }
}
