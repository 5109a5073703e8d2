//! One artifact: its bytes pass once, from GitHub to the bucket. What was verified is
//! written down, and not fetched again by a call that follows.

use std::time::Duration;

use bytes::Bytes;
use commons_artifacts::archive::{self, Directory, Entry, LIMITS, Tail};
use commons_artifacts::intake::{self, Event, File, Shape};
use commons_artifacts::{ArtifactRef, StoreError, Upload, Verification, base_name};
use commons_domain::names::Sha256;
use commons_github::{Artifact, Download, Error};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, Receiver, Sender};
use url::Url;

use crate::{CollectError, Job, Means};

/// How often a transfer that was cut short is begun again in one call.
const TRIES: u32 = 3;
/// The end of an archive that is read first: most directories are smaller.
const END: u64 = 64 * 1024;
/// What is gone by then is as good as gone.
const EXPIRES_SOON: Duration = Duration::from_secs(3600);
/// Chunks between the download and the work on them.
const AHEAD: usize = 16;

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
enum Failed {
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

/// An artifact's bytes from the first to the last, and what they are.
struct Source {
    shape: Shape,
    total: Option<u64>,
    body: BoxStream<'static, Result<Bytes, Error>>,
}

struct Transfer<'a> {
    means: &'a Means<'a>,
    job: &'a Job,
    artifact: &'a Artifact,
    announced: Option<&'a Sha256>,
}

