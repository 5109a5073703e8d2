//! Files to GitHub: several at a time, each begun in its turn. What is there with our
//! digest is left alone; what is ours and is not, is uploaded anew.

use std::time::Duration;

use commons_artifacts::chunks;
use commons_domain::names::Sha256;
use commons_domain::release::Release;
use commons_domain::times::BUSY_WAIT;
use commons_github::{Asset, Body, Release as GitHubRelease};
use commons_runtime::{Stage, StageError};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{self, StreamExt as _};

use crate::files::{Content, File};
use crate::limits::{Pause, Writes};

/// As many files are sent at once.
const AT_ONCE: usize = 4;
/// An upload is over after a minute, and a second for each of so many bytes.
const SLOWEST: u64 = 4_000_000;

/// A draft, and what is in it.
pub struct Draft<'a> {
    /// What the stage works with.
    pub stage: &'a Stage,
    at_github: &'a GitHubRelease,
    present: Vec<Asset>,
    me: String,
}

impl<'a> Draft<'a> {
    /// Looks what is there.
    pub async fn look(stage: &'a Stage, at_github: &'a GitHubRelease) -> Result<Self, Pause> {
        let repository = &stage.config.release_repository;
        let present = stage
            .github
            .release_assets(repository, at_github.id)
            .await?;
        let me = stage.github.login().await?;
        Ok(Self {
            stage,
            at_github,
            present,
            me,
        })
    }

    /// Uploads what is not there yet; answers each file's name on GitHub, in their order.
    /// Where one fails, no other is begun, and those on their way come to their end.
    pub async fn put_all(&self, files: &[File], writes: &Writes<'_>) -> Result<Vec<String>, Pause> {
        let put = |file| self.put_or_stop(file, writes).boxed();
        let puts: Vec<BoxFuture<'_, _>> = files.iter().map(put).collect();
        let all: Vec<_> = stream::iter(puts).buffered(AT_ONCE).collect().await;
        let (names, pauses): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        // Of equal ones the last is taken.
        let pauses = pauses.into_iter().rev().filter_map(Result::err);
        match pauses.max_by_key(Pause::rank) {
            Some(pause) => Err(pause),
            None => names.into_iter().collect(),
        }
    }

    async fn put_or_stop(&self, file: &File, writes: &Writes<'_>) -> Result<String, Pause> {
        let put = self.put(file, writes).await;
        if put.is_err() {
            writes.stop();
        }
        put
    }

    /// Makes one file be there; answers its name on GitHub.
    pub async fn put(&self, file: &File, writes: &Writes<'_>) -> Result<String, Pause> {
        let there = self.present.iter().find(|asset| asset.name == file.name);
        if let Some(there) = there {
            if is_same(there, file) {
                return Ok(there.name.clone());
            }
            self.refuse_unless_ours(there, file)?;
            writes.turn().await?;
            let repository = &self.stage.config.release_repository;
            self.stage.github.delete_asset(repository, there.id).await?;
        } else if !self.at_github.draft {
            let why = format!("{} is missing in the published release", file.name);
            return Err(StageError::VerificationFailed(why).into());
        }
        let asset = self.upload(file, writes).await?;
        if !is_same(&asset, file) {
            let why = format!(
                "GitHub has {} as {:?}, {} bytes; {} was sent",
                asset.name, asset.digest, asset.size, file.sha256
            );
            return Err(StageError::VerificationFailed(why).into());
        }
        Ok(asset.name)
    }

    fn refuse_unless_ours(&self, there: &Asset, file: &File) -> Result<(), StageError> {
        let name = &file.name;
        if !self.at_github.draft {
            return Err(StageError::VerificationFailed(format!(
                "{name} of the published release is not what was collected"
            )));
        }
        if there
            .uploader
            .as_ref()
            .is_some_and(|uploader| *uploader != self.me)
        {
            return Err(StageError::VerificationFailed(format!(
                "{name} of the draft is not what was collected, and was not uploaded here: delete it"
            )));
        }
        Ok(())
    }

    async fn upload(&self, file: &File, writes: &Writes<'_>) -> Result<Asset, Pause> {
        let time = Duration::from_secs(60 + file.size / SLOWEST);
        let body = self.body(file).await?;
        writes.turn_for(time).await?;
        let uploaded = self
            .stage
            .github
            .upload_asset(
                &self.at_github.upload_url,
                &file.name,
                file.size,
                body,
                time,
            )
            .await;
        match uploaded {
            // One that was sent before has arrived meanwhile: the next call compares it.
            Err(error) if error.is_already_there() => Err(Pause::Again { wait: BUSY_WAIT }),
            uploaded => Ok(uploaded?),
        }
    }

    async fn body(&self, file: &File) -> Result<Body, StageError> {
        let key = match &file.content {
            Content::Text(bytes) => return Ok(bytes.clone().into()),
            Content::Object(key) => key,
        };
        let object = self.stage.objects.get_stream(key).await;
        let (length, body) = object.map_err(|error| StageError::Unavailable(error.to_string()))?;
        if length != file.size {
            return Err(StageError::VerificationFailed(format!(
                "{key} has {length} bytes in S3, not {}",
                file.size
            )));
        }
        Ok(Body::wrap_stream(chunks(body)))
    }

    /// Deletes our own assets that are not wanted any more: an earlier owner built them.
    /// Those of others stay; they are told when the release is verified.
    pub async fn delete_left_over(
        &self,
        release: &Release,
        wanted: impl Fn(&str) -> bool,
        writes: &Writes<'_>,
    ) -> Result<(), Pause> {
        let stage = self.stage;
        let left_over = self.present.iter().filter(|asset| !wanted(&asset.name));
        for asset in left_over.filter(|asset| asset.uploader.as_ref() == Some(&self.me)) {
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
        Ok(())
    }
}

/// Whether GitHub has all of it, as far as it tells: of a server that tells no digest the
/// bytes are read when the release is verified.
pub fn is_same(asset: &Asset, file: &File) -> bool {
    asset.state == "uploaded"
        && asset.size == file.size
        && digest(asset).is_none_or(|digest| digest == file.sha256)
}

/// The digest that GitHub tells.
pub fn digest(asset: &Asset) -> Option<Sha256> {
    let digest = asset.digest.as_deref()?;
    Sha256::parse(digest).ok()
}
