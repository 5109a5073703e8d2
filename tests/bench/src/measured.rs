//! What is measured, in a process of its own: the collector, and each of its stages alone
//! over the same artifacts, as many at a time. What a stage works on is in memory before
//! its watch starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use commons_artifacts::archive::{self, Directory, Entry, LIMITS, Step, Tail, Walk};
use commons_artifacts::intake::{self, Event, PART, Shape};
use commons_artifacts::{Store, Upload};
use commons_collect::{AT_A_TIME, Job, Means};
use commons_domain::names::{ReleaseKey, RepoName, Sha256};
use commons_domain::times::Speed;
use commons_github::{GitHub, Settings};
use commons_runtime::{SystemClock, Work};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::sync::mpsc;

use crate::aws;
use crate::source::Artifact;
use crate::usage::{Took, Watch, peak};

/// Bytes that are passed on at a time, where no server says how many come.
const PIECE: usize = 128 * 1024;
/// Pieces between one who reads and one who works, as in the collector.
const AHEAD: usize = 16;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// All of it.
    Collect,
    /// The artifacts' bytes come and are dropped.
    Download,
    /// Their sum.
    Digest,
    /// They are unpacked, and the CRC is computed.
    Inflate,
    /// The sums of their files, and of the files' parts.
    Hash,
    /// The parts, their sums known, go to the bucket.
    Upload,
    /// What the collector does between download and upload, from the disk's pages.
    Work,
}

