//! May this build start? Decided over the build and what it requires.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::build::{Build, BuildStatus};

/// What Dispatch does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Everything it requires is green: take the lock and act.
    Ready,
    /// Wait for these.
    NotReady(BTreeSet<String>),
    /// An attempt failed a moment ago: not before this time.
    NotBefore(Timestamp),
    /// A dispatch is on its way: look for its run.
    OnItsWay,
    /// Green already: collect.
    Green,
    /// Something it requires ended without success; the sentence says what.
    Blocked(String),
    /// It has its end.
    Over,
}

/// Decides for `build` given the builds that it requires.
pub fn readiness(build: &Build, dependencies: &[Build], now: Timestamp) -> Readiness {
    match build.status {
        BuildStatus::Success => return Readiness::Green,
        BuildStatus::Collected => return Readiness::Over,
        status if status.is_failed() => return Readiness::Over,
        status if status.is_on_its_way() => return Readiness::OnItsWay,
        _ => {}
    }
    if let Some(dead) = dependencies
        .iter()
        .find(|d| d.status.is_failed() || (d.error.is_some() && !d.status.is_green()))
    {
        return Readiness::Blocked(blocked_by(dead));
    }
    let waiting: BTreeSet<String> = dependencies
        .iter()
        .filter(|d| !d.status.is_green())
        .map(|d| d.component.clone())
        .collect();
    if !waiting.is_empty() {
        return Readiness::NotReady(waiting);
    }
    match build.retry_at {
        Some(at) if at > now => Readiness::NotBefore(at),
        _ => Readiness::Ready,
    }
}

/// Why a dependent of `dead` cannot be built.
pub fn blocked_by(dead: &Build) -> String {
    match dead.status {
        BuildStatus::Blocked => dead
            .error
            .clone()
            .unwrap_or_else(|| format!("blocked by {}", dead.component)),
        status => format!(
            "blocked by {}, which ended as {}",
            dead.component,
            status.as_str()
        ),
    }
}

/// GitHub takes a `client_payload` of less than 64 KB; which KB that is, it does not say
/// ([REST API, create a repository dispatch event](https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event)).
pub const CLIENT_PAYLOAD_LIMIT: usize = 64_000;

/// The `client_payload` of a `repository_dispatch`; nine of GitHub's ten keys.
pub fn client_payload(build: &Build, nonce: &str, pins: &Value, now: Timestamp) -> Value {
    json!({
        "version": build.release.version(),
        "release": build.release,
        "component": build.component,
        "nonce": nonce,
        "attempt": build.attempt,
        "pin": build.pin,
        "pins": pins,
        "triggered_by": "bllvm-commons",
        "timestamp": now,
    })
}

/// The names of the inputs of a `workflow_dispatch`.
pub const WORKFLOW_INPUTS: [&str; 5] = ["version", "release", "component", "nonce", "pin"];

/// The inputs of a `workflow_dispatch`: strings, as GitHub wants them.
pub fn workflow_inputs(build: &Build, nonce: &str) -> Value {
    json!({
        "version": build.release.version(),
        "release": build.release,
        "component": build.component,
        "nonce": nonce,
        "pin": build.pin,
    })
}
