//! An artifact's bytes: they pass once, from GitHub to the bucket.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use commons_artifacts::intake::{self, Event, File, Shape};
use commons_artifacts::{Upload, Verification, base_name};
use commons_domain::names::Sha256;
use commons_github::{Artifact, Error};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::receive::Failed;
use crate::{CollectError, Job, Means};

/// Chunks between the download and the work on them.
const AHEAD: usize = 16;

/// An artifact's bytes from the first to the last, and what they are.
pub(crate) struct Source {
    pub(crate) shape: Shape,
    /// How many the storage says they are.
    pub(crate) total: Option<u64>,
    pub(crate) body: BoxStream<'static, Result<Bytes, Error>>,
}

/// One try to receive an artifact.
pub(crate) struct Transfer<'a> {
    pub(crate) means: &'a Means<'a>,
    pub(crate) job: &'a Job,
    pub(crate) artifact: &'a Artifact,
    /// Its digest, as GitHub announced it.
    pub(crate) announced: Option<&'a Sha256>,
}

impl Transfer<'_> {
    /// Its files and their keys.
    pub(crate) async fn run(&self) -> Result<Vec<(File, String)>, Failed> {
        let location = self
            .means
            .github
            .artifact_location(&self.job.repository, self.artifact.id)
            .await?;
        let source = self.open(&location).await?;
        let total = source.total;
        let is_file = matches!(source.shape, Shape::File(_));
        let most = self.most(total);
        let (chunks, come) = mpsc::channel(AHEAD);
        let (to, mut events) = mpsc::channel(2);
        let work = tokio::task::spawn_blocking(move || intake::work(source.shape, come, to));
        let mut current = None;
        let broken = AtomicBool::new(false);
        let passed = {
            let download = self.download(source.body, most, chunks, &broken);
            let mut upload = Box::pin(self.upload(&mut events, &mut current, &broken));
            // Where the download fails, what is on its way to the bucket comes to an orderly
            // end: what nobody waits for could be there after all was deleted.
            tokio::select! {
                uploaded = &mut upload => uploaded,
                downloaded = download => {
                    let uploaded = upload.await;
                    downloaded.and(uploaded)
                }
            }
        };
        // The work ends when nothing comes any more, and nobody takes what it tells.
        drop(events);
        let outcome = work
            .await
            .map_err(|error| Failed::Collect(CollectError::cannot_see(&error)))?;
        if let Some(upload) = current.take() {
            upload.abort().await?;
        }
        let files = passed?;
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
        if is_file && outcome.size != self.artifact.size_in_bytes {
            return Err(Failed::Broken(Verification::LengthMismatch {
                artifact,
                announced: self.artifact.size_in_bytes,
                got: outcome.size,
            }));
        }
        match (outcome.fault, outcome.blind) {
            (Some(why), _) => Err(self.bad(why)),
            (None, Some(why)) => Err(Failed::Collect(CollectError::cannot_see(&why))),
            (None, None) => Ok(files),
        }
    }

    /// The bytes that may come. Of what it knows the digest of, GitHub knows the length;
    /// what is older is zipped while it comes, and the storage's word is all there is.
    pub(crate) fn most(&self, told: Option<u64>) -> u64 {
        match (self.announced, told) {
            (None, Some(told)) => told,
            _ => self.artifact.size_in_bytes,
        }
    }

    /// The time is not up, and nothing came that makes the rest worth nothing.
    pub(crate) fn goes_on(&self) -> Result<(), Failed> {
        if self.means.is_over() {
            return Err(Failed::Collect(CollectError::TimeUp));
        }
        Ok(())
    }

    pub(crate) fn too_many(&self, announced: u64) -> Failed {
        self.bad(format!("has more bytes than the {announced} announced"))
    }

    pub(crate) fn bad(&self, why: String) -> Failed {
        let artifact = self.artifact.name.clone();
        Failed::Collect(Verification::BadArchive { artifact, why }.into())
    }

    /// Passes the bytes on; says that they are broken before it lets go of who takes them.
    async fn download(
        &self,
        body: BoxStream<'static, Result<Bytes, Error>>,
        most: u64,
        to: Sender<Bytes>,
        broken: &AtomicBool,
    ) -> Result<(), Failed> {
        let passed = self.pass(body, most, &to).await;
        broken.store(passed.is_err(), Ordering::Release);
        passed
    }

    async fn pass(
        &self,
        mut body: BoxStream<'static, Result<Bytes, Error>>,
        most: u64,
        to: &Sender<Bytes>,
    ) -> Result<(), Failed> {
        let mut got = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            self.goes_on()?;
            got += chunk.len() as u64;
            if got > most {
                return Err(self.too_many(most));
            }
            if to.send(chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Every file to its key; `current` is the one on its way. What is broken has no files.
    async fn upload(
        &self,
        events: &mut Receiver<Event>,
        current: &mut Option<Upload>,
        broken: &AtomicBool,
    ) -> Result<Vec<(File, String)>, Failed> {
        let mut files = Vec::new();
        while let Some(event) = events.recv().await {
            if broken.load(Ordering::Acquire) {
                break;
            }
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
