//! What a workflow file listens to: its `on:`, as far as a dispatch needs it.

use serde_json::Value;

/// Why a dispatch would start nothing; a sentence's end.
pub type Fault = String;

/// A workflow's `on:`.
#[derive(Debug, Clone)]
pub struct Triggers(Value);

impl Triggers {
    /// Reads a workflow file; none if it cannot be read as one.
    pub fn read(yaml: &str) -> Option<Self> {
        let file: Value = serde_saphyr::from_str(yaml).ok()?;
        file.get("on").cloned().map(Self)
    }

    /// What the event is configured with: null where it is just named; none where the
    /// workflow does not listen to it.
    fn event(&self, name: &str) -> Option<&Value> {
        match &self.0 {
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

    fn triggers(on: &str) -> Triggers {
        Triggers::read(&format!("name: Build\non:{on}\njobs: {{}}\n")).unwrap()
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
            assert_eq!(triggers(on).hears_dispatch("build-chain"), Ok(()), "{on}");
        }
        let other = triggers("\n  repository_dispatch:\n    types: [other]");
        assert!(
            other
                .hears_dispatch("build-chain")
                .unwrap_err()
                .contains("'build-chain'")
        );
        let push = triggers(" push");
        assert!(
            push.hears_dispatch("build-chain")
                .unwrap_err()
                .ends_with("to repository_dispatch")
        );
    }

    #[test]
    fn inputs_are_declared_and_none_is_required_that_is_not_sent() {
        let of = |inputs: &str| {
            triggers(&format!("\n  workflow_dispatch:\n    inputs: {inputs}"))
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
        assert!(triggers(" push").takes_inputs(&[]).is_err());
    }

    #[test]
    fn the_workflow_that_components_copy_hears_both() {
        let triggers = Triggers::read(include_str!("../../../docs/workflows/build.yml")).unwrap();
        assert_eq!(triggers.hears_dispatch("build-chain"), Ok(()));
        assert_eq!(
            triggers.takes_inputs(&commons_domain::dispatch::WORKFLOW_INPUTS),
            Ok(())
        );
    }

    #[test]
    fn what_is_no_workflow_is_not_read() {
        assert!(Triggers::read(": : :").is_none());
        assert!(Triggers::read("name: x\n").is_none());
    }
}
