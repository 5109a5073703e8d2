//! `commons timeline`: what happened to a release, event by event.

use std::path::Path;
use std::process::ExitCode;

use commons_domain::names::{ReleaseKey, RepoName, Version};
use tokio::process::Command;

use crate::{program, refuse};

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
    program::run(
        "building what reads the table: some minutes the first time, seconds after that",
        async |steps| local_cloud::build_timeline(steps).await,
        |folder| command(folder, &arguments.table, &key),
    )
}

/// What prints a release's timeline, of the binaries in this folder.
pub fn command(folder: &Path, table: &str, key: &ReleaseKey) -> Command {
    let mut command = Command::new(folder.join("timeline"));
    command.args([table, key.as_str()]).kill_on_drop(true);
    command
}
