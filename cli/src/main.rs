//! The `commons` command.

mod bench;
mod demo;
mod plan;
mod program;
mod storm;
mod timeline;
mod verify;

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
    /// Print what happened to a release, event by event.
    Timeline(timeline::Arguments),
    /// Download a published release and check all of it.
    Verify(verify::Arguments),
    /// Release many versions while everything goes wrong, and judge what came of it.
    Storm(storm::Arguments),
    /// Measure this machine's throughput beside its bars.
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Timeline(arguments) => timeline::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Storm(arguments) => storm::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    }
}

/// Bad input: one sentence each, and exit code 2.
fn refuse(sentences: &[String]) -> ExitCode {
    for sentence in sentences {
        eprintln!("{sentence}");
    }
    ExitCode::from(2)
}

/// SIGINT or SIGTERM; the exit code. What runs is dropped then, and dies.
async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! { _ = interrupt.recv() => 130, _ = terminate.recv() => 143 }
        }
        // Without handlers the signals end the process, and the cloud dies with it.
        _ => std::future::pending().await,
    }
}
