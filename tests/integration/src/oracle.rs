//! GitHub's own description of its API and its webhooks, against which every call and
//! answer of a test is held: what the simulator says is what GitHub could say, and what
//! our client sends is what GitHub takes.
//!
//! The descriptions come from npm (`@octokit/openapi`, `@octokit/webhooks-schemas`),
//! once, into `target/`.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use github_simulator::{Delivery, Exchange, Simulator};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use crate::tools;

const PACKAGES: [&str; 2] = ["@octokit/openapi@23.0.2", "@octokit/webhooks-schemas@7.6.1"];
/// Answers that GitHub gives to any call, described there or not.
const ANYWHERE: [u16; 5] = [304, 401, 403, 404, 429];
/// Routes of the simulator that the description writes otherwise.
const OTHERWISE: [(&str, &str); 2] = [
    (
        "/repos/{owner}/{repo}/git/ref/tags/{tag}",
        "/repos/{owner}/{repo}/git/ref/{ref}",
    ),
    (
        "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/zip",
        "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}",
    ),
];

/// Values that GitHub documents elsewhere than in the list that a description has: of
/// an upload that broke off ("may leave an empty asset with a state of `starter`", the
/// text of that call), and of a run whose workflow file is broken (the API's own
/// description of the same webhook).
const DOCUMENTED_ELSEWHERE: [(&str, &str); 3] = [
    (
        "/components/schemas/release-asset/properties/state/enum",
        "starter",
    ),
    (
        "/definitions/workflow-run/properties/conclusion/enum",
        "startup_failure",
    ),
    (
        "/definitions/workflow_run$completed/properties/workflow_run/allOf/1/properties/conclusion/enum",
        "startup_failure",
    ),
];

static ORACLE: OnceLock<Option<Oracle>> = OnceLock::new();

/// The descriptions.
pub struct Oracle {
    api: Value,
    webhooks: Value,
    /// The description's path by its shape, placeholders without names.
    paths: HashMap<String, String>,
    /// Validators by what they are of.
    validators: Mutex<HashMap<String, &'static Validator>>,
}

/// Holds all that a simulator did against GitHub's description.
///
/// # Panics
/// If something differs, with every difference.
pub fn check(simulator: &Simulator) {
    let Some(oracle) = Oracle::get() else {
        return;
    };
    let mut faults = BTreeSet::new();
    for exchange in simulator.exchanges() {
        faults.extend(oracle.exchange(&exchange));
    }
    for delivery in simulator.deliveries() {
        faults.extend(oracle.delivery(&delivery));
    }
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "GitHub differs:\n{}", faults.join("\n"));
}

impl Oracle {
    /// Reads the descriptions, once per process; none where they cannot be fetched, and
    /// that is said.
    pub fn get() -> Option<&'static Oracle> {
        let read = || match fetch() {
            Ok(folder) => Some(Oracle::read(&folder)),
            Err(why) => {
                crate::skipped(&format!(
                    "nothing is held against GitHub's descriptions: {why}"
                ));
                None
            }
        };
        ORACLE.get_or_init(read).as_ref()
    }

    fn read(folder: &Path) -> Oracle {
        let read = |file: &str| -> Value {
            let text = std::fs::read(folder.join("node_modules/@octokit").join(file));
            serde_json::from_slice(&text.expect("a description")).expect("JSON")
        };
        let mut api = read("openapi/generated/api.github.com.json");
        let mut webhooks = read("webhooks-schemas/schema.json");
        for (pointer, value) in DOCUMENTED_ELSEWHERE {
            let found = [&mut api, &mut webhooks]
                .into_iter()
                .find_map(|description| description.pointer_mut(pointer));
            let listed = found.and_then(Value::as_array_mut);
            listed.expect("a list of values").push(value.into());
        }
        let paths = api["paths"].as_object().expect("paths").keys();
        Oracle {
            paths: paths.map(|path| (shape(path), path.clone())).collect(),
            webhooks,
            validators: Mutex::default(),
            api,
        }
    }

    /// What is wrong with a call or its answer.
    pub fn exchange(&self, exchange: &Exchange) -> Vec<String> {
        let route = OTHERWISE
            .iter()
            .find(|(ours, _)| *ours == exchange.route)
            .map_or(exchange.route.as_str(), |(_, theirs)| theirs);
        let call = format!("{} {route}", exchange.method);
        let operation = self.paths.get(&shape(route)).map(|path| {
            let method = exchange.method.to_lowercase();
            (path, &self.api["paths"][path][method])
        });
        let Some((path, operation)) = operation.filter(|(_, operation)| operation.is_object())
        else {
            return vec![format!("{call}: GitHub has no such call")];
        };
        let mut faults = Vec::new();
        let shared = &self.api["paths"][path]["parameters"];
        let known: Vec<&str> = [&operation["parameters"], shared]
            .into_iter()
            .filter_map(Value::as_array)
            .flatten()
            .map(|parameter| self.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let unknown = exchange
            .parameters
            .iter()
            .filter(|name| !known.contains(&name.as_str()));
        faults.extend(unknown.map(|name| format!("{call}: the parameter {name} is unknown")));

        let body = self.resolve(&operation["requestBody"]);
        let schema = &body["content"]["application/json"]["schema"];
        match &exchange.request {
            Some(sent) if schema.is_null() => {
                faults.push(format!("{call}: takes no body, and was sent {sent}"));
            }
            Some(sent) => {
                let what = format!("{call}: the request");
                faults.extend(self.validate(&what, schema, sent));
            }
            None if body["required"] == true => faults.push(format!("{call}: wants a body")),
            None => {}
        }
        let status = exchange.status.to_string();
        let described = self.resolve(&operation["responses"][&status]);
        if described.is_null() && !ANYWHERE.contains(&exchange.status) {
            faults.push(format!("{call}: is never answered {status}"));
        }
        let schema = &described["content"]["application/json"]["schema"];
        if let (Some(answer), false) = (&exchange.response, schema.is_null()) {
            let what = format!("{call}: the answer {status}");
            faults.extend(self.validate(&what, schema, answer));
        }
        faults
    }

    /// What is wrong with a webhook.
    pub fn delivery(&self, delivery: &Delivery) -> Vec<String> {
        let event = &delivery.event;
        let action = delivery.payload["action"].as_str().unwrap_or("event");
        let definitions = &self.webhooks["definitions"];
        let named = [format!("{event}${action}"), format!("{event}$event")];
        let Some(name) = named
            .iter()
            .find(|name| definitions[name.as_str()].is_object())
        else {
            return vec![format!("webhook {event}: GitHub sends no {action}")];
        };
        let validator = self.validator(name, || {
            let reference = json!({"$ref": format!("#/definitions/{name}")});
            let schema = closure(&reference, &self.webhooks, "definitions");
            jsonschema::draft7::new(&schema).expect("a schema")
        });
        errors(&format!("webhook {name}"), validator, &delivery.payload)
    }

    fn validate(&self, what: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(what, || {
            let schema = closure(schema, &self.api, "components");
            let schema = nullable(schema);
            jsonschema::options()
                .with_draft(Draft::Draft4)
                .build(&schema)
                .expect("a schema")
        });
        errors(what, validator, value)
    }

    fn validator(&self, what: &str, make: impl FnOnce() -> Validator) -> &'static Validator {
        let mut validators = self.validators.lock().expect("no panic within");
        if let Some(known) = validators.get(what) {
            return known;
        }
        // As long as the process: there are a few dozen.
        let made: &'static Validator = Box::leak(Box::new(make()));
        validators.insert(what.to_owned(), made);
        made
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix('#'))
        {
            Some(pointer) => self.api.pointer(pointer).unwrap_or(&Value::Null),
            None => value,
        }
    }
}

