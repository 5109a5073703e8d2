//! What the documents name is there, under that name: links, tables, paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use commons_domain::manifest::Manifest;
use commons_domain::notes::Template;
use commons_github::{APP_FIELDS, permissions};

use crate::drift::render;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The documents of the repository, by path.
fn documents() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["", "docs"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                let path = Path::new(folder).join(name);
                let path = path.to_str().unwrap().to_owned();
                let text = read(&path);
                found.insert(path, text);
            }
        }
    }
    found
}

/// The anchors that GitHub makes of a document's headings.
fn anchors(text: &str) -> Vec<String> {
    let mut code = false;
    let outside = text.lines().filter(move |line| {
        code ^= line.starts_with("```");
        !code
    });
    let headings = outside.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |heading: &str| {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// The rows of the table that begins with this line, cells without their frame.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = text
        .lines()
        .skip_while(|line| line.trim() != header)
        .skip(2)
        .map_while(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split(" | ").map(|c| c.trim().to_owned()).collect())
        .collect();
    assert!(!rows.is_empty(), "there is no table {header}");
    rows
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn every_relative_link_leads_somewhere() {
    let documents = documents();
    let mut seen = 0;
    for (path, text) in &documents {
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(path).parent().unwrap();
            let there = if file.is_empty() {
                root().join(path)
            } else {
                root().join(folder).join(file)
            };
            let there = there.canonicalize();
            let there = there.unwrap_or_else(|_| panic!("{path} links to {link}"));
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(there).unwrap();
                let found = anchors(&text).iter().any(|a| a == anchor);
                assert!(found, "{path} links to {link}");
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} links");
}

#[tokio::test]
async fn the_parameters_of_the_readme_are_those_of_the_template() {
    let template = render().await.template;
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        let default = match &parameter["Default"] {
            serde_json::Value::Null => "asked for".to_owned(),
            serde_json::Value::String(text) if text.is_empty() => "`''`".to_owned(),
            serde_json::Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        parameters.insert(name.clone(), default);
    }
    let rows = table(&read("README.md"), "| parameter | default | means |");
    let told = rows
        .into_iter()
        .map(|row| (code(&row[0]).unwrap().to_owned(), row[1].clone()));
    assert_eq!(told.collect::<BTreeMap<_, _>>(), parameters);
}

#[test]
fn the_manifest_s_fields_in_the_documents_are_those_that_are_read() {
    let rows = table(&read("docs/deploying.md"), "| field | default | means |");
    let mut told: Vec<&str> = rows.iter().map(|row| code(&row[0]).unwrap()).collect();
    let unknown = "[versions]\na = { version = \"1.0.0\", nope = 1 }";
    let error = Manifest::parse(unknown).unwrap_err().to_string();
    let (_, fields) = error.split_once("expected one of ").unwrap();
    let mut fields: Vec<&str> = fields.split(", ").map(|f| code(f).unwrap()).collect();
    told.sort_unstable();
    fields.sort_unstable();
    assert_eq!(told, fields);

    let plain = Manifest::parse("[versions]\na = { version = \"1.0.0\" }").unwrap();
    let plain = &plain.components()["a"];
    for (field, default) in [
        ("timeout_minutes", plain.timeout_minutes.to_string()),
        (
            "queue_timeout_minutes",
            plain.queue_timeout_minutes.to_string(),
        ),
        ("max_retries", plain.max_retries.to_string()),
        ("rebuild_expired", format!("`{}`", plain.rebuild_expired)),
        ("event_type", format!("`{}`", plain.event_type)),
        ("trigger", format!("`{}`", plain.trigger.event())),
    ] {
        let row = rows.iter().find(|row| code(&row[0]) == Some(field));
        assert_eq!(row.unwrap()[1], default, "{field}");
    }
}

/// The names of everything in a value, as a template would reach it.
fn names(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, inner) in object {
                let dot = if path.is_empty() { "" } else { "." };
                names(inner, &format!("{path}{dot}{key}"), found);
            }
        }
        serde_json::Value::Array(list) => {
            assert!(!list.is_empty(), "{path} is empty in the sample");
            names(&list[0], &format!("{path}[]"), found);
        }
        serde_json::Value::Null => panic!("{path} is missing in the sample"),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_facts_of_the_notes_in_the_documents_are_those_that_templates_see() {
    let document = read("docs/notes.md");
    let rows = table(&document, "| fact | means |");
    let mut told: BTreeSet<String> = rows
        .iter()
        .map(|row| code(&row[0]).unwrap().to_owned())
        .collect();
    assert_eq!(told.len(), rows.len(), "one is told twice");
    // What is told as a whole.
    assert!(told.remove("changes.since") && told.remove("sections[].artifacts[]"));
    let sample = serde_json::to_value(commons_domain::notes::sample()).unwrap();
    let mut facts = BTreeSet::new();
    names(&sample, "", &mut facts);
    facts.retain(|fact| !fact.starts_with("sections[].artifacts[]"));
    assert_eq!(told, facts);
}

#[test]
fn the_template_in_the_documents_is_one() {
    let document = read("docs/notes.md");
    let (_, after) = document.split_once("```jinja\n").unwrap();
    let template = Template {
        path: "docs/notes.md".into(),
        text: after.split("```").next().unwrap().into(),
    };
    template.check().unwrap();
    let sample = commons_domain::notes::sample();
    let text = commons_domain::notes::render(Some(&template), &sample).unwrap();
    assert!(
        text.starts_with("## v1.2.3\n\n- core: peers are found faster"),
        "{text}"
    );
    let body = commons_domain::notes::body("", Some(&template), &sample).unwrap();
    let comments = body.lines().filter(|line| line.starts_with("<!-- "));
    for comment in comments {
        assert!(document.contains(comment), "{comment} is not told");
    }
}

#[test]
fn what_follows_an_attempt_is_told_as_it_is_decided() {
    let table = commons_domain::attempts::table();
    assert!(
        read("README.md").contains(&table),
        "README.md does not show:\n{table}"
    );
}

#[test]
fn what_each_stage_may_do_at_github_is_told_as_it_is_asked_for() {
    let table = permissions::table();
    assert!(
        read("README.md").contains(&table),
        "README.md does not show:\n{table}"
    );
    let manifest: serde_json::Value = serde_json::from_str(&read("docs/github-app.json")).unwrap();
    let needed = permissions::PERMISSIONS.iter().filter(|p| !p.optional);
    let needed = needed.map(|p| (p.name, p.most().unwrap().as_str()));
    let needed: BTreeMap<&str, &str> = needed.collect();
    assert_eq!(manifest["default_permissions"], serde_json::json!(needed));
    // What GitHub's manifest flow wants.
    for field in ["name", "url", "redirect_url"] {
        assert!(manifest[field].is_string(), "{field}");
    }
    assert!(manifest["public"].is_boolean());
    assert!(manifest["hook_attributes"]["url"].is_string());
    let events = serde_json::json!(["create", "release", "workflow_run"]);
    assert_eq!(manifest["default_events"], events);
}

#[test]
fn the_fields_of_an_app_in_the_documents_are_those_that_are_read() {
    let rows = table(&read("docs/deploying.md"), "| field | means |");
    let mut told: Vec<&str> = rows.iter().map(|row| code(&row[0]).unwrap()).collect();
    told.sort_unstable();
    let mut read = APP_FIELDS;
    read.sort_unstable();
    assert_eq!(told, read);
}

#[test]
fn the_code_map_is_of_the_code_that_is_there() {
    let mut seen = 0;
    for row in table(&read("README.md"), "| where | what |") {
        for path in row[0].split('`').skip(1).step_by(2) {
            let (before, rest) = path.split_once('{').unwrap_or((path, ""));
            let (names, after) = rest.split_once('}').unwrap_or(("", ""));
            for name in names.split(',') {
                let path = format!("{before}{name}{after}");
                assert!(root().join(&path).exists(), "{path} is not there");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} paths");
}

#[test]
fn every_way_of_going_wrong_has_its_test() {
    let header = "| # | what happens | where it was reported | what is done | the test |";
    let rows = table(&read("docs/failure-modes.md"), header);
    assert_eq!(rows.len(), 18);
    let mut told = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        assert_eq!(row[0], number.to_string());
        let test = code(&row[4]).unwrap();
        assert!(test.starts_with(&format!("mode_{number:02}_")), "{test}");
        told.push(test.to_owned());
    }
    let folder = root().join("tests/integration/tests/scenarios/modes");
    let mut tests = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // Its attribute stands directly before a test.
        for after in text.split("test]\n").skip(1) {
            let line = after.lines().next().unwrap();
            let (_, name) = line.split_once("fn ").unwrap();
            tests.push(name.split('(').next().unwrap().to_owned());
        }
    }
    tests.sort_unstable();
    assert_eq!(tests, told);
}
