//! The `commons` command.

mod demo;
mod plan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Releases of products that live in many GitHub repositories.
#[derive(Parser)]
#[command(name = "commons")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate a manifest and print order, parallel groups and critical path.
    Plan(plan::Arguments),
    /// Carry a whole release on this machine, without Docker or an AWS account.
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    }
}

/// Bad input: one sentence each, and exit code 2.
fn refuse(sentences: &[String]) -> ExitCode {
    for sentence in sentences {
        eprintln!("{sentence}");
    }
    ExitCode::from(2)
}
