//! The release's files: what the builds collected and their sums, uploaded and
//! compared with what GitHub says it has.

use std::collections::BTreeMap;

use commons_artifacts::AssetList;
use commons_domain::build::Build;
use commons_domain::names::{Sha256, github_asset_name};
use commons_domain::notes;
use commons_domain::release::Release;
use commons_domain::sums;
use commons_domain::times::BUSY_WAIT;
use commons_github::{Asset, Release as GitHubRelease};
use commons_runtime::{Stage, StageError};

use crate::limits::{Pause, Writes};

/// The sums over every other asset.
const SUMS: &str = "SHA256SUMS";

/// One file to publish.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name on GitHub.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its sum.
    pub sha256: Sha256,
    /// S3 key.
    pub key: String,
    /// Who built it.
    pub component: String,
}

/// Every collected file, by the name that it gets on GitHub. The asset lists are
/// checked against the sums in the table.
pub async fn wanted(stage: &Stage, builds: &[Build]) -> Result<Vec<Wanted>, StageError> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for build in builds {
        let Some(collected) = &build.collected else {
            continue;
        };
        let bytes = stage
            .objects
            .get_bytes(&collected.key)
            .await
            .map_err(|error| StageError::Unavailable(error.to_string()))?;
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
        for asset in list.assets {
            let name = github_asset_name(&asset.name);
            let file = Wanted {
                name: name.clone(),
                size: asset.size,
                sha256: asset.sha256,
                key: asset.key,
                component: build.component.clone(),
            };
            match wanted.get(&name) {
                Some(other) if other.sha256 != file.sha256 => {
                    return Err(StageError::Refused(format!(
                        "{} and {} both built an asset named {name}, with different contents: give one an asset_prefix",
                        other.component, file.component
                    )));
                }
                Some(_) => {}
                None => {
                    wanted.insert(name, file);
                }
            }
        }
    }
    if wanted.contains_key(SUMS) {
        return Err(StageError::Refused(format!(
            "a component built a file named {SUMS}, which the release itself needs: give it an asset_prefix"
        )));
    }
    Ok(wanted.into_values().collect())
}

/// Uploads what is not there yet, then the sums over the names that GitHub gave. In a
/// draft that is `known` to be ours, what an earlier owner uploaded and nothing builds
/// any more is deleted.
pub async fn upload(
    stage: &Stage,
    release: &Release,
    draft: &GitHubRelease,
    known: bool,
    wanted: &[Wanted],
    writes: &mut Writes<'_>,
) -> Result<Vec<Wanted>, Pause> {
    let repository = &stage.config.release_repository;
    let present = stage.github.release_assets(repository, draft.id).await?;
    if known && draft.draft {
        delete_left_over(stage, release, &present, wanted, writes).await?;
    }
    let mut done = Vec::new();
    for file in wanted {
        let (length, body) = stage
            .objects
            .get_stream(&file.key)
            .await
            .map_err(|error| StageError::Unavailable(error.to_string()))?;
        if length != file.size {
            return Err(StageError::VerificationFailed(format!(
                "{} has {length} bytes in S3, not {}",
                file.key, file.size
            ))
            .into());
        }
        let name = put(stage, draft, file, &present, reqwest_body(body), writes).await?;
        done.push(Wanted {
            name,
            ..file.clone()
        });
    }
    let names: Vec<(String, Sha256)> = done
        .iter()
        .map(|file| (file.name.clone(), file.sha256.clone()))
        .collect();
    let text = sums::render(&names).into_bytes();
    let file = Wanted {
        name: SUMS.into(),
        size: text.len() as u64,
        sha256: Sha256::of(&text),
        key: String::new(),
        component: String::new(),
    };
    put(stage, draft, &file, &present, text.into(), writes).await?;
    done.push(file);
    Ok(done)
}

