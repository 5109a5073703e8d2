//! Settle: the end that nobody wants. It raises the generation, so that whatever
//! still runs for the release loses, records why, ends what is unfinished, cancels
//! its runs, orphans its locks, and releases the lease last.
//!
//! Running it twice is safe: it acts only while the given execution holds the
//! lease, which is given up by its last write; until then every run finds the same
//! unfinished builds and ends them again.

mod build;
mod execution;
mod release;
mod sweep;

use commons_domain::names::ReleaseKey;
use commons_runtime::{Stage, StageError};
use serde::{Deserialize, Serialize};

/// What ended, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// From the state machine or the sweeper's schedule.
    Known(Known),
    /// EventBridge: an execution of the state machine changed its status.
    Event {
        /// The event's detail.
        detail: Detail,
    },
}

/// From the state machine or the sweeper's schedule.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Known {
    /// The parent execution failed.
    Release {
        /// Its ARN.
        execution: String,
        /// The execution's own input, which names the version.
        #[serde(default)]
        input: Option<serde_json::Value>,
        /// What the failing state gave.
        error: Failure,
    },
    /// A child ended without an end state for its build.
    Build {
        /// The build's release.
        release: ReleaseKey,
        /// The build's component.
        component: String,
        /// The child's generation.
        generation: u64,
        /// What the failing state gave.
        error: Failure,
    },
    /// The sweeper's schedule.
    Sweep,
}

/// EventBridge's `Step Functions Execution Status Change`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// The execution.
    pub execution_arn: String,
    /// `ABORTED`, `TIMED_OUT` or `FAILED`.
    pub status: String,
    /// Its input, as text.
    #[serde(default)]
    pub input: Option<String>,
    /// Its cause.
    #[serde(default)]
    pub cause: Option<String>,
}

/// An error as Step Functions hands it to a Catch.
#[derive(Debug, Clone, Deserialize)]
pub struct Failure {
    /// The error's name.
    #[serde(rename = "Error")]
    pub error: String,
    /// For a Lambda function: JSON with `errorMessage`.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl Failure {
    /// The sentence within the cause.
    pub fn sentence(&self) -> String {
        serde_json::from_str::<serde_json::Value>(&self.cause)
            .ok()
            .and_then(|cause| {
                cause
                    .get("errorMessage")
                    .and_then(|m| m.as_str().map(str::to_owned))
            })
            .unwrap_or_else(|| {
                if self.cause.is_empty() {
                    self.error.clone()
                } else {
                    self.cause.clone()
                }
            })
    }
}

/// For the failing execution's Error and Cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The error's name.
    pub error: String,
    /// One sentence.
    pub cause: String,
}

/// Settles what ended.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    match input {
        Input::Known(Known::Release {
            execution,
            input,
            error,
        }) => {
            let why = error.sentence();
            let key = input.as_ref().and_then(|input| release_key(&stage, input));
            release::settle(&stage, &execution, key, &why, false).await?;
            Ok(Output {
                error: error.error,
                cause: why,
            })
        }
        Input::Known(Known::Build {
            release,
            component,
            generation,
            error,
        }) => {
            let why = format!("{}: {}", error.error, error.sentence());
            build::record(&stage, &release, &component, generation, &why).await?;
            Ok(Output {
                error: error.error,
                cause: why,
            })
        }
        Input::Known(Known::Sweep) => {
            sweep::sweep(&stage).await?;
            Ok(Output::default())
        }
        Input::Event { detail } => {
            let input = detail
                .input
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok());
            let key = input.as_ref().and_then(|input| release_key(&stage, input));
            let aborted = detail.status == "ABORTED";
            let why = match detail.cause.filter(|cause| !cause.is_empty()) {
                // A failing function's cause is JSON.
                Some(cause) => {
                    let error = detail.status.clone();
                    Failure { error, cause }.sentence()
                }
                // The event does not say: the execution may.
                None => execution::describe(&stage, &detail.execution_arn)
                    .await?
                    .map_or_else(
                        || format!("the execution ended as {}", detail.status),
                        |ended| ended.why(),
                    ),
            };
            release::settle(&stage, &detail.execution_arn, key, &why, aborted).await?;
            Ok(Output {
                error: detail.status,
                cause: why,
            })
        }
    }
}

/// The release that an execution's input names.
fn release_key(stage: &Stage, input: &serde_json::Value) -> Option<ReleaseKey> {
    let version = input.get("version")?.as_str()?;
    ReleaseKey::new(&format!("{}/{version}", stage.config.release_repository)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sentence_comes_out_of_a_function_s_cause() {
        let cause = json!({"errorType": "Refused", "errorMessage": "no manifest"}).to_string();
        let failure = |cause: &str| Failure {
            error: "Refused".into(),
            cause: cause.into(),
        };
        assert_eq!(failure(&cause).sentence(), "no manifest");
        assert_eq!(failure("plain").sentence(), "plain");
        assert_eq!(failure("").sentence(), "Refused");
    }

    #[test]
    fn every_kind_of_end_is_read() {
        let read = |value| serde_json::from_value::<Input>(value);
        assert!(matches!(
            read(json!({"kind": "sweep"})),
            Ok(Input::Known(Known::Sweep))
        ));
        let event = json!({"source": "aws.states", "detail": {"executionArn": "a", "status": "ABORTED", "input": "{}"}});
        assert!(matches!(read(event), Ok(Input::Event { .. })));
        let release =
            json!({"kind": "release", "execution": "a", "error": {"Error": "E", "Cause": "c"}});
        assert!(matches!(
            read(release),
            Ok(Input::Known(Known::Release { .. }))
        ));
    }
}