/// What to measure on what.
#[derive(clap::Args)]
pub struct Arguments {
    what: What,
    /// The artifacts that there are.
    #[arg(long)]
    artifacts: PathBuf,
    /// GitHub's address.
    #[arg(long)]
    source: String,
    /// S3's address.
    #[arg(long)]
    sink: String,
    /// The run whose artifacts are meant.
    #[arg(long)]
    run: u64,
    /// The release that collects them.
    #[arg(long)]
    version: String,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Report {
    /// Wall and CPU.
    pub took: Took,
    /// Bytes of memory at most.
    pub peak: u64,
}

/// Measures; the error is a sentence.
pub async fn run(arguments: &Arguments) -> Result<Report, String> {
    let all = crate::artifacts(&arguments.artifacts)?;
    let artifacts: Vec<Artifact> = all.into_iter().filter(|a| a.run == arguments.run).collect();
    let github = Arc::new(github(&arguments.source)?);
    let job = job(arguments)?;
    let took = match arguments.what {
        What::Collect => collect(&github, &aws::store(&arguments.sink), &job).await?,
        What::Download => download(github, job.repository, artifacts).await?,
        What::Digest => {
            let packed = each(artifacts, |artifact| load(&artifact)).await?;
            timed(packed, |pieces| {
                digest(&pieces);
                Ok(())
            })
            .await?
        }
        What::Inflate => {
            let packed = each(artifacts, with_entries).await?;
            timed(packed, |(entries, pieces)| unpack(entries, &pieces, |_| ())).await?
        }
        What::Hash => {
            let files = each(artifacts, |artifact| files(&artifact)).await?;
            timed(files, |files| {
                for file in &files {
                    digest(file);
                    // Of a file of one part the sums are the same.
                    if file.len() > PART / PIECE {
                        file.chunks(PART / PIECE)
                            .for_each(|part| drop(digest(part)));
                    }
                }
                Ok(())
            })
            .await?
        }
        What::Upload => upload(aws::store(&arguments.sink), &job, artifacts).await?,
        What::Work => work(artifacts).await?,
    };
    Ok(Report {
        took,
        peak: peak()?,
    })
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn github(address: &str) -> Result<GitHub, String> {
    let clock = Arc::new(SystemClock);
    let token = SecretString::from("none");
    let settings = Settings::new(address, token, Work::Collect, Speed(1.0), clock, true);
    GitHub::new(settings.map_err(sentence)?).map_err(sentence)
}

fn job(arguments: &Arguments) -> Result<Job, String> {
    let release = format!("bench/release/{}", arguments.version);
    Ok(Job {
        release_key: ReleaseKey::new(&release).map_err(sentence)?,
        component: "component".into(),
        repository: RepoName::new("bench/component").map_err(sentence)?,
        run_id: arguments.run,
        run_attempt: 1,
        artifacts: vec!["*".into()],
        binaries: Vec::new(),
        asset_prefix: None,
        version: arguments.version.clone(),
    })
}

async fn collect(github: &GitHub, store: &Store, job: &Job) -> Result<Took, String> {
    let time = Duration::from_secs(14 * 60);
    let means = Means::new(github, store, &SystemClock, time);
    let watch = Watch::start()?;
    let collected = commons_collect::collect_run(&means, job).await;
    collected.map_err(sentence)?;
    watch.stop()
}

async fn download(
    github: Arc<GitHub>,
    repository: RepoName,
    artifacts: Vec<Artifact>,
) -> Result<Took, String> {
    let (github, repository) = (&github, &repository);
    let watch = Watch::start()?;
    stream::iter(artifacts)
        .map(|artifact| async move {
            let location = github.artifact_location(repository, artifact.id).await;
            let from = github.download(&location.map_err(sentence)?, 0).await;
            let mut body = from.map_err(sentence)?.body;
            let mut got = 0;
            while let Some(piece) = body.next().await {
                got += piece.map_err(sentence)?.len() as u64;
            }
            if got == artifact.archive.size {
                Ok(())
            } else {
                Err(format!("{got} bytes came of {}", artifact.archive.size))
            }
        })
        .buffered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    watch.stop()
}

/// Does it to each, on threads of their own, as many at a time as are collected.
async fn each<A: Send + 'static, B: Send + 'static>(
    all: Vec<A>,
    of: impl Fn(A) -> Result<B, String> + Clone + Send + 'static,
) -> Result<Vec<B>, String> {
    stream::iter(all)
        .map(|one| {
            let of = of.clone();
            async {
                tokio::task::spawn_blocking(move || of(one))
                    .await
                    .map_err(sentence)?
            }
        })
        .buffered(AT_A_TIME)
        .try_collect()
        .await
}

async fn timed<A: Send + 'static>(
    all: Vec<A>,
    of: impl Fn(A) -> Result<(), String> + Clone + Send + 'static,
) -> Result<Took, String> {
    let watch = Watch::start()?;
    each(all, of).await?;
    watch.stop()
}

/// An artifact's bytes.
fn load(artifact: &Artifact) -> Result<Vec<Bytes>, String> {
    let pieces = artifact.archive.pieces(0).map_err(sentence)?;
    pieces
        .map(|piece| piece.map(Bytes::from).map_err(sentence))
        .collect()
}

fn with_entries(artifact: Artifact) -> Result<(Vec<Entry>, Vec<Bytes>), String> {
    Ok((entries(&artifact)?, load(&artifact)?))
}

/// What an artifact's directory says.
fn entries(artifact: &Artifact) -> Result<Vec<Entry>, String> {
    let size = artifact.archive.size;
    let pieces = artifact.archive.pieces(size.saturating_sub(PIECE as u64));
    let mut end = Vec::new();
    for piece in pieces.map_err(sentence)? {
        end.extend(piece.map_err(sentence)?);
    }
    match archive::read(Tail::new(end, size), &LIMITS)? {
        Directory::Whole { entries, .. } => Ok(entries),
        Directory::From(from) => Err(format!("the directory begins at {from}")),
    }
}

fn unpack(
    entries: Vec<Entry>,
    pieces: &[Bytes],
    mut tell: impl FnMut(Step<'_>),
) -> Result<(), String> {
    let mut walk = Walk::new(entries);
    for piece in pieces {
        walk.feed(piece, &mut |step| {
            tell(step);
            Ok(())
        })?;
    }
    walk.finish()
}

fn digest(pieces: &[Bytes]) -> Sha256 {
    let mut all = Hasher::new();
    for piece in pieces {
        all.update(piece);
    }
    Sha256::from_bytes(all.finalize().into())
}

/// An artifact's files, each in pieces that fill its parts.
fn files(artifact: &Artifact) -> Result<Vec<Vec<Bytes>>, String> {
    let (entries, pieces) = with_entries(artifact.clone())?;
    let mut files: Vec<Vec<u8>> = Vec::new();
    unpack(entries, &pieces, |step| match (step, files.last_mut()) {
        (Step::Begin(_), _) => files.push(Vec::new()),
        (Step::Bytes(bytes), Some(file)) => file.extend_from_slice(bytes),
        _ => {}
    })?;
    let split = |file: Vec<u8>| {
        let file = Bytes::from(file);
        let begins = (0..file.len()).step_by(PIECE);
        begins
            .map(|from| file.slice(from..file.len().min(from + PIECE)))
            .collect()
    };
    Ok(files.into_iter().map(split).collect())
}

/// A file's parts, and their sums.
fn parts(file: &[Bytes]) -> Vec<(Bytes, Sha256)> {
    file.chunks(PART / PIECE)
        .map(|part| {
            let sum = digest(part);
            (Bytes::from(part.concat()), sum)
        })
        .collect()
}

async fn upload(store: Store, job: &Job, artifacts: Vec<Artifact>) -> Result<Took, String> {
    let ids: Vec<u64> = artifacts.iter().map(|artifact| artifact.id).collect();
    let in_parts = |artifact: Artifact| {
        let files = files(&artifact)?;
        Ok(files.iter().map(|file| parts(file)).collect::<Vec<_>>())
    };
    let files = each(artifacts, in_parts).await?;
    let store = &store;
    let watch = Watch::start()?;
    stream::iter(ids.into_iter().zip(files))
        .map(|(id, files)| async move {
            for (n, parts) in files.into_iter().enumerate() {
                let mut upload = Upload::new(store, job.key(id, &n.to_string()));
                for (bytes, sum) in parts {
                    upload.part(bytes, sum).await.map_err(sentence)?;
                }
                upload.finish().await.map_err(sentence)?;
            }
            Ok::<(), String>(())
        })
        .buffered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    watch.stop()
}

async fn work(artifacts: Vec<Artifact>) -> Result<Took, String> {
    let with_entries = |artifact: Artifact| Ok((entries(&artifact)?, artifact));
    let all = each(artifacts, with_entries).await?;
    let watch = Watch::start()?;
    stream::iter(all)
        .map(|(entries, artifact)| async move {
            let announced = artifact.archive.sha256.clone();
            let (chunks, come) = mpsc::channel(AHEAD);
            let (to, mut events) = mpsc::channel::<Event>(2);
            let work = move || intake::work(Shape::Zip(entries), come, to);
            let work = tokio::task::spawn_blocking(work);
            let read = tokio::task::spawn_blocking(move || -> Result<(), String> {
                for piece in artifact.archive.pieces(0).map_err(sentence)? {
                    let piece = Bytes::from(piece.map_err(sentence)?);
                    chunks.blocking_send(piece).map_err(sentence)?;
                }
                Ok(())
            });
            while events.recv().await.is_some() {}
            read.await.map_err(sentence)??;
            let outcome = work.await.map_err(sentence)?;
            match outcome.fault {
                Some(fault) => Err(fault),
                None if outcome.sha256 != announced => Err("another digest".into()),
                None => Ok(()),
            }
        })
        .buffered(AT_A_TIME)
        .try_collect::<()>()
        .await?;
    watch.stop()
}
