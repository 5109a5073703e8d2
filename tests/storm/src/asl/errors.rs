//! What a state fails with, and what is done about it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::path::Path;

/// An error as it is handed to a Catch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name.
    pub error: String,
    /// Why; for a Lambda function JSON with `errorMessage`.
    pub cause: String,
}

impl Failure {
    /// A task's `TimeoutSeconds` are over.
    pub fn timeout() -> Self {
        Self {
            error: "States.Timeout".into(),
            cause: String::new(),
        }
    }

    /// The definition cannot be followed: no Retry and no Catch applies.
    pub fn runtime(cause: String) -> Self {
        Self {
            error: "States.Runtime".into(),
            cause,
        }
    }

    /// A state's input or output is too large: as terminal.
    pub fn data_limit(cause: String) -> Self {
        Self {
            error: "States.DataLimitExceeded".into(),
            cause,
        }
    }

    /// What a Catch hands on.
    pub fn output(&self) -> Value {
        json!({"Error": self.error, "Cause": self.cause})
    }

    /// Whether one of these names is this error's.
    fn is_among(&self, names: &[String]) -> bool {
        let terminal = ["States.Runtime", "States.DataLimitExceeded"];
        let terminal = terminal.contains(&self.error.as_str());
        names.iter().any(|name| match name.as_str() {
            "States.ALL" => !terminal,
            "States.TaskFailed" => !terminal && self.error != "States.Timeout",
            name => name == self.error,
        })
    }
}

/// When a state is tried again.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Retrier {
    /// For which errors.
    pub error_equals: Vec<String>,
    /// Before the first retry.
    #[serde(default = "Retrier::interval")]
    pub interval_seconds: u64,
    /// Each wait is so many times the one before.
    #[serde(default = "Retrier::rate")]
    pub backoff_rate: f64,
    /// How often.
    #[serde(default = "Retrier::attempts")]
    pub max_attempts: u32,
    /// No wait is longer.
    pub max_delay_seconds: Option<u64>,
    /// How a wait is spread.
    #[serde(default)]
    pub jitter_strategy: Jitter,
}

/// How the waits between tries are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Jitter {
    /// Not.
    #[default]
    None,
    /// From nothing to the whole.
    Full,
}

impl Retrier {
    fn interval() -> u64 {
        1
    }

    fn rate() -> f64 {
        2.0
    }

    fn attempts() -> u32 {
        3
    }

    /// The retrier whose turn it is for an error; `used` holds how often each of them
    /// retried this visit of the state. None where the error is not retried any more.
    pub fn choose(retriers: &[Self], used: &[u32], failure: &Failure) -> Option<usize> {
        let found = retriers
            .iter()
            .position(|r| failure.is_among(&r.error_equals))?;
        (used[found] < retriers[found].max_attempts).then_some(found)
    }

    /// The wait before its retry number `retry`, from 0; `share` is from 0 to 1.
    pub fn delay(&self, retry: u32, share: f64) -> Duration {
        let longest = self.max_delay_seconds.unwrap_or(31_622_400) as f64;
        let exponent = i32::try_from(retry).unwrap_or(i32::MAX);
        let whole = self.interval_seconds as f64 * self.backoff_rate.powi(exponent);
        let share = if self.jitter_strategy == Jitter::Full {
            share
        } else {
            1.0
        };
        Duration::from_secs_f64(whole.min(longest) * share)
    }
}

/// Where an error leads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Catcher {
    /// Which errors.
    pub error_equals: Vec<String>,
    /// Where the error is put; nowhere for null.
    #[serde(default = "super::state::whole")]
    pub result_path: Option<Path>,
    /// The state that follows.
    pub next: String,
}

impl Catcher {
    /// The first one that catches an error.
    pub fn choose<'a>(catchers: &'a [Self], failure: &Failure) -> Option<&'a Self> {
        catchers.iter().find(|c| failure.is_among(&c.error_equals))
    }
}
