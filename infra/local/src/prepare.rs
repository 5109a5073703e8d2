//! What must be there before the cloud starts: tools, the Python environment, the
//! built functions.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::Error;
use crate::group::Group;

const REQUIREMENTS: &str = include_str!("../requirements.txt");
/// What an empty target folder grows to by a demo, with some to spare.
const DISK_GB: u64 = 4;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// The Python of the environment.
    pub python: PathBuf,
    /// The repository.
    pub root: PathBuf,
    /// Cargo's target folder: everything that is written is below it.
    pub target: PathBuf,
}

/// What is missing on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    sentences: Vec<String>,
    packages: Vec<&'static str>,
}

impl Missing {
    /// The one line that installs it on Debian, if packages are what is missing.
    pub fn apt_line(&self) -> Option<String> {
        (!self.packages.is_empty()).then(|| format!("apt-get install {}", self.packages.join(" ")))
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences.join("\n"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|_| PathBuf::from("."))
}

/// Cargo's target folder: everything that is made goes there.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Looks for cc, for Python 3.10 or later with venv, and for space on the disk.
pub fn check_prerequisites() -> Result<(), Missing> {
    let works = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    let mut missing = Missing {
        sentences: Vec::new(),
        packages: Vec::new(),
    };
    let mut lacks = |sentence: &str, packages: &[&'static str]| {
        missing.sentences.push(sentence.to_owned());
        missing.packages.extend(packages);
    };
    if !works("cc", &["--version"]) {
        lacks("There is no C compiler (cc).", &["gcc", "libc6-dev"]);
    }
    if !works(
        "python3",
        &["-c", "import sys; sys.exit(sys.version_info < (3, 10))"],
    ) {
        lacks(
            "There is no Python 3.10 or later (python3).",
            &["python3", "python3-venv"],
        );
    } else if !works("python3", &["-c", "import venv, ensurepip"]) {
        lacks("Python has no venv.", &["python3-venv"]);
    }
    let target = target();
    if !target.join("debug/plan").exists()
        && let Some(free) = free_gb(&target)
        && free < DISK_GB
    {
        let sentence = format!(
            "{} has {free} GB free; the build needs {DISK_GB} GB.",
            target.display()
        );
        lacks(&sentence, &[]);
    }
    if missing.sentences.is_empty() {
        Ok(())
    } else {
        Err(missing)
    }
}

/// Free space where `folder` is or will be, in GB; none where it cannot be told.
fn free_gb(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|path| path.exists())?;
    let space = rustix::fs::statvfs(there).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize) / 1_000_000_000)
}

/// Makes the Python environment once; `progress` is told what happens. Callers on
/// one machine wait for each other.
pub async fn ensure_venv(progress: &(dyn Fn(&str) + Send + Sync)) -> Result<Toolchain, Error> {
    let target = target();
    let home = target.join("local-cloud");
    let temporary = home.join("tmp");
    std::fs::create_dir_all(&temporary)
        .map_err(|error| Error::of("the folder target/local-cloud", error))?;
    let lock = std::fs::File::create(home.join("venv.lock"))
        .map_err(|error| Error::of("the venv's lock", error))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .map_err(|error| Error::of("the venv's lock", error))?
        .map_err(|error| Error::of("the venv's lock", error))?;
    let venv = home.join("venv");
    let toolchain = Toolchain {
        python: venv.join("bin/python"),
        root: root(),
        target,
    };
    let marker = venv.join("requirements.txt");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(toolchain);
    }
    progress("setting up Python's environment, about half a minute");
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv)
        .env("TMPDIR", &temporary))
    .await?;
    let requirements = toolchain.root.join("infra/local/requirements.txt");
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
    ];
    run(Command::new(&toolchain.python)
        .args(install)
        .arg(requirements)
        .env("TMPDIR", &temporary))
    .await?;
    std::fs::write(&marker, REQUIREMENTS).map_err(|error| Error::of("the venv's marker", error))?;
    drop(lock);
    Ok(toolchain)
}

async fn run(command: &mut Command) -> Result<(), Error> {
    let what = format!("{:?}", command.as_std().get_program());
    let failed = |error| Error::of(&what, error);
    let output = Group::spawn(command)
        .map_err(failed)?
        .output()
        .await
        .map_err(failed)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error(format!(
            "{what} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

/// One step of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Crates that are done.
    pub done: u64,
    /// The crate that was done last.
    pub name: String,
    /// Whether it was compiled now, not found from an earlier build.
    pub compiled: bool,
}

/// The functions, by the names of their binaries.
pub const FUNCTIONS: [&str; 7] = [
    "webhook", "plan", "dispatch", "poll", "collect", "publish", "settle",
];

/// How binaries are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As `cargo test` does.
    Dev,
    /// As functions are deployed.
    Release,
}

/// Builds binaries of the workspace for this machine; the folder that holds them. With the
/// features that the whole workspace has, so that nothing is compiled twice.
pub async fn build(
    profile: Profile,
    binaries: &[&str],
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<PathBuf, Error> {
    let (arguments, folder): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // `cargo run` and `cargo test` describe their package in these; a build script
    // that reads one would be run again, and all that stands on it built again.
    for (name, _) in std::env::vars_os() {
        let of_package = [
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        let text = name.to_string_lossy();
        if of_package.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
        .args(["build", "--workspace"])
        .args(arguments)
        .args(binaries.iter().flat_map(|name| ["--bin", name]))
        .args(["--message-format", "json-render-diagnostics", "--quiet"])
        .current_dir(root());
    let failed = |error| Error::of("cargo build", error);
    let mut build = Group::spawn(&mut command).map_err(failed)?;
    let stdout = build
        .stdout()
        .ok_or_else(|| Error("cargo build has no output".into()))?;
    let mut lines = BufReader::new(stdout).lines();
    let mut done = 0;
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else {
            continue;
        };
        if message["reason"] == "compiler-artifact" {
            done += 1;
            let name = message["target"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let compiled = message["fresh"] == false;
            progress(Progress {
                done,
                name,
                compiled,
            });
        }
    }
    let output = build.output().await.map_err(failed)?;
    if output.status.success() {
        Ok(target().join(folder))
    } else {
        Err(Error(format!(
            "the build failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}
