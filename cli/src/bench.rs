//! `commons bench`: what the release costs where it costs something, beside its bars.

use std::process::ExitCode;
use std::sync::Once;

use clap::Subcommand;
use local_cloud::{Error, Progress};
use tokio::process::Command;

use crate::{interrupted, refuse};

/// What to measure.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Collecting: about ten minutes, 3 GB of disk, exit code 1 where a bar is missed.
    Collect,
}

/// Builds what measures in release mode, and starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let What::Collect = arguments.what;
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&[format!("the runtime does not start: {error}")]),
    };
    runtime.block_on(async {
        tokio::select! {
            measured = build_and_start() => measured.unwrap_or_else(|error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            }),
            code = interrupted() => ExitCode::from(code),
        }
    })
}

async fn build_and_start() -> Result<ExitCode, Error> {
    let told = Once::new();
    let progress = |step: Progress| {
        if step.compiled {
            told.call_once(|| {
                eprintln!("building in release mode: some minutes the first time");
            });
        }
    };
    let folder = local_cloud::build_bench(&progress).await?;
    let mut command = Command::new(folder.join("bench"));
    let status = command.arg("collect").kill_on_drop(true).status().await;
    let status = status.map_err(|error| Error(format!("the benchmark: {error}")))?;
    // It has said what it missed.
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
