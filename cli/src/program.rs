//! Programs of the workspace that the command builds when they are asked for, and starts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Once;

use local_cloud::{Error, Progress};
use tokio::process::Command;

use crate::{interrupted, refuse};

/// What is told of a build's steps.
type Steps<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Builds a program, tells `patience` where that takes time, and starts it. The exit code
/// is the program's, which has said why.
pub fn run(
    patience: &str,
    build: impl AsyncFnOnce(Steps<'_>) -> Result<PathBuf, Error>,
    command: impl FnOnce(&Path) -> Command,
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
        let folder = build(&steps).await?;
        let mut command = command(&folder);
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        let status = command.kill_on_drop(true).status().await;
        let status = status.map_err(|error| Error(format!("{program}: {error}")))?;
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
