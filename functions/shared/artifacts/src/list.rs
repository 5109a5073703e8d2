//! A build's asset list: one JSON object in S3.

use commons_domain::names::{ReleaseKey, Sha256};
use serde::{Deserialize, Serialize};

/// The artifact that an asset came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// GitHub's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// GitHub's digest, if it announced one.
    pub digest: Option<Sha256>,
}

/// One verified file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// Its name, `asset_prefix` included.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: Sha256,
    /// S3 key.
    pub key: String,
    /// Where it came from.
    pub artifact: ArtifactRef,
    /// Its path there.
    pub path_in_artifact: String,
}

/// Everything that one build contributes, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetList {
    /// The component.
    pub component: String,
    /// The run that built it.
    pub run_id: u64,
    /// Its attempt.
    pub run_attempt: u32,
    /// The files.
    pub assets: Vec<Asset>,
}

/// The S3 key of a build's asset list; `<…>/<run id>.<attempt>/<file>` are its files.
pub fn list_key(release: &ReleaseKey, component: &str, run_id: u64, run_attempt: u32) -> String {
    format!("{release}/{component}/{run_id}.{run_attempt}.assets.json")
}
