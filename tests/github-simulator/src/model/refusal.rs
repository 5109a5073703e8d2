//! What GitHub says when it does not do what was asked.

use serde_json::{Value, json};

/// What is said of a reference that was an immutable release's.
pub(crate) const REF_RESTRICTED: &str =
    "Repository rule violations found\n\nCannot create ref due to creations being restricted.\n\n";

/// A status and the JSON that goes with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Option<Value>,
}

impl Refusal {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            errors: None,
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "Not Found")
    }

    /// 422 with one entry in `errors`.
    pub(crate) fn invalid(resource: &str, code: &str, field: &str) -> Self {
        Self {
            status: 422,
            message: "Validation Failed".into(),
            errors: Some(json!([{ "resource": resource, "code": code, "field": field }])),
        }
    }

    /// 422 with one entry in `errors`, which says it in words.
    pub(crate) fn custom(resource: &str, field: Option<&str>, message: &str) -> Self {
        let mut error = json!({ "resource": resource, "code": "custom", "message": message });
        if let Some(field) = field {
            error["field"] = field.into();
        }
        Self {
            status: 422,
            message: "Validation Failed".into(),
            errors: Some(json!([error])),
        }
    }

    /// The tag of a release is one that an immutable release had.
    pub(crate) fn tag_of_immutable() -> Self {
        let custom = |field: &str, message: &str| json!({ "resource": "Release", "code": "custom", "field": field, "message": message });
        Self {
            status: 422,
            message: "Validation Failed".into(),
            errors: Some(json!([
                custom("pre_receive", &format!("pre_receive {REF_RESTRICTED}")),
                custom("tag_name", "tag_name was used by an immutable release"),
            ])),
        }
    }

    pub(crate) fn body(&self) -> Value {
        let mut body = json!({
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status.to_string(),
        });
        if let Some(errors) = &self.errors {
            body["errors"] = errors.clone();
        }
        body
    }
}
