//! The `commons` command as a person runs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod demo;
mod kills;
mod plan;
mod timeline;

use std::collections::BTreeSet;
use std::process::{Command, Output};

/// The built command, from the repository's root.
fn commons(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commons"));
    command
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_the_documents_call_is_a_command() {
    let help = stdout(&commons(&["--help"]).output().unwrap());
    let (_, listed) = help.split_once("Commands:").unwrap();
    let (listed, _) = listed.split_once("Options:").unwrap();
    let known: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    let documents = [
        include_str!("../../../README.md"),
        include_str!("../../../docs/deploying.md"),
        include_str!("../../../docs/benchmarks.md"),
    ];
    let mut named = BTreeSet::new();
    for text in documents {
        for rest in text.split("cargo commons").skip(1) {
            let word = rest.split_whitespace().next().unwrap();
            let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            assert!(known.contains(&word), "commons has no command '{word}'");
            named.insert(word);
        }
    }
    for command in known.iter().filter(|command| **command != "help") {
        assert!(named.contains(command), "no document tells of {command}");
    }
}
