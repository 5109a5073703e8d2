//! Collecting one run: choose, download, verify, unpack, upload, list.

use std::collections::BTreeMap;
use std::time::Duration;

use commons_artifacts::{
    ArtifactRef, Asset, AssetList, Fetched, Store, Unpacked, Verification, binaries, fetch,
    list_key, select, unpack,
};
use commons_domain::names::{ReleaseKey, RepoName, Sha256};
use commons_github::{Artifact, GitHub};

/// How often a transfer that was cut short is begun again in one call.
const TRANSFER_TRIES: u32 = 3;

/// What to collect.
#[derive(Debug, Clone)]
pub struct Job {
    /// The release.
    pub release_key: ReleaseKey,
    /// The component.
    pub component: String,
    /// Its repository.
    pub repository: RepoName,
    /// The green run.
    pub run_id: u64,
    /// Its attempt.
    pub run_attempt: u32,
    /// Globs over artifact names.
    pub artifacts: Vec<String>,
    /// Programs that must be there.
    pub binaries: Vec<String>,
    /// Put before each asset's name.
    pub asset_prefix: Option<String>,
    /// The component's version.
    pub version: String,
}

/// Why a run was not collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What was built is not what it should be: the build fails.
    #[error(transparent)]
    Verification(#[from] Verification),
    /// GitHub refused.
    #[error("{0}")]
    Refused(String),
    /// GitHub, S3 or the disk could not be used: try again.
    #[error("{why}")]
    CannotSee {
        /// What happened.
        why: String,
        /// What GitHub asks to wait.
        retry_after: Option<Duration>,
    },
}

impl From<commons_github::Error> for CollectError {
    fn from(error: commons_github::Error) -> Self {
        let why = error.to_string();
        if error.is_cannot_see() {
            let retry_after = error.retry_after();
            Self::CannotSee { why, retry_after }
        } else {
            Self::Refused(why)
        }
    }
}

impl CollectError {
    fn cannot_see(error: &impl std::fmt::Display) -> Self {
        Self::CannotSee {
            why: error.to_string(),
            retry_after: None,
        }
    }
}

/// One file on its way to being an asset.
struct Candidate {
    artifact: ArtifactRef,
    file: Unpacked,
    members: Vec<String>,
}

/// Collects a run; the list, its S3 key, and the sum of its bytes.
pub async fn collect_run(
    github: &GitHub,
    s3: &Store,
    job: &Job,
) -> Result<(AssetList, String, Sha256), CollectError> {
    let mut assets = Vec::new();
    if !job.artifacts.is_empty() || !job.binaries.is_empty() {
        let found = github.artifacts(&job.repository, job.run_id).await?;
        let chosen = select::choose(&found, &job.artifacts)
            .map_err(|error| CollectError::Refused(error.to_string()))?;
        let mut candidates = Vec::new();
        for artifact in &chosen {
            candidates.extend(open(github, job, artifact).await?);
        }
        check_binaries(job, &candidates)?;
        assets = upload(s3, job, candidates).await?;
    }
    let list = AssetList {
        component: job.component.clone(),
        run_id: job.run_id,
        run_attempt: job.run_attempt,
        assets,
    };
    let key = list_key(
        &job.release_key,
        &job.component,
        job.run_id,
        job.run_attempt,
    );
    let sha256 = s3
        .put_json(&key, &list)
        .await
        .map_err(|error| CollectError::cannot_see(&error))?;
    Ok((list, key, sha256))
}

/// Downloads and unpacks one artifact. Where no glob chose it, it counts only if
/// it holds a declared binary.
async fn open(
    github: &GitHub,
    job: &Job,
    artifact: &Artifact,
) -> Result<Vec<Candidate>, CollectError> {
    if artifact.expired {
        return Err(Verification::Expired {
            artifact: artifact.name.clone(),
            at: artifact.expires_at,
        }
        .into());
    }
    let fetched = download(github, job, artifact).await?;
    let announced = artifact.digest.as_deref().map(Sha256::parse).transpose();
    let announced = announced
        .map_err(|error| CollectError::Refused(format!("artifact {}: {error}", artifact.name)))?;
    if let Some(announced) = announced
        .clone()
        .filter(|announced| *announced != fetched.sha256)
    {
        let artifact = artifact.name.clone();
        return Err(Verification::DigestMismatch {
            artifact,
            announced,
            got: fetched.sha256,
        }
        .into());
    }
    let reference = ArtifactRef {
        id: artifact.id,
        name: artifact.name.clone(),
        digest: announced,
    };
    let candidates = files(&artifact.name, fetched, reference).await?;
    let holds_one = candidates.iter().any(|candidate| {
        let name = binaries::base_name(&candidate.file.path);
        job.binaries
            .iter()
            .any(|binary| binaries::holds(binary, &job.version, &name, &candidate.members))
    });
    if job.artifacts.is_empty() && !holds_one {
        Ok(Vec::new())
    } else {
        Ok(candidates)
    }
}