fn errors(what: &str, validator: &Validator, value: &Value) -> Vec<String> {
    let errors = validator.iter_errors(value);
    errors
        .map(|error| {
            let mut text = error.to_string();
            text.truncate(text.floor_char_boundary(300));
            format!("{what}: {} {text}", error.instance_path())
        })
        .collect()
}

/// A path with its placeholders' names left out.
fn shape(path: &str) -> String {
    let part = |part: &str| {
        if part.starts_with('{') {
            "{}".to_owned()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A schema with all that it refers to, however far, under the same root.
fn closure(schema: &Value, document: &Value, root: &str) -> Value {
    let mut found: BTreeSet<String> = BTreeSet::new();
    let mut left = vec![schema];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(object) => {
                let reference = object.get("$ref").and_then(Value::as_str);
                if let Some(pointer) = reference.and_then(|path| path.strip_prefix('#'))
                    && found.insert(pointer.to_owned())
                {
                    left.extend(document.pointer(pointer));
                }
                left.extend(object.values());
            }
            Value::Array(list) => left.extend(list),
            _ => {}
        }
    }
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    if let Some(Value::String(reference)) = whole.remove("$ref") {
        // A root that is a reference itself would hide what stands beside it.
        whole.insert("allOf".into(), json!([{"$ref": reference}]));
    }
    for pointer in &found {
        let names: Vec<&str> = pointer.split('/').skip(1).collect();
        assert_eq!(names.first(), Some(&root), "{pointer}");
        let mut at = &mut whole;
        for name in &names[..names.len() - 1] {
            let inner = at.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            at = inner.as_object_mut().expect("an object");
        }
        let value = document.pointer(pointer).expect("what is referred to");
        at.insert(names[names.len() - 1].to_owned(), value.clone());
    }
    Value::Object(whole)
}

/// OpenAPI 3.0's `nullable` in JSON Schema's words.
fn nullable(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let may_be_null = object.get("nullable") == Some(&true.into());
            let inner: Map<String, Value> = object
                .into_iter()
                .filter(|(name, _)| !["nullable", "example", "examples"].contains(&name.as_str()))
                .map(|(name, value)| (name, nullable(value)))
                .collect();
            if may_be_null {
                json!({"anyOf": [Value::Object(inner), {"enum": [null]}]})
            } else {
                Value::Object(inner)
            }
        }
        Value::Array(list) => list.into_iter().map(nullable).collect(),
        other => other,
    }
}

/// Fetches the descriptions, if they are not there.
fn fetch() -> Result<PathBuf, String> {
    tools::made_once("descriptions", &PACKAGES.join("\n"), |folder| {
        tools::npm(folder, &PACKAGES)
    })
}
