//! What a person has for the same work: curl, unzip, sha256sum.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use crate::aws::BUCKET;
use crate::source::Artifact;

/// The sentence that says what is missing, if something is.
pub fn check() -> Result<(), String> {
    let there = |tool: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
    };
    let all = ["curl", "unzip", "sha256sum"];
    let missing: Vec<&str> = all.into_iter().filter(|tool| !there(tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "There is no {}, which collecting is compared with: apt-get install curl unzip coreutils",
        missing.join(", no ")
    ))
}

/// Seconds of `unzip -p ZIP | sha256sum`, one zip after the other.
pub async fn unzip_and_hash(artifacts: &[Artifact]) -> Result<f64, String> {
    let began = Instant::now();
    for artifact in artifacts {
        let failed = |error| format!("unzip -p: {error}");
        let mut unzip = Command::new("unzip")
            .arg("-p")
            .arg(&artifact.archive.file)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let unpacked = unzip.stdout.take();
        let unpacked: Stdio = unpacked
            .ok_or_else(|| "unzip has no output".to_owned())?
            .try_into()
            .map_err(failed)?;
        run(Command::new("sha256sum").stdin(unpacked)).await?;
        if !unzip.wait().await.map_err(failed)?.success() {
            return Err("unzip -p failed".into());
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Seconds of curl, unzip, sha256sum and curl again, one after the other, for one artifact
/// after the other.
pub async fn in_sequence(
    artifacts: &[Artifact],
    source: &str,
    sink: &str,
    folder: &Path,
) -> Result<f64, String> {
    let mut seconds = 0.0;
    for artifact in artifacts {
        let here = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
        let zip = here.path().join("artifact.zip");
        let files = here.path().join("files");
        let began = Instant::now();
        let blob = format!("{source}/blob/{}", artifact.id);
        run(curl().arg("--output").arg(&zip).arg(blob)).await?;
        run(Command::new("unzip")
            .arg("-q")
            .arg("-d")
            .args([&files, &zip]))
        .await?;
        let files = listed(&files)?;
        run(Command::new("sha256sum").args(&files)).await?;
        let mut upload = curl();
        for file in &files {
            // It puts the file's name behind the slash.
            upload.arg("--upload-file").arg(file);
            upload.arg(format!("{sink}/{BUCKET}/in-sequence/{}/", artifact.id));
        }
        run(&mut upload).await?;
        seconds += began.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

fn curl() -> Command {
    let mut curl = Command::new("curl");
    // Nothing of the user's settings or proxies.
    curl.args(["--disable", "--silent", "--show-error", "--fail"]);
    curl.args(["--noproxy", "*"]);
    curl
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(|error| error.to_string())
}

async fn run(command: &mut Command) -> Result<(), String> {
    let name = format!("{:?}", command.as_std().get_program());
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", said.trim()))
}
