//! From GitHub to a temporary file, every byte counted and hashed on its way.

use commons_domain::names::{RepoName, Sha256};
use commons_github::{Artifact, GitHub};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256 as Hasher};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// A downloaded artifact.
#[derive(Debug)]
pub struct Fetched {
    /// Its bytes.
    pub file: NamedTempFile,
    /// Their sum.
    pub sha256: Sha256,
    /// How many.
    pub size: u64,
    /// Whether it is a zip, by Content-Type.
    pub is_zip: bool,
    /// Its own name, for one that is no zip.
    pub file_name: Option<String>,
}

/// Why an artifact did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// GitHub could not be seen, or refused.
    #[error(transparent)]
    GitHub(#[from] commons_github::Error),
    /// Fewer or more bytes than were announced.
    #[error("artifact {artifact} was cut short: {got} of {announced} bytes came")]
    Truncated {
        /// Its name.
        artifact: String,
        /// Announced bytes.
        announced: u64,
        /// Received bytes.
        got: u64,
    },
    /// The temporary file could not be written.
    #[error("a temporary file: {0}")]
    Disk(#[from] std::io::Error),
}

/// Downloads one artifact. Its length is checked here, its digest by the caller.
pub async fn fetch(
    github: &GitHub,
    repository: &RepoName,
    artifact: &Artifact,
) -> Result<Fetched, FetchError> {
    let mut download = github.download_artifact(repository, artifact.id).await?;
    let file = NamedTempFile::new()?;
    let mut to = tokio::fs::File::from_std(file.reopen()?);
    let mut hasher = Hasher::new();
    let mut got = 0;
    while let Some(chunk) = download.body.next().await {
        let chunk = chunk?;
        hasher.update(&chunk);
        got += chunk.len() as u64;
        to.write_all(&chunk).await?;
    }
    to.flush().await?;
    if let Some(announced) = download
        .content_length
        .filter(|announced| *announced != got)
    {
        return Err(FetchError::Truncated {
            artifact: artifact.name.clone(),
            announced,
            got,
        });
    }
    let is_zip = download
        .content_type
        .as_deref()
        .is_none_or(|kind| kind.contains("zip"));
    Ok(Fetched {
        file,
        sha256: Sha256::from_bytes(hasher.finalize().into()),
        size: got,
        is_zip,
        file_name: download.file_name,
    })
}
