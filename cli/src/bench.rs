//! `commons bench`: what the release costs where it costs something, beside its bars.

use std::process::ExitCode;

use clap::Subcommand;
use local_cloud::Profile;

use crate::program;

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
    /// Publishing, and how large and how soon ready the functions are: about twenty
    /// minutes the first time, 10 GB of memory, exit code 1 where a bar is missed.
    Publish,
    /// From one component to the next, and what a release takes of GitHub and AWS: about
    /// half an hour, 4 GB of memory, exit code 1 where a bar is missed.
    Train {
        /// What to measure; all of it unless told otherwise.
        #[arg(value_name = "ROW")]
        rows: Vec<String>,
    },
}

/// Builds what measures in release mode, and starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let (what, rows) = match &arguments.what {
        What::Collect => ("collect", [].as_slice()),
        What::Publish => ("publish", [].as_slice()),
        What::Train { rows } => ("train", rows.as_slice()),
    };
    let patience = "building in release mode: some minutes the first time";
    let rows = rows.iter().map(String::as_str);
    program::run(
        Profile::Release,
        "bench",
        patience,
        std::iter::once(what).chain(rows),
    )
}
