//! The part of the Amazon States Language that the definition uses, and no more: a
//! state, a field, a path or a function that is not known here is an error when the
//! definition is read, so that none is passed over. The language:
//! <https://states-language.net/spec.html>, with JSONPath as its query language.
//!
//! A path is a chain of names, which [`serde_json::Value::pointer`] follows as it is.

mod choice;
mod errors;
mod path;
mod state;
mod template;

pub use choice::Rule;
pub use errors::{Catcher, Failure, Jitter, Retrier};
pub use path::{Path, Place};
pub use state::{
    Choice, Definition, Fail, Machine, Map, Pass, Resource, State, Step, Succeed, Task, Wait,
    WaitTime,
};
pub use template::Template;

use std::collections::BTreeMap;

/// The definition that is deployed.
pub const RELEASE: &str = include_str!("../../../../statemachine/release.asl.yaml");

/// Why a definition cannot be interpreted; one sentence.
#[derive(Debug, thiserror::Error)]
#[error("the definition cannot be interpreted: {0}")]
pub struct NotUnderstood(String);

impl Definition {
    /// Reads a definition from YAML, with every `${placeholder}` substituted in its
    /// text, as CloudFormation does.
    pub fn read(
        yaml: &str,
        substitutions: &BTreeMap<String, String>,
    ) -> Result<Self, NotUnderstood> {
        let mut text = String::with_capacity(yaml.len());
        let mut rest = yaml;
        while let Some((before, after)) = rest.split_once("${") {
            let unended = || NotUnderstood("a placeholder does not end".into());
            let (name, after) = after.split_once('}').ok_or_else(unended)?;
            let unknown = || NotUnderstood(format!("nothing is given for ${{{name}}}"));
            text.push_str(before);
            text.push_str(substitutions.get(name).ok_or_else(unknown)?);
            rest = after;
        }
        text.push_str(rest);
        let value: serde_json::Value =
            serde_saphyr::from_str(&text).map_err(|error| NotUnderstood(error.to_string()))?;
        serde_path_to_error::deserialize(value).map_err(|error| NotUnderstood(error.to_string()))
    }
}

#[cfg(test)]
mod tests;
