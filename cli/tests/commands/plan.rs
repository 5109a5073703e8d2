//! `commons plan`.

use crate::{commons, stderr, stdout};

fn plan_of(manifest: &str, more: &[&str]) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("versions.toml");
    std::fs::write(&file, manifest).unwrap();
    let file = file.to_str().unwrap();
    let arguments = [&["plan", "--manifest", file], more].concat();
    commons(&arguments).output().unwrap()
}

#[test]
fn the_six_components_are_ordered() {
    let output = commons(&["plan", "--manifest", "tests/fixtures/versions.toml"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("1. bllvm-consensus, bllvm-sdk"), "{text}");
    assert!(
        text.contains("bllvm-consensus → bllvm-protocol → bllvm-node → bllvm"),
        "{text}"
    );
}

#[test]
fn json_says_the_same() {
    let output = commons(&[
        "plan",
        "--json",
        "--manifest",
        "tests/fixtures/versions.toml",
    ])
    .output()
    .unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["order"].as_array().unwrap().len(), 6);
    assert_eq!(
        plan["groups"][0],
        serde_json::json!(["bllvm-consensus", "bllvm-sdk"])
    );
    assert_eq!(plan["critical_path"].as_array().unwrap().len(), 4);
}

#[test]
fn a_cycle_is_called_a_cycle_and_written_out() {
    let output = plan_of(
        "[versions]\na = { version = \"1.0.0\", requires = [\"b=1.0.0\"] }\nb = { version = \"1.0.0\", requires = [\"a=1.0.0\"] }\n",
        &[],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("cycle"), "{text}");
    assert!(
        text.contains("a → b → a") || text.contains("b → a → b"),
        "{text}"
    );
}

#[test]
fn every_fault_has_its_sentence() {
    let output = plan_of(
        "[versions]\na = { version = \"1.0\" }\nb = { version = \"1.0.0\", requires = [\"c=1.0.0\"] }\n",
        &["--json"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("'a'") && text.contains("'c'"), "{text}");
}

#[test]
fn a_missing_file_is_named() {
    let output = commons(&["plan", "--manifest", "no/such/file.toml"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("no/such/file.toml: "), "{text}");
}
