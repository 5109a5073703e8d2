//! One artifact: received, or known to be received. What was verified is written down, and
//! not fetched again by a call that follows.

use std::time::Duration;

use commons_artifacts::intake::File;
use commons_artifacts::{ArtifactRef, StoreError, Verification};
use commons_domain::names::Sha256;
use commons_github::{Artifact, Error};
use serde::{Deserialize, Serialize};

use crate::transfer::Transfer;
use crate::{CollectError, Job, Means};

/// How often a transfer that was cut short is begun again in one call.
const TRIES: u32 = 3;
/// What is gone by then is as good as gone.
const EXPIRES_SOON: Duration = Duration::from_secs(3600);

/// An artifact that has come, and is what GitHub announced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    /// The artifact.
    pub artifact: ArtifactRef,
    /// Its files, and their keys.
    pub files: Vec<(File, String)>,
}

/// Receives one artifact, or reads what a call before this one has received.
pub async fn receive(
    means: &Means<'_>,
    job: &Job,
    artifact: &Artifact,
) -> Result<Received, CollectError> {
    if !means.may_begin() {
        return Err(CollectError::TimeUp);
    }
    let s3 = means.s3;
    let record = job.record_key(artifact.id);
    let known = s3.get_json(&record).await;
    if let Some(received) = known.map_err(|error| CollectError::cannot_see(&error))? {
        return Ok(received);
    }
    let gone = || Verification::Expired {
        artifact: artifact.name.clone(),
        at: artifact.expires_at,
    };
    let near = |at| means.now() + EXPIRES_SOON > at;
    if artifact.expired || artifact.expires_at.is_some_and(near) {
        return Err(gone().into());
    }
    let announced = artifact.digest.as_deref().map(Sha256::parse).transpose();
    let announced = announced
        .map_err(|error| CollectError::Refused(format!("artifact {}: {error}", artifact.name)))?;
    let mut tries = 0;
    let files = loop {
        tries += 1;
        let transfer = Transfer {
            means,
            job,
            artifact,
            announced: announced.as_ref(),
        };
        match transfer.run().await {
            Ok(files) => break files,
            Err(Failed::Collect(error)) => return Err(error),
            Err(Failed::GitHub(Error::Gone { .. })) => return Err(gone().into()),
            Err(Failed::GitHub(error)) if !matches!(error, Error::Unavailable { .. }) => {
                return Err(error.into());
            }
            Err(failed) if tries == TRIES => return Err(failed.into()),
            Err(_) if means.is_over() => return Err(CollectError::TimeUp),
            Err(failed) => {
                let error = CollectError::from(failed);
                tracing::warn!(%error, artifact = %artifact.name, "the transfer is begun again");
            }
        }
    };
    let received = Received {
        artifact: ArtifactRef {
            id: artifact.id,
            name: artifact.name.clone(),
            digest: announced,
        },
        files,
    };
    let written = s3.put_json(&record, &received).await;
    written.map_err(|error| CollectError::cannot_see(&error))?;
    means.has_received();
    Ok(received)
}

/// Why a transfer came to nothing.
pub(crate) enum Failed {
    /// GitHub refused, or broke off.
    GitHub(Error),
    /// Other bytes came than were announced: once more.
    Broken(Verification),
    /// Once more changes nothing.
    Collect(CollectError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::GitHub(error)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Collect(CollectError::cannot_see(&error))
    }
}

impl From<Failed> for CollectError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::GitHub(error) => error.into(),
            // Cut short is no news of what was built; another content is.
            Failed::Broken(error @ Verification::Truncated { .. }) => Self::cannot_see(&error),
            Failed::Broken(error) => error.into(),
            Failed::Collect(error) => error,
        }
    }
}
