//! What a release is made of: the files that the builds collected. What GitHub would
//! refuse of them is known before the first byte is sent.

use std::collections::BTreeMap;

use commons_artifacts::{AssetList, Bytes};
use commons_domain::build::Build;
use commons_domain::documents::{self, Artifact, Asset};
use commons_domain::names::{Sha256, github_asset_name};
use commons_github::{LARGEST_ASSET, MOST_ASSETS};
use commons_runtime::{Stage, StageError};

/// One file to publish.
#[derive(Debug, Clone)]
pub struct File {
    /// Its name on GitHub.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256,
    /// Its bytes.
    pub content: Content,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In the bucket, under this key.
    Object(String),
    /// Here.
    Text(Bytes),
}

impl File {
    /// A document of the release's own.
    pub fn text(name: &str, text: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            size: text.len() as u64,
            sha256: Sha256::of(&text),
            content: Content::Text(text.into()),
        }
    }
}

/// A file in the bucket, and who built it.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its name on GitHub, what it is, and where it came from.
    pub asset: Asset,
    /// Its key in the bucket.
    key: String,
}

impl Built {
    /// What is to be published.
    pub fn file(&self) -> File {
        File {
            name: self.asset.name.clone(),
            size: self.asset.size,
            sha256: self.asset.sha256.clone(),
            content: Content::Object(self.key.clone()),
        }
    }
}

/// Every collected file, by the name that it gets on GitHub. The asset lists are
/// checked against the sums in the table.
pub async fn collected(stage: &Stage, builds: &[Build]) -> Result<Vec<Built>, StageError> {
    let mut files: BTreeMap<String, Built> = BTreeMap::new();
    let mut faults = Vec::new();
    for build in builds {
        for built in of_build(stage, build).await? {
            let name = &built.asset.name;
            faults.extend(fault(&built));
            match files.get(name) {
                Some(other) if other.asset.sha256 != built.asset.sha256 => {
                    faults.push(collision(other, &built))
                }
                Some(_) => {}
                None => {
                    files.insert(name.clone(), built);
                }
            }
        }
    }
    let count = files.len() + documents::count(stage.signer.is_some());
    if count > MOST_ASSETS {
        faults.push(format!(
            "the release has {count} files, and GitHub takes {MOST_ASSETS}: upload fewer per build"
        ));
    }
    if faults.is_empty() {
        Ok(files.into_values().collect())
    } else {
        Err(StageError::Refused(faults.join("; ")))
    }
}

/// What GitHub would not take as it is.
fn fault(built: &Built) -> Option<String> {
    let Asset {
        component,
        name,
        size,
        ..
    } = &built.asset;
    if documents::is_document(name) {
        return Some(format!(
            "{component} built a file named {name}, which the release itself needs: give it an asset_prefix"
        ));
    }
    match *size {
        0 => Some(format!(
            "{name} of {component} is empty, and GitHub takes no empty files"
        )),
        size if size >= LARGEST_ASSET => Some(format!(
            "{name} of {component} has {size} bytes, and GitHub takes less than {LARGEST_ASSET}"
        )),
        _ => None,
    }
}

/// Two files of one name: GitHub has given it to both, or they have it.
fn collision(one: &Built, other: &Built) -> String {
    let told = |built: &Built| {
        let path = &built.asset.artifact.path;
        format!("{} ({path})", built.asset.component)
    };
    format!(
        "{} and {} both built an asset named {} at GitHub, with different contents: give one an asset_prefix",
        told(one),
        told(other),
        one.asset.name
    )
}

async fn of_build(stage: &Stage, build: &Build) -> Result<Vec<Built>, StageError> {
    let Some(collected) = &build.collected else {
        return Ok(Vec::new());
    };
    let bytes = stage.objects.get_bytes(&collected.key).await;
    let bytes = bytes.map_err(|error| StageError::Unavailable(error.to_string()))?;
    if Sha256::of(&bytes) != collected.sha256 {
        return Err(StageError::VerificationFailed(format!(
            "the asset list {} is not the one that was collected",
            collected.key
        )));
    }
    let list: AssetList = serde_json::from_slice(&bytes).map_err(|error| {
        StageError::Internal(format!(
            "the asset list {} cannot be read: {error}",
            collected.key
        ))
    })?;
    let built = |asset: commons_artifacts::Asset| Built {
        asset: Asset {
            name: github_asset_name(&asset.name),
            size: asset.size,
            sha256: asset.sha256,
            component: build.component.clone(),
            repository: build.repository.clone(),
            commit: build.pin.clone(),
            run_id: list.run_id,
            run_attempt: list.run_attempt,
            artifact: Artifact {
                id: asset.artifact.id,
                name: asset.artifact.name,
                digest: asset.artifact.digest,
                path: asset.path_in_artifact,
            },
        },
        key: asset.key,
    };
    Ok(list.assets.into_iter().map(built).collect())
}
