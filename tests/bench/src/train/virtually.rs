//! Releases by a virtual clock: the driver of the storm, in which nothing goes wrong. Work
//! takes no time there, waits do.

use std::future::Future;
use std::sync::Arc;

use commons_domain::names::RepoName;
use github_simulator::Repository;
use jiff::Timestamp;
use storm::weather::Weather;
use storm::{Driver, Options, Status};

/// What is released.
pub const VERSION: &str = "v0.1.0";

/// A release that was published.
pub struct Published {
    /// What it was released with.
    pub driver: Driver,
    /// Seconds from its start until its last build was complete.
    pub makespan: f64,
    /// When Plan was done.
    pub planned: Timestamp,
    /// When Publish began.
    pub publishing: Timestamp,
}

/// Does it on this thread alone, as the driver has it.
pub fn here<T>(doing: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(doing)
}

/// Releases once, with webhooks and the template's own parameters.
pub async fn release(
    repositories: Vec<Repository>,
    release_repository: &str,
    weather: Arc<dyn Weather>,
    sweeps: bool,
) -> Result<Published, String> {
    let release_repository = RepoName::new(release_repository).map_err(|e| e.to_string())?;
    let options = Options {
        repositories,
        release_repository,
        webhooks: true,
        sweeps,
        weather,
        record: true,
        signs: false,
    };
    let driver = Driver::start(options).await.map_err(|e| e.to_string())?;
    let execution = driver.release(VERSION);
    let ended = driver.run_until(|_| execution.status() != Status::Running);
    ended.await.map_err(|stuck| stuck.to_string())?;
    let progress = execution.progress();
    if progress.status != Status::Succeeded {
        return Err(format!("the release failed: {:?}", progress.failure));
    }
    let store = &driver.machine.stage.store;
    let events = store.events(&driver.key(VERSION)).await;
    let events = events.map_err(|error| error.to_string())?;
    let times = |to: &str| -> Vec<Timestamp> {
        let told = events.iter().filter(|event| event.to == to);
        told.map(|event| event.at).collect()
    };
    let (complete, planned, publishing) =
        (times("collected"), times("building"), times("publishing"));
    let (Some(complete), Some(planned), Some(publishing)) =
        (complete.last(), planned.first(), publishing.first())
    else {
        return Err("the events do not tell of a release".into());
    };
    Ok(Published {
        makespan: complete.duration_since(execution.started).as_secs_f64(),
        planned: *planned,
        publishing: *publishing,
        driver,
    })
}
