//! The `commons` command as a person runs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod demo;
mod kills;
mod plan;

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
