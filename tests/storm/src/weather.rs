//! What goes wrong in a deployment, asked for each call of a function, each call to
//! GitHub and each event; and the log of what really did.

use std::fmt;

use github_simulator::{FaultKind, WebhookFaultKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One call of a function, named so that it is the same in every run of a plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invocation {
    /// `plan`, `dispatch`, …, or `webhook`.
    pub function: String,
    /// The release's version; nothing where the call is about none.
    pub version: String,
    /// The component; nothing where the call is about none.
    pub component: String,
    /// The how-manieth call of this function about that, from 1.
    pub nth: u32,
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            function,
            version,
            component,
            nth,
        } = self;
        write!(f, "{function} {version} {component} ({nth})")
    }
}

/// What happens to a function, at one of its calls to AWS or GitHub.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Strike {
    /// At this call, from 1, or the first one after it that it can happen to.
    pub call: u32,
    /// What.
    pub kind: StrikeKind,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrikeKind {
    /// The function is killed, and the call never made.
    DieBefore,
    /// The call is carried out, and the function killed before it hears so.
    DieAfter,
    /// The call is carried out, and the connection ends without an answer.
    AnswerLost,
    /// This call and so many after it are refused: 5xx, or as too many.
    Refused(u32),
    /// The function stands still for so many seconds.
    Slow(f64),
    /// As `Slow`, and the state machine takes it for dead meanwhile: what goes on is a
    /// zombie beside its own retry.
    Zombie(f64),
    /// The function's token for GitHub is replaced and revoked.
    TokenDies,
}

/// What a planted bug makes of a request.
pub enum Planted {
    /// This is sent instead.
    Sent(String),
    /// Nothing is sent, and this is the answer.
    Answered(String),
    /// The answer is understood as this makes it.
    Misread(Box<dyn Fn(&mut Value) + Send>),
    /// No bug: this is sent, which asks for more, and the answer is looked at.
    Metered(String, Box<dyn Fn(&Value) + Send>),
}

/// What goes wrong, by default nothing. Everything is decided by what is named, and not by
/// when it is asked.
pub trait Weather: fmt::Debug + Send + Sync {
    /// What happens to a call of a function.
    fn strike(&self, _invocation: &Invocation) -> Option<Strike> {
        None
    }

    /// Whether a strike happens at this call of its function, from 1, or later.
    fn hits(&self, strike: &Strike, call: u32, _what: &str) -> bool {
        call >= strike.call
    }

    /// What happens to a call to GitHub, whoever makes it.
    fn github(&self, _now: Timestamp, _method: &str, _path: &str) -> Option<FaultKind> {
        None
    }

    /// What happens to a webhook.
    fn webhook(&self, _event: &str, _payload: &Value) -> Option<WebhookFaultKind> {
        None
    }

    /// Whether the event that an execution has ended is lost.
    fn event_is_lost(&self, _execution: &str) -> bool {
        false
    }

    /// A bug that is planted into a function, at its request to AWS: the action, or for S3
    /// method and path, and the body.
    fn planted(&self, _who: &Invocation, _what: &str, _body: &str) -> Option<Planted> {
        None
    }

    /// Something of this has happened.
    fn happened(&self, _what: &str) {}
}

/// Nothing goes wrong.
#[derive(Debug)]
pub struct Fair;

impl Weather for Fair {}
