//! Programs of the workspace that the command builds when they are asked for, and starts.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::sync::Once;

use local_cloud::{Error, Profile, Progress};
use tokio::process::Command;

use crate::{interrupted, refuse};

/// Builds a program, tells `patience` where that takes time, and starts it. The exit code
/// is the program's, which has said why.
pub fn run(
    profile: Profile,
    name: &str,
    patience: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&[format!("the runtime does not start: {error}")]),
    };
    let told = Once::new();
    let steps = |step: Progress| {
        if step.compiled {
            told.call_once(|| eprintln!("{patience}"));
        }
    };
    let built_and_run = async {
        let folder = local_cloud::build(profile, &[name], &steps).await?;
        let program = folder.join(name);
        let mut command = Command::new(&program);
        let status = command.args(arguments).kill_on_drop(true).status().await;
        let status = status.map_err(|error| Error(format!("{}: {error}", program.display())))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    };
    runtime.block_on(async {
        tokio::select! {
            ended = built_and_run => ended.unwrap_or_else(|error: Error| {
                eprintln!("{error}");
                ExitCode::FAILURE
            }),
            code = interrupted() => ExitCode::from(code),
        }
    })
}
