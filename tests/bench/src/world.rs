//! The artifacts, who serves them, who takes what is in them, and who is measured between
//! the two.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Child;

use crate::measured::Report;
use crate::server::{self, Server};
use crate::source::{self, Artifact};
use crate::{prepare, sink};

/// All there is for a measurement. Its folder goes when it is dropped.
pub struct World {
    /// The artifacts.
    pub artifacts: Vec<Artifact>,
    /// GitHub.
    pub source: Server,
    /// S3.
    pub sink: Server,
    listed: PathBuf,
    folder: TempDir,
    releases: Cell<u32>,
}

/// What one process took, and those around it meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Seconds on the wall.
    pub seconds: f64,
    /// Seconds of CPU, source and sink included.
    pub cpu: f64,
    /// Bytes of memory at most.
    pub peak: u64,
    /// The part of the cores that others had meanwhile.
    pub others: f64,
}

impl World {
    /// Makes the artifacts, and starts source and sink.
    pub async fn start() -> Result<Self, String> {
        let target = local_cloud::target();
        std::fs::create_dir_all(&target).map_err(|error| error.to_string())?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(target);
        let folder = folder.map_err(|error| error.to_string())?;
        let artifacts = prepare::all(folder.path());
        let artifacts = artifacts.map_err(|error| format!("the artifacts: {error}"))?;
        let listed = folder.path().join("artifacts.json");
        let text = serde_json::to_vec(&artifacts).map_err(|error| error.to_string())?;
        std::fs::write(&listed, text).map_err(|error| error.to_string())?;
        let source = Server::start(&["source", &listed.to_string_lossy()]).await?;
        Ok(Self {
            artifacts,
            source,
            sink: Server::start(&["sink"]).await?,
            listed,
            folder,
            releases: Cell::new(0),
        })
    }

    /// What may be written to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The artifacts of a run.
    pub fn of_run(&self, run: u64) -> Vec<Artifact> {
        let all = self.artifacts.iter().cloned();
        all.filter(|artifact| artifact.run == run).collect()
    }

    /// A release that was not collected before.
    pub fn release(&self) -> String {
        let number = self.releases.get() + 1;
        self.releases.set(number);
        format!("v0.0.{number}")
    }

    /// Starts what is measured.
    pub fn begin(&self, what: &str, run: u64, release: &str, sink: &str) -> Result<Child, String> {
        server::start(&[
            "measured",
            what,
            "--artifacts",
            &self.listed.to_string_lossy(),
            "--source",
            &self.source.address,
            "--sink",
            sink,
            "--run",
            &run.to_string(),
            "--version",
            release,
        ])
    }

    /// Measures it between source and sink.
    pub async fn measure(&self, what: &str, run: u64) -> Result<Measured, String> {
        let before = self.used().await?;
        let process = self.begin(what, run, &self.release(), &self.sink.address)?;
        let report = report(what, process).await?;
        let around = self.used().await? - before;
        let cpu = report.took.cpu + around;
        let others = (report.took.busy - cpu).max(0.0) / (report.took.seconds * cores());
        Ok(Measured {
            seconds: report.took.seconds,
            cpu,
            peak: report.peak,
            others,
        })
    }

    /// Seconds of CPU of source and sink.
    async fn used(&self) -> Result<f64, String> {
        let source: source::Stats = self.source.stats().await?;
        let sink: sink::Stats = self.sink.stats().await?;
        Ok(source.cpu + sink.cpu)
    }
}

/// What a measured process says at its end.
pub async fn report(what: &str, process: Child) -> Result<Report, String> {
    server::said(process, what).await
}

/// The machine's cores.
pub fn cores() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}
