//! `bench`: what the `commons` command builds in release mode and starts, to measure.

mod aws;
mod content;
mod drive;
mod figures;
mod killed;
mod measured;
mod pack;
mod prepare;
mod publish;
mod server;
mod sink;
mod source;
mod tools;
mod train;
mod usage;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure collecting.
    Collect,
    /// Measure publishing.
    Publish,
    /// Measure the train of builds.
    Train(train::Arguments),
    #[command(hide = true)]
    Source { artifacts: PathBuf },
    #[command(hide = true)]
    Sink,
    #[command(hide = true)]
    Measured(measured::Arguments),
    #[command(hide = true)]
    Planned { seed: u64 },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Collect => drive::collect().await,
        Command::Publish => publish::publish().await,
        Command::Train(arguments) => train::train(arguments).await,
        Command::Source { artifacts } => serve_source(&artifacts).await,
        Command::Sink => serve_sink().await,
        Command::Measured(arguments) => {
            server::end_with_parent();
            measured::run(&arguments).await.and_then(say)
        }
        Command::Planned { seed } => {
            server::end_with_parent();
            train::plan::here(seed).and_then(say)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Says what was measured to who started this.
fn say(report: impl serde::Serialize) -> Result<bool, String> {
    let report = serde_json::to_string(&report).map_err(|error| error.to_string())?;
    println!("{report}");
    Ok(true)
}

/// The artifacts that were prepared.
fn artifacts(path: &Path) -> Result<Vec<source::Artifact>, String> {
    let told = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| told(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| told(error.to_string()))
}

async fn serve_source(path: &Path) -> Result<bool, String> {
    let artifacts = artifacts(path)?;
    let (listener, address) = listen().await?;
    let served = source::serve(listener, address, artifacts).await;
    served.map(|()| true).map_err(|error| error.to_string())
}

async fn serve_sink() -> Result<bool, String> {
    let (listener, _) = listen().await?;
    let served = sink::serve(listener).await;
    served.map(|()| true).map_err(|error| error.to_string())
}

/// On a free port, which is told to whoever started this.
async fn listen() -> Result<(TcpListener, String), String> {
    let bound = TcpListener::bind("127.0.0.1:0").await;
    let listener = bound.map_err(|error| format!("no port is free: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?;
    let address = format!("http://{port}");
    println!("{address}");
    server::end_with_parent();
    Ok((listener, address))
}
