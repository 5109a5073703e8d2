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
}

/// Builds what measures in release mode, and starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let what = match arguments.what {
        What::Collect => "collect",
        What::Publish => "publish",
    };
    let patience = "building in release mode: some minutes the first time";
    program::run(Profile::Release, "bench", patience, [what])
}