impl Transfer<'_> {
    async fn run(&self) -> Result<Vec<(File, String)>, Failed> {
        let location = self
            .means
            .github
            .artifact_location(&self.job.repository, self.artifact.id)
            .await?;
        let source = self.open(&location).await?;
        let total = source.total;
        let (chunks, come) = mpsc::channel(AHEAD);
        let (to, mut events) = mpsc::channel(2);
        let work = tokio::task::spawn_blocking(move || intake::work(source.shape, come, to));
        let mut current = None;
        let passed = {
            let download = self.download(source.body, total, chunks);
            let upload = self.upload(&mut events, &mut current);
            tokio::try_join!(download, upload)
        };
        // The work ends when nothing comes any more, and nobody takes what it tells.
        drop(events);
        let outcome = work
            .await
            .map_err(|error| Failed::Collect(CollectError::cannot_see(&error)))?;
        if let Some(upload) = current.take() {
            upload.abort().await?;
        }
        let ((), files) = passed?;
        let artifact = self.artifact.name.clone();
        if let Some(total) = total.filter(|total| *total != outcome.size) {
            return Err(Failed::Broken(Verification::Truncated {
                artifact,
                announced: total,
                got: outcome.size,
            }));
        }
        if let Some(announced) = self.announced.filter(|sum| **sum != outcome.sha256) {
            return Err(Failed::Broken(Verification::DigestMismatch {
                artifact,
                announced: announced.clone(),
                got: outcome.sha256,
            }));
        }
        match outcome.fault {
            Some(why) => Err(self.bad(why)),
            None => Ok(files),
        }
    }

    fn bad(&self, why: String) -> Failed {
        let artifact = self.artifact.name.clone();
        Failed::Collect(Verification::BadArchive { artifact, why }.into())
    }

    /// Reads the end first, where a zip has its directory.
    async fn open(&self, location: &Url) -> Result<Source, Failed> {
        let from = self.artifact.size_in_bytes.saturating_sub(END);
        let end = match self.means.github.download(location, from).await {
            // It is smaller than GitHub says: all of it.
            Err(Error::RangeNotSatisfiable { .. }) => {
                self.means.github.download(location, 0).await?
            }
            end => end?,
        };
        let is_zip = end
            .content_type
            .as_deref()
            .is_none_or(|kind| kind.contains("zip"));
        if !is_zip {
            let name = end.file_name.as_deref().map(base_name);
            let name = name.unwrap_or_else(|| self.artifact.name.clone());
            archive::check_path(&name)
                .map_err(|why| self.bad(format!("its name '{}' {why}", name.escape_default())))?;
            let whole = if end.is_part {
                self.means.github.download(location, 0).await?
            } else {
                end
            };
            return Ok(Source {
                shape: Shape::File(name),
                total: whole.total,
                body: whole.body,
            });
        }
        if from > 0 && !end.is_part {
            return self.spooled(end).await;
        }
        let total = end.total.unwrap_or(self.artifact.size_in_bytes);
        let mut bytes = self.some(end, total.saturating_sub(from)).await?;
        if from == 0 {
            // It is all there is.
            let whole = Bytes::from(bytes);
            let entries = self.entries(whole.to_vec(), whole.len() as u64)?;
            return Ok(Source {
                shape: Shape::Zip(entries),
                total: Some(total),
                body: stream::iter([Ok(whole)]).boxed(),
            });
        }
        let entries = loop {
            match self.directory(bytes, total)? {
                Directory::Whole { entries, .. } => break entries,
                Directory::From(needed) => {
                    let more = self.means.github.download(location, needed).await?;
                    bytes = self.some(more, total - needed).await?;
                }
            }
        };
        let whole = self.means.github.download(location, 0).await?;
        Ok(Source {
            shape: Shape::Zip(entries),
            total: Some(total),
            body: whole.body,
        })
    }

    fn directory(&self, end: Vec<u8>, total: u64) -> Result<Directory, Failed> {
        archive::read(Tail::new(end, total), &LIMITS).map_err(|why| self.bad(why))
    }

    /// The entries of an archive of whose end there is no more to read.
    fn entries(&self, end: Vec<u8>, total: u64) -> Result<Vec<Entry>, Failed> {
        match self.directory(end, total)? {
            Directory::Whole { entries, .. } => Ok(entries),
            Directory::From(_) => Err(self.bad("is no readable zip".into())),
        }
    }

    /// The bytes of a small part, as many as are expected.
    async fn some(&self, mut from: Download, expected: u64) -> Result<Vec<u8>, Failed> {
        let mut bytes = Vec::new();
        while let Some(chunk) = from.body.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > expected {
                return Err(self.bad(format!("has more bytes than the {expected} announced")));
            }
        }
        if bytes.len() as u64 == expected {
            return Ok(bytes);
        }
        Err(Failed::Broken(Verification::Truncated {
            artifact: self.artifact.name.clone(),
            announced: expected,
            got: bytes.len() as u64,
        }))
    }

    /// A server that knows no ranges: all of it goes through a file on the function's disk.
    async fn spooled(&self, from: Download) -> Result<Source, Failed> {
        let disk = |error: std::io::Error| {
            Failed::Collect(CollectError::cannot_see(&format!(
                "a temporary file: {error}"
            )))
        };
        let total = from.total;
        let file = tempfile::tempfile().map_err(disk)?;
        let mut to = tokio::fs::File::from_std(file.try_clone().map_err(disk)?);
        let mut body = from.body;
        let mut got = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            got += chunk.len() as u64;
            if self.means.is_time_up() {
                return Err(Failed::Collect(CollectError::TimeUp));
            }
            tokio::io::AsyncWriteExt::write_all(&mut to, &chunk)
                .await
                .map_err(disk)?;
        }
        tokio::io::AsyncWriteExt::flush(&mut to)
            .await
            .map_err(disk)?;
        let read = move || -> std::io::Result<(std::fs::File, Vec<u8>)> {
            use std::io::{Read as _, Seek as _, SeekFrom};
            let mut file = file;
            let most = got.min(LIMITS.directory);
            file.seek(SeekFrom::Start(got - most))?;
            let mut end = Vec::new();
            file.read_to_end(&mut end)?;
            file.seek(SeekFrom::Start(0))?;
            Ok((file, end))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (file, end) = read
            .map_err(|error| Failed::Collect(CollectError::cannot_see(&error)))?
            .map_err(disk)?;
        let entries = self.entries(end, got)?;
        Ok(Source {
            shape: Shape::Zip(entries),
            total,
            body: chunks_of(file),
        })
    }

    async fn download(
        &self,
        mut body: BoxStream<'static, Result<Bytes, Error>>,
        total: Option<u64>,
        to: Sender<Bytes>,
    ) -> Result<(), Failed> {
        let mut got = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            got += chunk.len() as u64;
            if self.means.is_time_up() {
                return Err(Failed::Collect(CollectError::TimeUp));
            }
            if let Some(total) = total.filter(|total| got > *total) {
                return Err(self.bad(format!("has more bytes than the {total} announced")));
            }
            if to.send(chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Every file to its key; `current` is the one on its way.
    async fn upload(
        &self,
        events: &mut Receiver<Event>,
        current: &mut Option<Upload>,
    ) -> Result<Vec<(File, String)>, Failed> {
        let mut files = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                Event::Begin { path } => {
                    let key = self.job.key(self.artifact.id, &base_name(&path));
                    *current = Some(Upload::new(self.means.s3, key));
                }
                Event::Part(bytes, sha256) => {
                    if let Some(upload) = current {
                        upload.part(bytes, sha256).await?;
                    }
                }
                Event::End(file) => {
                    if let Some(upload) = current.take() {
                        let key = upload.key().to_owned();
                        upload.finish().await?;
                        files.push((file, key));
                    }
                }
            }
        }
        Ok(files)
    }
}

fn chunks_of(file: std::fs::File) -> BoxStream<'static, Result<Bytes, Error>> {
    let file = tokio::fs::File::from_std(file);
    stream::unfold(file, |mut file| async {
        let mut buffer = bytes::BytesMut::with_capacity(128 * 1024);
        match tokio::io::AsyncReadExt::read_buf(&mut file, &mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(buffer.freeze()), file)),
            Err(error) => {
                let error = Error::Unavailable {
                    call: "read a temporary file".into(),
                    sent: false,
                    message: error.to_string(),
                };
                Some((Err(error), file))
            }
        }
    })
    .boxed()
}
