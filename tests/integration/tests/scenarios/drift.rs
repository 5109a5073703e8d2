//! What is named in more than one place is the same everywhere: the definition's
//! states, the template's functions, the names of errors, the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use commons_runtime::{Config, StageError};
use serde_json::Value;

const README: &str = include_str!("../../../../README.md");

/// What is deployed, as JSON.
pub(super) struct Rendered {
    /// The definition, with stand-in ARNs.
    pub(super) definition: Value,
    /// The template.
    pub(super) template: Value,
    /// The definition as a Mermaid diagram.
    pub(super) picture: String,
}

pub(super) async fn render() -> Rendered {
    let toolchain = local_cloud::ensure_venv(&|_| {}).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rendered = Command::new(&toolchain.python)
        .arg(toolchain.root.join("infra/local/deploy.py"))
        .arg("--render")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(rendered.status.success(), "{rendered:?}");
    let read = |name: &str| {
        let text = std::fs::read(folder.path().join(name)).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    Rendered {
        definition: read("release.asl.json"),
        template: read("template.json"),
        picture: std::fs::read_to_string(folder.path().join("release.mmd")).unwrap(),
    }
}

/// Every object below a value, with its key.
fn objects<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                found.push((key, inner));
                objects(inner, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| objects(inner, found)),
        _ => {}
    }
}

pub(super) fn states(definition: &Value) -> BTreeMap<String, Value> {
    let mut found = Vec::new();
    objects(definition, &mut found);
    found
        .into_iter()
        .filter(|(key, _)| *key == "States")
        .flat_map(|(_, states)| states.as_object().unwrap().clone())
        .collect()
}

pub(super) fn functions(template: &Value) -> BTreeMap<String, Value> {
    let resources = template["Resources"].as_object().unwrap().clone();
    resources
        .into_iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
        .collect()
}