async fn download(
    github: &GitHub,
    job: &Job,
    artifact: &Artifact,
) -> Result<Fetched, CollectError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match fetch(github, &job.repository, artifact).await {
            Ok(fetched) => return Ok(fetched),
            Err(commons_artifacts::FetchError::GitHub(commons_github::Error::Gone { .. })) => {
                return Err(Verification::Expired {
                    artifact: artifact.name.clone(),
                    at: artifact.expires_at,
                }
                .into());
            }
            Err(commons_artifacts::FetchError::GitHub(error)) if !error.is_cannot_see() => {
                return Err(error.into());
            }
            Err(commons_artifacts::FetchError::GitHub(error)) if tries == TRANSFER_TRIES => {
                return Err(error.into());
            }
            Err(error) if tries == TRANSFER_TRIES => return Err(CollectError::cannot_see(&error)),
            Err(error) => {
                tracing::warn!(%error, artifact = %artifact.name, "the transfer is begun again")
            }
        }
    }
}

/// Unpacks off the async threads.
async fn files(
    name: &str,
    fetched: Fetched,
    artifact: ArtifactRef,
) -> Result<Vec<Candidate>, CollectError> {
    let name = name.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let unpacked = if fetched.is_zip {
            unpack(&name, fetched.file.path())?
        } else {
            let path = fetched
                .file_name
                .as_deref()
                .map_or_else(|| name.clone(), binaries::base_name);
            vec![Unpacked {
                path,
                file: fetched.file,
                size: fetched.size,
                sha256: fetched.sha256,
            }]
        };
        let candidates = unpacked.into_iter().map(|file| {
            let members = binaries::members(&file.path, file.file.path());
            Candidate {
                artifact: artifact.clone(),
                file,
                members,
            }
        });
        Ok::<_, Verification>(candidates.collect())
    });
    let candidates = work
        .await
        .map_err(|error| CollectError::cannot_see(&error))?;
    Ok(candidates?)
}

fn check_binaries(job: &Job, candidates: &[Candidate]) -> Result<(), Verification> {
    for binary in &job.binaries {
        let there = candidates.iter().any(|candidate| {
            let name = binaries::base_name(&candidate.file.path);
            binaries::holds(binary, &job.version, &name, &candidate.members)
        });
        if !there {
            let names: Vec<&str> = candidates
                .iter()
                .map(|candidate| candidate.file.path.as_str())
                .collect();
            let looked_in = if names.is_empty() {
                "no artifact".to_owned()
            } else {
                names.join(", ")
            };
            let component = job.component.clone();
            return Err(Verification::MissingBinary {
                component,
                binary: binary.clone(),
                looked_in,
            });
        }
    }
    Ok(())
}

/// Uploads each file under its asset name; one content of a name once, two
/// contents of a name never.
async fn upload(
    s3: &Store,
    job: &Job,
    candidates: Vec<Candidate>,
) -> Result<Vec<Asset>, CollectError> {
    let mut assets: BTreeMap<String, Asset> = BTreeMap::new();
    let prefix = job.asset_prefix.as_deref().unwrap_or_default();
    let folder = format!(
        "{}/{}/{}.{}",
        job.release_key, job.component, job.run_id, job.run_attempt
    );
    let place =
        |artifact: &ArtifactRef, path: &str| format!("{path} of artifact {}", artifact.name);
    for Candidate { artifact, file, .. } in candidates {
        let name = format!("{prefix}{}", binaries::base_name(&file.path));
        match assets.get(&name) {
            Some(first) if first.sha256 == file.sha256 => continue,
            Some(first) => {
                let first = place(&first.artifact, &first.path_in_artifact);
                let second = place(&artifact, &file.path);
                return Err(Verification::NameClash {
                    name,
                    first,
                    second,
                }
                .into());
            }
            None => {}
        }
        let key = format!("{folder}/{name}");
        s3.put_file(&key, file.file.path(), &file.sha256)
            .await
            .map_err(|error| CollectError::cannot_see(&error))?;
        let asset = Asset {
            name: name.clone(),
            size: file.size,
            sha256: file.sha256,
            key,
            artifact,
            path_in_artifact: file.path,
        };
        assets.insert(name, asset);
    }
    Ok(assets.into_values().collect())
}
