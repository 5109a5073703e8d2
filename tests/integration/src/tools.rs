//! Other people's programs, for tests that use what we stand in for as people do. Where
//! one is not to be had the test says `skipped:`, and CI takes that for a failure.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

const AWS_CLI: &str = "awscli==1.46.2";

/// GitHub's CLI, as Debian packages it.
pub fn gh() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("gh"))
        .find(|program| program.is_file());
    if found.is_none() {
        crate::skipped("gh is not installed (apt-get install gh)");
    }
    found
}

/// The AWS CLI, in an environment of its own below `target/`, made once.
pub fn aws() -> Option<PathBuf> {
    match install_aws() {
        Ok(program) => Some(program),
        Err(why) => {
            crate::skipped(&format!("the AWS CLI cannot be installed: {why}"));
            None
        }
    }
}

fn install_aws() -> Result<PathBuf, String> {
    let folder = local_cloud::target().join("oracles");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let lock = File::create(folder.join("aws.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let venv = folder.join("aws");
    let (program, marker) = (venv.join("bin/aws"), venv.join("packages.txt"));
    if std::fs::read_to_string(&marker).is_ok_and(|there| there == AWS_CLI) {
        return Ok(program);
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    let install = ["install", "--quiet", "--disable-pip-version-check", AWS_CLI];
    run(Command::new(venv.join("bin/pip")).args(install))?;
    std::fs::write(&marker, AWS_CLI).map_err(|error| error.to_string())?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(why.lines().last().unwrap_or_default().to_owned())
    }
}
