//! Where an artifact's bytes begin: what it is, before the first of them passes.

use bytes::Bytes;
use commons_artifacts::Verification;
use commons_artifacts::archive::{self, Directory, Entry, LIMITS, Tail};
use commons_artifacts::intake::Shape;
use commons_github::{Download, Error};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use url::Url;

use crate::CollectError;
use crate::receive::Failed;
use crate::transfer::{Source, Transfer};

/// The end of an archive that is read first: most directories are smaller.
const END: u64 = 64 * 1024;

impl Transfer<'_> {
    /// Reads the end first, where a zip has its directory.
    pub(crate) async fn open(&self, location: &Url) -> Result<Source, Failed> {
        let from = self.artifact.size_in_bytes.saturating_sub(END);
        let end = match self.means.github.download(location, from).await {
            // It is smaller than GitHub says: all of it.
            Err(Error::RangeNotSatisfiable { .. }) => {
                self.means.github.download(location, 0).await?
            }
            end => end?,
        };
        let total = end.total.unwrap_or(self.artifact.size_in_bytes);
        if total > self.most(end.total) {
            return Err(self.too_many(self.artifact.size_in_bytes));
        }
        if !is_zip(end.content_type.as_deref()) {
            return self.file(location, end).await;
        }
        let expected = total.saturating_sub(from);
        if !end.is_part && (from > 0 || expected > LIMITS.directory) {
            return self.spooled(end).await;
        }
        if expected > LIMITS.directory {
            return Err(self.too_many(self.artifact.size_in_bytes));
        }
        let mut bytes = self.some(end, expected).await?;
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

    /// What is no zip: one file.
    async fn file(&self, location: &Url, end: Download) -> Result<Source, Failed> {
        let name = end.file_name.as_ref().unwrap_or(&self.artifact.name);
        let shown = name.escape_default();
        let name = match archive::check_path(name) {
            Ok(()) if name.contains('/') => Err("is no file's"),
            Ok(()) => Ok(name.clone()),
            Err(why) => Err(why),
        };
        let name = name.map_err(|why| self.bad(format!("its name '{shown}' {why}")))?;
        let whole = if end.is_part {
            self.means.github.download(location, 0).await?
        } else {
            end
        };
        if whole.total > Some(self.artifact.size_in_bytes) {
            return Err(self.too_many(self.artifact.size_in_bytes));
        }
        Ok(Source {
            shape: Shape::File(name),
            total: whole.total,
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
            self.goes_on()?;
            if bytes.len() as u64 > expected {
                return Err(self.too_many(self.artifact.size_in_bytes));
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
        let (total, most) = (from.total, self.most(from.total));
        let file = tempfile::tempfile().map_err(disk)?;
        let mut to = tokio::fs::File::from_std(file.try_clone().map_err(disk)?);
        let mut body = from.body;
        let mut got = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            got += chunk.len() as u64;
            self.goes_on()?;
            if got > most {
                return Err(self.too_many(most));
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
}

/// Whether a Content-Type is a zip's, by the names that GitHub's own client knows. Nothing
/// that was uploaded as it is comes without one.
fn is_zip(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|kind| {
        let names = ["zip", "x-zip-compressed", "zip-compressed"];
        let name = kind.strip_prefix("application/");
        name.is_some_and(|name| names.contains(&name))
    })
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
