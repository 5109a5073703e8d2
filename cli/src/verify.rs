//! `commons verify`: downloads a published release and checks all of it.

use std::process::ExitCode;

use local_cloud::Profile;

use crate::program;

/// Which release, and by which key; read by the program itself.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// As `commons verify --help` tells.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds what verifies, and starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let patience = "building what verifies: a minute the first time, seconds after that";
    program::run(Profile::Dev, "verify", patience, &arguments.arguments)
}
