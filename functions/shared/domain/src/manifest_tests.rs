use std::io::Write as _;

use super::{Manifest, Trigger};

fn faults(entries: &str) -> Vec<String> {
    Manifest::parse(&format!("[versions]\n{entries}"))
        .unwrap_err()
        .0
}

fn only_fault(entries: &str) -> String {
    let faults = faults(entries);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

fn shared(name: &str) -> Option<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../../shared/data")
        .join(name);
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        // Past the harness, which keeps what a passing test prints to itself.
        writeln!(
            std::io::stderr(),
            "skipped: shared/data/{name} is not beside the repository"
        )
        .unwrap();
    }
    text
}

#[test]
fn both_real_manifests_plan() {
    for (name, path) in [
        (
            "versions.bllvm.toml",
            ["bllvm-consensus", "bllvm-protocol", "bllvm-node", "bllvm"],
        ),
        (
            "versions.blvm.toml",
            ["blvm-consensus", "blvm-protocol", "blvm-node", "blvm"],
        ),
    ] {
        if let Some(text) = shared(name) {
            let manifest = Manifest::parse(&text).unwrap();
            assert_eq!(manifest.components().len(), 6, "{name}");
            assert_eq!(manifest.plan().critical_path, path);
        }
    }
}

#[test]
fn the_fixture_plans() {
    let manifest =
        Manifest::parse(include_str!("../../../../tests/fixtures/versions.toml")).unwrap();
    assert_eq!(manifest.plan().groups[0], ["bllvm-consensus", "bllvm-sdk"]);
}

#[test]
fn what_is_not_said_has_its_default() {
    let manifest = Manifest::parse("[versions]\na = { version = \"0.1.0\" }").unwrap();
    let a = &manifest.components()["a"];
    assert_eq!(a.trigger, Trigger::RepositoryDispatch);
    assert_eq!(
        (a.event_type.as_str(), a.workflow.as_deref()),
        ("build-chain", None)
    );
    assert_eq!(
        (a.timeout_minutes, a.queue_timeout_minutes, a.max_retries),
        (60, 240, 3)
    );
    assert_eq!(a.repository("BTCDecoded").unwrap().as_str(), "BTCDecoded/a");
    assert!(!a.contributes_assets());
}

#[test]
fn a_repository_may_have_another_name_or_owner() {
    let text = "[versions]\na = { version = \"0.1.0\", repository = \"x\" }\nb = { version = \"0.1.0\", repository = \"Other/y\" }";
    let manifest = Manifest::parse(text).unwrap();
    let of = |name: &str| {
        manifest.components()[name]
            .repository("Us")
            .unwrap()
            .to_string()
    };
    assert_eq!((of("a"), of("b")), ("Us/x".into(), "Other/y".into()));
}

