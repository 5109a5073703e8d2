//! The last published release, and what it was built from: by the table, else by what it
//! says in its own `release-manifest.json`.

use std::collections::BTreeMap;

use commons_domain::build::BuildStatus;
use commons_domain::documents::RELEASE_MANIFEST;
use commons_domain::names::{ReleaseKey, Version};
use commons_domain::notes::{Published, last_before};
use commons_domain::release::Release;
use commons_github::{Error, Release as GitHubRelease};
use commons_runtime::{Stage, StageError};
use serde::Deserialize;

use crate::limits::Pause;

/// The manifest of ten thousand components is smaller; in bytes.
const LARGEST_MANIFEST: usize = 32 << 20;

/// The last published release before one.
pub struct Previous {
    /// At GitHub.
    pub release: GitHubRelease,
    /// The commit of each of its components, if that is known.
    pub pins: Option<BTreeMap<String, String>>,
}

/// The last published release before this one, if there is one.
pub async fn find(stage: &Stage, release: &Release) -> Result<Option<Previous>, Pause> {
    let all = stage.github.releases(&stage.config.release_repository);
    let mut all: Vec<GitHubRelease> = all.await?.into_iter().filter(|r| !r.draft).collect();
    let published: Vec<Published> = all
        .iter()
        .filter_map(|found| {
            Some(Published {
                id: found.id,
                version: Version::new(&found.tag_name).ok()?,
                prerelease: found.prerelease,
                at: found.published_at,
            })
        })
        .collect();
    let version = release.key.version();
    let Some(last) = last_before(&version, release.prerelease, &published) else {
        return Ok(None);
    };
    let Some(found) = all.iter().position(|found| found.id == last.id) else {
        return Ok(None);
    };
    let found = all.swap_remove(found);
    let pins = match in_the_table(stage, &found, &last.version).await? {
        Some(pins) => Some(pins),
        None => in_its_manifest(stage, &found).await?,
    };
    Ok(Some(Previous {
        release: found,
        pins,
    }))
}

/// The pins of its builds, where it is the release that the table knows, and whole.
async fn in_the_table(
    stage: &Stage,
    found: &GitHubRelease,
    version: &Version,
) -> Result<Option<BTreeMap<String, String>>, StageError> {
    let key = ReleaseKey::of(&stage.config.release_repository, version);
    let stored = stage.store.release(&key).await?;
    let Some(stored) = stored.filter(|r| r.github_release_id == Some(found.id)) else {
        return Ok(None);
    };
    let builds = stage.store.builds(&key).await?.into_iter();
    let builds: Vec<_> = builds
        .filter(|build| build.generation == stored.generation)
        .collect();
    let whole = builds.iter().all(|b| b.status == BuildStatus::Collected);
    Ok((whole && !builds.is_empty()).then(|| {
        let pins = builds.into_iter().map(|build| (build.component, build.pin));
        pins.collect()
    }))
}

/// What is read of the manifest of a release.
#[derive(Deserialize)]
struct Manifest {
    components: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    commit: String,
}

/// Nothing where it has no manifest, or one that cannot be read: then its changes are not
/// listed, and that is told.
async fn in_its_manifest(
    stage: &Stage,
    found: &GitHubRelease,
) -> Result<Option<BTreeMap<String, String>>, Pause> {
    let Some(asset) = found
        .assets
        .iter()
        .find(|asset| asset.name == RELEASE_MANIFEST)
    else {
        return Ok(None);
    };
    let repository = &stage.config.release_repository;
    let read = stage
        .github
        .release_asset(repository, asset.id, LARGEST_MANIFEST);
    let bytes = match read.await {
        Ok(bytes) => bytes,
        Err(error) if error.is_cannot_see() => return Err(error.into()),
        Err(error @ Error::Unauthorized { .. }) => return Err(error.into()),
        Err(error) => {
            tracing::warn!(%error, "the last release's manifest cannot be read");
            return Ok(None);
        }
    };
    match serde_json::from_slice::<Manifest>(&bytes) {
        Ok(manifest) => {
            let entries = manifest.components.into_iter();
            Ok(Some(entries.map(|e| (e.name, e.commit)).collect()))
        }
        Err(error) => {
            tracing::warn!(%error, "the last release's manifest cannot be read");
            Ok(None)
        }
    }
}
