//! `commons timeline`: what happened to a release, event by event.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Once;

use commons_domain::names::{ReleaseKey, RepoName, Version};
use local_cloud::{Error, Progress};
use tokio::process::Command;

use crate::{interrupted, refuse};

/// Whose timeline.
#[derive(clap::Args)]
pub struct Arguments {
    /// The version that was, or is being, released.
    version: String,
    /// The release repository.
    #[arg(long, value_name = "OWNER/NAME")]
    repository: String,
    /// The stack's table: its output `Table`.
    #[arg(long)]
    table: String,
}

/// Prints it, from where the AWS SDK's configuration leads.
pub fn run(arguments: &Arguments) -> ExitCode {
    let version = Version::new(&arguments.version);
    let repository = RepoName::new(&arguments.repository);
    let (version, repository) = match (version, repository) {
        (Ok(version), Ok(repository)) => (version, repository),
        (version, repository) => {
            let faults = [version.err(), repository.err()].into_iter().flatten();
            let faults: Vec<String> = faults.map(|fault| fault.to_string()).collect();
            return refuse(&faults);
        }
    };
    let key = ReleaseKey::of(&repository, &version);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&[format!("the runtime does not start: {error}")]),
    };
    runtime.block_on(async {
        tokio::select! {
            printed = build_and_start(&arguments.table, &key) => printed.unwrap_or_else(|error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            }),
            code = interrupted() => ExitCode::from(code),
        }
    })
}

async fn build_and_start(table: &str, key: &ReleaseKey) -> Result<ExitCode, Error> {
    let told = Once::new();
    let progress = |step: Progress| {
        if step.compiled {
            told.call_once(|| {
                eprintln!(
                    "building what reads the table: some minutes the first time, seconds after that"
                );
            });
        }
    };
    let folder = local_cloud::build_timeline(&progress).await?;
    let printed = command(&folder, table, key).status().await;
    let status = printed.map_err(|error| Error(format!("the timeline: {error}")))?;
    // Where there is none it has said why.
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What prints a release's timeline, of the binaries in this folder.
pub fn command(folder: &Path, table: &str, key: &ReleaseKey) -> Command {
    let mut command = Command::new(folder.join("timeline"));
    command.args([table, key.as_str()]).kill_on_drop(true);
    command
}
