//! GitHub's side held against ours: the assets are exactly what was collected and
//! written, and the tag is at the commit that was built.

use commons_domain::release::Release;
use commons_github::Asset;
use commons_runtime::{Stage, StageError};

use crate::files::File;
use crate::limits::Pause;
use crate::upload::{digest, is_same};

/// Every fault of the release at GitHub is told at once.
pub async fn verify(stage: &Stage, release: &Release, id: u64, ours: &[File]) -> Result<(), Pause> {
    let mut faults = assets(stage, id, ours).await?;
    faults.extend(tag(stage, release).await?);
    if faults.is_empty() {
        return Ok(());
    }
    let why = format!("the release at GitHub: {}", faults.join("; "));
    Err(StageError::VerificationFailed(why).into())
}

/// Names, sizes, digests, all uploaded, and nothing else.
async fn assets(stage: &Stage, id: u64, ours: &[File]) -> Result<Vec<String>, Pause> {
    let repository = &stage.config.release_repository;
    let assets = stage.github.release_assets(repository, id).await?;
    let mut faults = Vec::new();
    for asset in &assets {
        match ours.iter().find(|file| file.name == asset.name) {
            Some(file) if is_same(asset, file) && has_bytes(stage, asset, file).await? => {}
            Some(_) => faults.push(format!("{} differs from what was collected", asset.name)),
            None => faults.push(format!("{} is not ours", asset.name)),
        }
    }
    let missing = ours
        .iter()
        .filter(|file| !assets.iter().any(|asset| asset.name == file.name));
    faults.extend(missing.map(|file| format!("{} is missing", file.name)));
    Ok(faults)
}

/// Of an asset without a digest the bytes are read.
async fn has_bytes(stage: &Stage, asset: &Asset, file: &File) -> Result<bool, Pause> {
    if digest(asset).is_some() {
        return Ok(true);
    }
    let repository = &stage.config.release_repository;
    let sum = stage.github.asset_sha256(repository, asset.id).await?;
    Ok(sum == file.sha256)
}

/// A draft's tag may be missing: it is made at the pin when the draft is published.
async fn tag(stage: &Stage, release: &Release) -> Result<Option<String>, Pause> {
    let tag = release.key.version();
    let repository = &stage.config.release_repository;
    let at = stage.github.tag(repository, tag.as_str()).await?;
    Ok(match (at, &release.target_commit) {
        (Some(at), Some(target)) if at != *target => Some(format!(
            "its tag {tag} is at commit {at}, and {target} was built"
        )),
        _ => None,
    })
}
