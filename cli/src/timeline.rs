//! `commons timeline`: what happened to a release, event by event.

use std::process::ExitCode;

use commons_domain::names::{ReleaseKey, RepoName, Version};
use local_cloud::Profile;

use crate::{program, refuse};

/// The program that prints it: its arguments are a table and a release's key.
pub const PROGRAM: &str = "timeline";

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
    let patience = "building what reads the table: some minutes the first time, seconds after that";
    let given = [arguments.table.as_str(), key.as_str()];
    program::run(Profile::Dev, PROGRAM, patience, given)
}