#[tokio::test]
async fn every_stage_is_a_function_of_the_template_and_a_crate() {
    let Rendered {
        definition,
        template,
        ..
    } = render().await;
    let called: BTreeSet<String> = states(&definition)
        .values()
        .filter_map(|state| state["Resource"].as_str())
        .filter_map(|resource| resource.rsplit_once(":function:"))
        .map(|(_, name)| name.to_owned())
        .collect();
    let mut deployed: BTreeSet<String> = functions(&template).into_keys().collect();
    let binaries: BTreeSet<String> = functions(&template)
        .values()
        .map(|f| {
            f["Metadata"]["BuildProperties"]["Binary"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions");
    let crates: BTreeSet<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "shared")
        .collect();
    assert_eq!(binaries, crates);
    // The door is no state: it starts the machine.
    assert!(deployed.remove("WebhookFunction"));
    assert_eq!(called, deployed);
}

#[tokio::test]
async fn every_error_that_is_caught_by_name_is_one_that_is_raised() {
    let Rendered { definition, .. } = render().await;
    let text = || "why".to_owned();
    let ours: BTreeSet<&str> = [
        StageError::LeaseLost(text()),
        StageError::LeaseHeld(text()),
        StageError::AlreadyPublished(text()),
        StageError::Refused(text()),
        StageError::NotComplete(text()),
        StageError::VerificationFailed(text()),
        StageError::Unavailable(text()),
        StageError::Blind(text()),
        StageError::Internal(text()),
    ]
    .iter()
    .map(StageError::name)
    .collect();
    let mut found = Vec::new();
    objects(&definition, &mut found);
    let named: BTreeSet<&str> = found
        .iter()
        .filter(|(key, _)| *key == "ErrorEquals")
        .flat_map(|(_, names)| names.as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in &named {
        let of_aws = name.contains('.');
        assert!(of_aws || ours.contains(name), "{name} is never raised");
    }
    for name in ["LeaseLost", "LeaseHeld", "AlreadyPublished", "Unavailable"] {
        assert!(named.contains(name), "{name} is not caught by name");
    }
}

#[tokio::test]
async fn every_task_that_calls_a_function_retries_what_cannot_be_seen() {
    let Rendered { definition, .. } = render().await;
    let mut policies = BTreeSet::new();
    for (name, state) in states(&definition) {
        let resource = state["Resource"].as_str().unwrap_or_default();
        if resource.contains(":function:") {
            let retried = state["Retry"][0]["ErrorEquals"].as_array().unwrap();
            assert!(retried.contains(&"Unavailable".into()), "{name}");
            let caught = state["Catch"].as_array().unwrap().last().unwrap();
            assert_eq!(caught["ErrorEquals"][0], "States.ALL", "{name}");
            policies.insert(state["Retry"].to_string());
        }
        if resource.ends_with(".waitForTaskToken") {
            assert!(state["TimeoutSeconds"].is_u64(), "{name} waits for ever");
        }
    }
    assert_eq!(policies.len(), 1, "{policies:?}");
}

#[tokio::test]
async fn what_the_template_sets_is_what_the_configuration_reads() {
    let Rendered { template, .. } = render().await;
    let variables = template["Globals"]["Function"]["Environment"]["Variables"]
        .as_object()
        .unwrap()
        .clone();
    let read = std::cell::RefCell::new(BTreeSet::new());
    let config = Config::from(|name| {
        read.borrow_mut().insert(name.to_owned());
        variables.contains_key(name).then(|| match name {
            "RELEASE_REPOSITORY" => "owner/name".into(),
            "PRIVATE_TRANSFERS" | "TAG_COMPONENTS" => "true".into(),
            _ => "1".into(),
        })
    });
    config.unwrap();
    let mut set: BTreeSet<String> = variables.keys().cloned().collect();
    // Read by the tracing subscriber.
    assert!(set.remove("RUST_LOG"));
    assert_eq!(set, read.into_inner());
    let door = &functions(&template)["WebhookFunction"];
    let own = door["Properties"]["Environment"]["Variables"]
        .as_object()
        .unwrap();
    assert_eq!(own.keys().collect::<Vec<_>>(), ["WEBHOOK_SECRET"]);
}

#[tokio::test]
async fn every_placeholder_of_the_definition_is_substituted() {
    let Rendered { template, .. } = render().await;
    let definition = include_str!("../../../../statemachine/release.asl.yaml");
    let placeholders: BTreeSet<&str> = definition
        .split("${")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
        .collect();
    let substitutions = &template["Resources"]["Release"]["Properties"]["DefinitionSubstitutions"];
    let given: BTreeSet<&str> = substitutions
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(placeholders, given);
}

#[tokio::test]
async fn the_picture_of_the_machine_is_the_machine() {
    let Rendered { picture, .. } = render().await;
    let block = format!("```mermaid\n{picture}```");
    assert!(
        README.contains(&block),
        "README.md does not show:\n{picture}"
    );
}

#[test]
fn the_inputs_of_the_readme_are_those_that_are_read() {
    let rows = README
        .lines()
        .skip_while(|line| !line.contains("| key | example | means |"))
        .skip(2)
        .map_while(|line| line.trim().strip_prefix("| `"));
    let mut input = serde_json::Map::new();
    for row in rows {
        let (key, rest) = row.split_once("` | `").unwrap();
        let (example, _) = rest.split_once("` |").unwrap();
        input.insert(key.to_owned(), serde_json::from_str(example).unwrap());
    }
    let input = Value::Object(input);
    let request = commons_domain::request::Request::parse(&input).unwrap();
    assert!(request.prerelease == Some(true) && request.stop_at_draft);
    assert!(request.manifest_ref.is_some());
    assert_eq!((request.only.len(), request.adopt.len()), (1, 1));
    let refused = commons_domain::request::Request::parse(&serde_json::json!({"no": 1}));
    let error = refused.unwrap_err().to_string();
    for key in input.as_object().unwrap().keys() {
        assert!(
            error.contains(&format!("`{key}`")),
            "{key} is not in: {error}"
        );
    }
}
