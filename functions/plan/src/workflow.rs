//! What a workflow file listens to and how it names its runs: its `on:` and `run-name:`, as
//! far as a dispatch needs them.

use commons_domain::manifest::Trigger;
use serde::Deserialize;
use serde_json::Value;

/// Why a dispatch would start nothing; a sentence's end.
pub type Fault = String;

/// What is read of a workflow file.
#[derive(Debug, Clone, Deserialize)]
pub struct Workflow {
    on: Value,
    #[serde(default, rename = "run-name")]
    run_name: Value,
}

impl Workflow {
    /// Reads a workflow file; none if it cannot be read as one.
    pub fn read(yaml: &str) -> Option<Self> {
        serde_saphyr::from_str(yaml).ok()
    }

    /// Whether the titles of the runs that this trigger starts show the nonce as ours are
    /// looked for: `[${{ … }}]` around it, or around several of which the first that is
    /// there counts.
    pub fn shows_nonce(&self, trigger: Trigger) -> bool {
        let names: &[&str] = match trigger {
            Trigger::RepositoryDispatch => &["github.event.client_payload.nonce"],
            Trigger::WorkflowDispatch => &["inputs.nonce", "github.event.inputs.nonce"],
        };
        let run_name = self.run_name.as_str().unwrap_or_default();
        let shown = run_name.split("[${{").skip(1);
        let shown = shown.filter_map(|rest| rest.split_once("}}]"));
        let mut values = shown.flat_map(|(expression, _)| expression.split("||"));
        values.any(|value| names.contains(&value.trim()))
    }

    /// What the event is configured with: null where it is just named; none where the
    /// workflow does not listen to it.
    fn event(&self, name: &str) -> Option<&Value> {
        match &self.on {
            Value::String(only) => (only == name).then_some(&Value::Null),
            Value::Array(names) => names.contains(&name.into()).then_some(&Value::Null),
            Value::Object(events) => events.get(name),
            _ => None,
        }
    }

    /// Whether a `repository_dispatch` of this type starts it.
    pub fn hears_dispatch(&self, event_type: &str) -> Result<(), Fault> {
        let Some(event) = self.event("repository_dispatch") else {
            return Err("does not listen to repository_dispatch".into());
        };
        match event.get("types") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(only)) if only == event_type => Ok(()),
            Some(Value::Array(types)) if types.contains(&event_type.into()) => Ok(()),
            Some(_) => Err(format!(
                "does not listen to the event type '{event_type}': add it to on.repository_dispatch.types, or set event_type in the manifest"
            )),
        }
    }

    /// Whether a `workflow_dispatch` with these inputs starts it.
    pub fn takes_inputs(&self, sent: &[&str]) -> Result<(), Fault> {
        let Some(event) = self.event("workflow_dispatch") else {
            return Err("does not listen to workflow_dispatch".into());
        };
        let none = serde_json::Map::new();
        let inputs = event
            .get("inputs")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let unknown: Vec<&str> = sent
            .iter()
            .copied()
            .filter(|name| !inputs.contains_key(*name))
            .collect();
        if !unknown.is_empty() {
            let names = unknown.join(", ");
            return Err(format!(
                "does not declare the inputs {names}: copy docs/workflows/build.yml"
            ));
        }
        let wanted: Vec<&str> = inputs
            .iter()
            .filter(|(name, input)| {
                input.get("required") == Some(&true.into())
                    && input.get("default").is_none()
                    && !sent.contains(&name.as_str())
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if wanted.is_empty() {
            Ok(())
        } else {
            let names = wanted.join(", ");
            Err(format!(
                "requires the inputs {names}, which a release does not send: give them a default"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(on: &str) -> Workflow {
        Workflow::read(&format!("name: Build\non:{on}\njobs: {{}}\n")).unwrap()
    }

    fn named(run_name: &str) -> Workflow {
        Workflow::read(&format!("on: push\nrun-name: {run_name}\n")).unwrap()
    }

    #[test]
    fn a_dispatch_is_heard_in_every_spelling() {
        for on in [
            " repository_dispatch",
            " [push, repository_dispatch]",
            "\n  repository_dispatch:",
            "\n  repository_dispatch:\n    types: build-chain",
            "\n  push:\n  repository_dispatch:\n    types: [other, build-chain]",
        ] {
            assert_eq!(listening(on).hears_dispatch("build-chain"), Ok(()), "{on}");
        }
        let other = listening("\n  repository_dispatch:\n    types: [other]");
        assert!(
            other
                .hears_dispatch("build-chain")
                .unwrap_err()
                .contains("'build-chain'")
        );
        let push = listening(" push");
        assert!(
            push.hears_dispatch("build-chain")
                .unwrap_err()
                .ends_with("to repository_dispatch")
        );
    }

    #[test]
    fn inputs_are_declared_and_none_is_required_that_is_not_sent() {
        let of = |inputs: &str| {
            listening(&format!("\n  workflow_dispatch:\n    inputs: {inputs}"))
                .takes_inputs(&["nonce", "pin"])
        };
        assert_eq!(of("{nonce: {type: string}, pin: {}}"), Ok(()));
        assert!(of("{nonce: {}}").unwrap_err().contains("the inputs pin"));
        assert!(
            of("{nonce: {}, pin: {}, x: {required: true}}")
                .unwrap_err()
                .contains("inputs x")
        );
        assert_eq!(
            of("{nonce: {}, pin: {}, x: {required: true, default: 1}}"),
            Ok(())
        );
        assert!(listening(" push").takes_inputs(&[]).is_err());
    }

    #[test]
    fn the_workflow_that_components_copy_hears_both() {
        let workflow = Workflow::read(include_str!("../../../docs/workflows/build.yml")).unwrap();
        assert_eq!(workflow.hears_dispatch("build-chain"), Ok(()));
        assert_eq!(
            workflow.takes_inputs(&commons_domain::dispatch::WORKFLOW_INPUTS),
            Ok(())
        );
        for trigger in [Trigger::RepositoryDispatch, Trigger::WorkflowDispatch] {
            assert!(workflow.shows_nonce(trigger), "{trigger:?}");
        }
    }

    #[test]
    fn a_nonce_is_shown_to_whom_the_run_name_shows_it() {
        let shows = |run_name: &str| {
            let workflow = named(run_name);
            [Trigger::RepositoryDispatch, Trigger::WorkflowDispatch]
                .map(|trigger| workflow.shows_nonce(trigger))
        };
        assert_eq!(
            shows("'[${{github.event.client_payload.nonce}}]'"),
            [true, false]
        );
        assert_eq!(shows("'x [${{ inputs.nonce }}] y'"), [false, true]);
        assert_eq!(
            shows("'[${{ inputs.version }}] [${{ github.event.inputs.nonce }}]'"),
            [false, true]
        );
        for none in [
            "''",
            "Build",
            "5",
            "'${{ inputs.nonce || github.event.client_payload.nonce }}'",
            "'[${{ inputs.nonces }}]'",
            "'[${{ github.event.client_payload.version }}] of nonce'",
        ] {
            assert_eq!(shows(none), [false, false], "{none}");
        }
        assert!(!listening(" push").shows_nonce(Trigger::WorkflowDispatch));
    }

    #[test]
    fn what_is_no_workflow_is_not_read() {
        assert!(Workflow::read(": : :").is_none());
        assert!(Workflow::read("name: x\n").is_none());
    }
}