/// Deletes our own assets that are not wanted any more. Those of others stay; they
/// are told by `verify`.
async fn delete_left_over(
    stage: &Stage,
    release: &Release,
    present: &[Asset],
    wanted: &[Wanted],
    writes: &mut Writes<'_>,
) -> Result<(), Pause> {
    let left_over: Vec<&Asset> = present
        .iter()
        .filter(|asset| asset.name != SUMS && !wanted.iter().any(|w| w.name == asset.name))
        .collect();
    if left_over.is_empty() {
        return Ok(());
    }
    let me = stage.github.login().await?;
    for asset in left_over {
        if asset.uploader.as_ref() == Some(&me) {
            writes.turn().await?;
            let why = format!(
                "{} is deleted from the draft: nothing builds it",
                asset.name
            );
            let told = stage.store.tell_of_release(release, &why).await;
            told.map_err(StageError::from)?;
            let repository = &stage.config.release_repository;
            stage.github.delete_asset(repository, asset.id).await?;
        }
    }
    Ok(())
}

fn reqwest_body(body: commons_artifacts::ByteStream) -> commons_github::Body {
    commons_github::Body::wrap_stream(commons_artifacts::chunks(body))
}

/// Makes one asset be there; answers its name on GitHub.
async fn put(
    stage: &Stage,
    draft: &GitHubRelease,
    file: &Wanted,
    present: &[Asset],
    body: commons_github::Body,
    writes: &mut Writes<'_>,
) -> Result<String, Pause> {
    let repository = &stage.config.release_repository;
    if let Some(there) = present.iter().find(|asset| asset.name == file.name) {
        if is_same(there, file) {
            return Ok(there.name.clone());
        }
        if !draft.draft {
            let why = format!(
                "{} of the published release is not what was collected",
                file.name
            );
            return Err(StageError::VerificationFailed(why).into());
        }
        let me = stage.github.login().await?;
        if there
            .uploader
            .as_ref()
            .is_some_and(|uploader| *uploader != me)
        {
            let why = format!(
                "{} of the draft is not what was collected, and was not uploaded here: delete it",
                file.name
            );
            return Err(StageError::VerificationFailed(why).into());
        }
        writes.turn().await?;
        stage.github.delete_asset(repository, there.id).await?;
    } else if !draft.draft {
        let why = format!("{} is missing in the published release", file.name);
        return Err(StageError::VerificationFailed(why).into());
    }
    writes.turn().await?;
    let kind = "application/octet-stream";
    let uploaded = stage
        .github
        .upload_asset(&draft.upload_url, &file.name, kind, file.size, body)
        .await;
    let asset = match uploaded {
        // One that was sent before has arrived meanwhile: the next call compares it.
        Err(error) if error.is_already_there() => return Err(Pause::Again { wait: BUSY_WAIT }),
        uploaded => uploaded?,
    };
    if !is_same(&asset, file) {
        let why = format!(
            "GitHub has {} as {:?}, {} bytes; {} was sent",
            asset.name, asset.digest, asset.size, file.sha256
        );
        return Err(StageError::VerificationFailed(why).into());
    }
    Ok(asset.name)
}

fn is_same(asset: &Asset, file: &Wanted) -> bool {
    let digest = asset
        .digest
        .as_deref()
        .and_then(|digest| Sha256::parse(digest).ok());
    asset.state == "uploaded"
        && asset.size == file.size
        && digest.is_none_or(|digest| digest == file.sha256)
}

/// The assets on GitHub are exactly ours: names, sizes, digests, all uploaded.
pub async fn verify(
    stage: &Stage,
    id: u64,
    ours: &[Wanted],
) -> Result<Vec<notes::Artifact>, Pause> {
    let assets = stage
        .github
        .release_assets(&stage.config.release_repository, id)
        .await?;
    let mut faults: Vec<String> = Vec::new();
    for asset in &assets {
        match ours.iter().find(|file| file.name == asset.name) {
            Some(file) if is_same(asset, file) => {}
            Some(_) => faults.push(format!("{} differs from what was collected", asset.name)),
            None => faults.push(format!("{} is not ours", asset.name)),
        }
    }
    let missing = ours
        .iter()
        .filter(|file| !assets.iter().any(|asset| asset.name == file.name));
    faults.extend(missing.map(|file| format!("{} is missing", file.name)));
    if !faults.is_empty() {
        return Err(StageError::VerificationFailed(format!(
            "the release's assets: {}",
            faults.join("; ")
        ))
        .into());
    }
    Ok(ours
        .iter()
        .filter(|file| file.name != SUMS)
        .map(|file| notes::Artifact {
            name: file.name.clone(),
            size: file.size,
            sha256: file.sha256.clone(),
            component: file.component.clone(),
        })
        .collect())
}