#[test]
fn the_develop_channel_and_modules_are_no_components() {
    let text = "[versions]\na = { version = \"0.1.0\" }\n[versions.develop]\nversion = \"\"\n[versions.develop.dependencies]\na = \"\"\n[modules]\nm = { min_version = \">=0.1\" }";
    let manifest = Manifest::parse(text).unwrap();
    assert_eq!(manifest.components().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_required_version_that_differs_names_both() {
    let fault = only_fault(
        "a = { version = \"0.2.0\" }\nb = { version = \"0.1.0\", requires = [\"a=0.1.0\"] }",
    );
    assert_eq!(
        fault,
        "component 'b' requires a=0.1.0, but 'a' is at version 0.2.0"
    );
}

#[test]
fn a_requirement_that_is_no_component_is_named() {
    let fault = only_fault("b = { version = \"0.1.0\", requires = [\"x=0.1.0\"] }");
    assert_eq!(
        fault,
        "component 'b' requires 'x', which is no component of this manifest"
    );
}

#[test]
fn a_requirement_has_a_name_and_a_version() {
    let fault =
        only_fault("a = { version = \"0.1.0\" }\nb = { version = \"0.1.0\", requires = [\"a\"] }");
    assert_eq!(
        fault,
        "component 'b': requires 'a' is not of the form name=version"
    );
}

#[test]
fn a_requirement_stands_once() {
    let fault = only_fault(
        "a = { version = \"0.1.0\" }\nb = { version = \"0.1.0\", requires = [\"a=0.1.0\", \"a=0.1.0\"] }",
    );
    assert_eq!(fault, "component 'b' requires 'a' twice");
}

#[test]
fn a_cycle_is_called_a_cycle() {
    let fault = only_fault(
        "a = { version = \"0.1.0\", requires = [\"b=0.1.0\"] }\nb = { version = \"0.1.0\", requires = [\"a=0.1.0\"] }",
    );
    assert_eq!(fault, "the components form a cycle: a → b → a");
}

#[test]
fn a_version_is_semver() {
    assert_eq!(
        only_fault("a = { version = \"1\" }"),
        "component 'a': version '1' is not semver, as 0.1.0"
    );
}

#[test]
fn workflow_dispatch_needs_a_workflow_and_a_tag() {
    let found = faults("a = { version = \"0.1.0\", trigger = \"workflow_dispatch\" }");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("requires an explicit 'workflow'"));
    assert!(found[1].contains("'git_tag' is empty"));
}

#[test]
fn an_unknown_key_is_named() {
    assert!(only_fault("a = { version = \"0.1.0\", binarys = [] }").contains("binarys"));
}

#[test]
fn a_wrong_type_is_named() {
    assert!(only_fault("a = { version = 1 }").starts_with("component 'a': "));
    assert!(only_fault("a = 1").contains("component 'a' is not a table"));
}

#[test]
fn limits_are_checked() {
    assert!(
        only_fault("a = { version = \"0.1.0\", timeout_minutes = 0 }").contains("timeout_minutes")
    );
    assert!(
        only_fault("a = { version = \"0.1.0\", queue_timeout_minutes = 0 }")
            .contains("queue_timeout_minutes")
    );
    assert!(only_fault("a = { version = \"0.1.0\", max_retries = 21 }").contains("max_retries"));
}

#[test]
fn names_of_files_and_globs_are_checked() {
    assert!(
        only_fault("a = { version = \"0.1.0\", workflow = \"x/build.yml\" }").contains("workflow")
    );
    assert!(
        only_fault("a = { version = \"0.1.0\", artifacts = [\"[\"] }").contains("is not a glob")
    );
    assert!(
        only_fault("a = { version = \"0.1.0\", binaries = [\"x/y\"] }")
            .contains("is not a file name")
    );
    assert!(
        only_fault("a = { version = \"0.1.0\", binaries = [\"x\", \"x\"] }")
            .contains("named twice")
    );
    assert!(
        only_fault("a = { version = \"0.1.0\", asset_prefix = \"x/\" }").contains("asset_prefix")
    );
    assert!(only_fault("a = { version = \"0.1.0\", event_type = \"\" }").contains("event_type"));
    assert!(only_fault("a = { version = \"0.1.0\", git_commit = \"abc\" }").contains("git_commit"));
    assert!(
        only_fault("a = { version = \"0.1.0\", repository = \"a/b/c\" }").contains("repository")
    );
}

#[test]
fn a_name_is_a_part_of_keys_and_can_be_required() {
    for name in ["", "..", "a/b", "a=b", "a b", "a\\n"] {
        let entry = format!("\"{name}\" = {{ version = \"0.1.0\", repository = \"x\" }}");
        assert!(only_fault(&entry).contains("its name is not"), "{name}");
    }
}

#[test]
fn a_fault_is_one_line_whatever_it_quotes() {
    let fault = only_fault("a = { version = \"1\\n2\\u001b[31m\" }");
    assert_eq!(
        fault,
        r"component 'a': version '1\n2\u{1b}[31m' is not semver, as 0.1.0"
    );
}

#[test]
fn two_components_do_not_share_a_repository() {
    let fault =
        only_fault("a = { version = \"0.1.0\" }\nb = { version = \"0.1.0\", repository = \"a\" }");
    assert_eq!(fault, "components 'a' and 'b' have the same repository 'a'");
}

#[test]
fn every_fault_is_told_at_once() {
    assert_eq!(
        faults("a = { version = \"x\" }\nb = { version = \"y\" }").len(),
        2
    );
}

#[test]
fn what_is_no_manifest_is_told_so() {
    let fault = |text: &str| Manifest::parse(text).unwrap_err().to_string();
    assert!(fault("versions = [").starts_with("the manifest is not TOML: line 1"));
    assert_eq!(fault(""), "the manifest has no [versions] table");
    assert_eq!(fault("[versions]"), "[versions] names no component");
    assert_eq!(fault("versions = 1"), "'versions' is not a table");
}
