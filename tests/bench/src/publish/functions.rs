//! The functions, built as they are deployed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use local_cloud::{FUNCTIONS, Profile};

/// Builds them, and the empty one, in release mode; the folder that holds them.
pub async fn build() -> Result<PathBuf, String> {
    let binaries = [&FUNCTIONS[..], &["empty"]].concat();
    let built = local_cloud::build(Profile::Release, &binaries, &|_| {}).await;
    built.map_err(|error| error.to_string())
}

/// The bytes of a function's zip: its binary as `sam build` deflates it, at zlib's own
/// level.
pub fn zipped(binary: &Path) -> Result<u64, String> {
    let told = |error: std::io::Error| format!("{}: {error}", binary.display());
    let bytes = std::fs::read(binary).map_err(told)?;
    let mut zip = DeflateEncoder::new(Vec::new(), Compression::default());
    zip.write_all(&bytes).map_err(told)?;
    Ok(zip.finish().map_err(told)?.len() as u64)
}
