//! Other people's programs, for tests that use what we stand in for as people do. Where
//! one is not to be had the test says `skipped:`, and CI takes that for a failure.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

const AWS_CLI: &str = "awscli==1.46.2";
/// What the in-toto project's own tools open envelopes with.
const SECURE_SYSTEMS_LIB: &str = "securesystemslib[crypto]==1.6.0";

/// GitHub's CLI, as Debian packages it.
pub fn gh() -> Option<PathBuf> {
    installed("gh")
}

/// A program that Debian packages under its name.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        crate::skipped(&format!("{name} is not installed (apt-get install {name})"));
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
    Ok(environment("aws", AWS_CLI)?.join("bin/aws"))
}

/// A Python that has securesystemslib, made once.
pub fn secure_systems_lib() -> Option<PathBuf> {
    match environment("securesystemslib", SECURE_SYSTEMS_LIB) {
        Ok(folder) => Some(folder.join("bin/python")),
        Err(why) => {
            crate::skipped(&format!("securesystemslib cannot be installed: {why}"));
            None
        }
    }
}

/// A Python environment with one package.
fn environment(name: &str, package: &str) -> Result<PathBuf, String> {
    made_once(name, package, |venv| {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(venv))?;
        let install = ["install", "--quiet", "--disable-pip-version-check", package];
        run(Command::new(venv.join("bin/pip")).args(install))
    })
}

/// OpenSSL's own program.
pub fn openssl() -> Option<PathBuf> {
    installed("openssl")
}

/// GitHub's own clients for Apps: a folder whose scripts may import them, made once.
pub fn octokit() -> Option<PathBuf> {
    let packages = ["@octokit/auth-app@7.2.2", "@octokit/request@9.2.4"];
    match made_once("octokit", &packages.join("\n"), |folder| {
        npm(folder, &packages)
    }) {
        Ok(folder) => Some(folder),
        Err(why) => {
            crate::skipped(&format!("GitHub's clients cannot be installed: {why}"));
            None
        }
    }
}

/// Installs packages of npm below a folder.
pub(crate) fn npm(folder: &Path, packages: &[&str]) -> Result<(), String> {
    let install = [
        "install",
        "--silent",
        "--no-save",
        "--no-audit",
        "--no-fund",
    ];
    let mut npm = Command::new("npm");
    npm.args(install).arg("--prefix").arg(folder).args(packages);
    run(&mut npm)
}

/// A folder below `target/oracles` that is made if it is not there yet, or was made of
/// something else. Processes wait for each other.
pub(crate) fn made_once(
    name: &str,
    of: &str,
    make: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let all = local_cloud::target().join("oracles");
    let folder = all.join(name);
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let lock = File::create(all.join(format!("{name}.lock"))).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let marker = folder.join("made-of.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|there| there == of) {
        return Ok(folder);
    }
    make(&folder)?;
    std::fs::write(&marker, of).map_err(|error| error.to_string())?;
    Ok(folder)
}

pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |why: &str| format!("{program}: {why}");
    let output = command
        .output()
        .map_err(|error| failed(&error.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(failed(why.lines().last().unwrap_or_default()))
    }
}
