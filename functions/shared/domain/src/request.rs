//! What an execution is started with: the input at the console, from the command
//! line or from the webhook.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::names::Version;

/// What to release.
///
/// ```
/// use commons_domain::request::Request;
/// let request = Request::parse(&serde_json::json!({"version": "v0.1.0"})).unwrap();
/// assert!(request.prerelease.is_none() && !request.stop_at_draft);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The version, which is also the release's tag.
    pub version: Version,
    /// `prerelease`: whether to publish it as one; where nobody says, what the version
    /// says, or was said before.
    pub prerelease: Option<bool>,
    /// `only`: build these again, and what depends on them; empty for what is missing.
    pub only: BTreeSet<String>,
    /// `adopt`: the run that is a component's, where nothing else decides.
    pub adopt: BTreeMap<String, u64>,
    /// `manifest_ref`: the branch, tag or commit that the manifest is read at.
    pub manifest_ref: Option<String>,
    /// `publish: "draft"`: stop at a verified draft.
    pub stop_at_draft: bool,
}

/// Input that is not a request; one sentence that names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the execution's input: {0}")]
pub struct InvalidRequest(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: String,
    #[serde(default)]
    prerelease: Option<bool>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    adopt: BTreeMap<String, u64>,
    #[serde(default)]
    manifest_ref: Option<String>,
    #[serde(default)]
    publish: Publish,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Publish {
    #[default]
    Release,
    Draft,
}

impl Request {
    /// Whether it is published as a prerelease. `before`: whether it is one already, in
    /// the table or at GitHub.
    pub fn is_prerelease(&self, before: bool) -> bool {
        self.version.is_prerelease() || self.prerelease.unwrap_or(before)
    }

    /// Reads an execution's input. An unknown key, a wrong type or a value that
    /// cannot be is an error that names the field.
    pub fn parse(input: &Value) -> Result<Self, InvalidRequest> {
        if !input.is_object() {
            let why = r#"is no object such as {"version": "v0.1.0"}"#;
            return Err(InvalidRequest(why.into()));
        }
        let raw: Raw = serde_path_to_error::deserialize(input).map_err(|error| {
            let inner = error.inner().to_string();
            let path = error.path().to_string();
            // At the top the sentence of serde names the field itself.
            InvalidRequest(if path == "." {
                inner
            } else {
                format!("{path}: {inner}")
            })
        })?;
        let invalid = |field: &str, why: &str| Err(InvalidRequest(format!("{field}: {why}")));
        let version =
            Version::new(&raw.version).map_err(|error| InvalidRequest(error.to_string()))?;
        if let Some(git_ref) = &raw.manifest_ref
            && (git_ref.is_empty()
                || git_ref.len() > 250
                || git_ref.contains(|c: char| c.is_whitespace() || c.is_control() || c == '?'))
        {
            return invalid("manifest_ref", "is no branch, tag or commit");
        }
        if input.get("only").is_some() && raw.only.is_empty() {
            return invalid(
                "only",
                "names no component; leave it out to build what is missing",
            );
        }
        Ok(Self {
            prerelease: raw.prerelease,
            version,
            only: raw.only.into_iter().collect(),
            adopt: raw.adopt,
            manifest_ref: raw.manifest_ref,
            stop_at_draft: raw.publish == Publish::Draft,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_is_named() {
        for (input, words) in [
            (
                json!({"version": "v0.1.0", "speed": 3}),
                "unknown field `speed`",
            ),
            (json!({"version": 3}), "version: invalid type: integer `3`"),
            (json!({"version": "0.1.0"}), "version '0.1.0'"),
            (json!({}), "missing field `version`"),
            (json!("v0.1.0"), r#"no object such as {"version""#),
            (json!(["v0.1.0"]), "no object"),
            (
                json!({"version": "v0.1.0", "prerelease": "yes"}),
                "prerelease: invalid type",
            ),
            (
                json!({"version": "v0.1.0", "only": "a"}),
                "only: invalid type",
            ),
            (
                json!({"version": "v0.1.0", "only": ["a", 1]}),
                "only[1]: invalid type",
            ),
            (
                json!({"version": "v0.1.0", "only": []}),
                "only: names no component",
            ),
            (
                json!({"version": "v0.1.0", "adopt": {"a": "seven"}}),
                "adopt.a: invalid type",
            ),
            (
                json!({"version": "v0.1.0", "manifest_ref": "a b"}),
                "manifest_ref: is no",
            ),
            (
                json!({"version": "v0.1.0", "publish": "later"}),
                "publish: unknown variant `later`",
            ),
        ] {
            let error = Request::parse(&input).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }

    #[test]
    fn a_prerelease_is_told_by_the_version_or_asked_for() {
        let of = |input, before| {
            let request = Request::parse(&input).unwrap();
            request.is_prerelease(before)
        };
        assert!(!of(json!({"version": "v0.1.0"}), false));
        assert!(of(json!({"version": "v0.1.0-rc.1"}), false));
        assert!(of(json!({"version": "nightly-20261123-0123abc"}), false));
        let asked = |yes| json!({"version": "v0.1.0", "prerelease": yes});
        assert!(of(asked(true), false));
        // Said before, it stays so until somebody says otherwise.
        assert!(of(json!({"version": "v0.1.0"}), true));
        assert!(!of(asked(false), true));
        // The version has the last word.
        let no = json!({"version": "v0.1.0-rc.1", "prerelease": false});
        assert!(of(no, false));
    }

    #[test]
    fn everything_may_be_asked_for() {
        let request = Request::parse(&json!({
            "version": "v0.1.0", "only": ["b", "a"], "manifest_ref": "main", "publish": "draft",
            "adopt": {"c": 7},
        }));
        let request = request.unwrap();
        assert_eq!(request.only.len(), 2);
        assert_eq!(request.adopt["c"], 7);
        assert_eq!(request.manifest_ref.as_deref(), Some("main"));
        assert!(request.stop_at_draft);
    }
}
