//! `commons storm`: many releases with everything that goes wrong around them, judged.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use local_cloud::Profile;

use crate::program;

/// How large a storm.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many releases in one process, by a clock that jumps.
    #[arg(long)]
    releases: Option<usize>,
    /// What everything is drawn from.
    #[arg(long)]
    seed: Option<u64>,
    /// How many more through the whole local cloud: 5 % of the others, and at least 10,
    /// unless told otherwise.
    #[arg(long)]
    local: Option<usize>,
    /// How many are played at a time; as many as there are cores.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where what went wrong is written, whole and shrunk.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Writes what went wrong as it is, and makes nothing smaller.
    #[arg(long)]
    whole: bool,
    /// Plays one plan that was written before.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Prints what goes wrong with which odds.
    #[arg(long)]
    odds: bool,
}

/// Builds the storm in release mode, and starts it; exit code 1 where something went wrong
/// that never may.
pub fn run(arguments: &Arguments) -> ExitCode {
    let mut given: Vec<OsString> = Vec::new();
    let mut give = |name: &str, value: Option<OsString>| {
        if let Some(value) = value {
            given.extend([name.into(), value]);
        }
    };
    let number = |value: Option<usize>| value.map(|value| value.to_string().into());
    give("--releases", number(arguments.releases));
    give("--seed", arguments.seed.map(|seed| seed.to_string().into()));
    give("--local", number(arguments.local));
    give("--jobs", number(arguments.jobs));
    give("--out", arguments.out.clone().map(Into::into));
    give("--replay", arguments.replay.clone().map(Into::into));
    for (flag, is_given) in [("--whole", arguments.whole), ("--odds", arguments.odds)] {
        given.extend(is_given.then(|| OsString::from(flag)));
    }
    let patience = "building in release mode: some minutes the first time";
    program::run(Profile::Release, "storm", patience, given)
}
