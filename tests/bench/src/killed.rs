//! Which bytes are read twice: of a run of the collector that nobody disturbs, and of one
//! that is killed at half and begun again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::prepare::KILLED;
use crate::sink;
use crate::source::{Artifact, Stats};
use crate::world::{World, report};

/// The end of an archive, which is read first for the directory in it.
const DIRECTORY: u64 = 64 * 1024;

/// What was read twice.
#[derive(Debug)]
pub struct Twice {
    /// Bytes.
    pub bytes: u64,
    /// Artifacts that were on their way when it was killed.
    pub in_flight: usize,
    /// Those that had come.
    pub came: usize,
    /// Whether each byte of it may be read twice.
    pub allowed: bool,
}

/// Bytes that were sent, by artifact.
type Sent = BTreeMap<u64, u64>;

/// Bytes that were sent so far.
pub async fn sent(world: &World) -> Result<Sent, String> {
    Ok(world.source.stats::<Stats>().await?.sent)
}

/// Of a run, between two looks at what was sent.
pub fn clean(artifacts: &[Artifact], before: &Sent, after: &Sent) -> Twice {
    let twice = |artifact: &Artifact| {
        let sent = after[&artifact.id] - before[&artifact.id];
        sent.saturating_sub(artifact.archive.size)
    };
    Twice {
        bytes: artifacts.iter().map(twice).sum(),
        in_flight: 0,
        came: 0,
        allowed: artifacts
            .iter()
            .all(|artifact| twice(artifact) <= DIRECTORY),
    }
}

/// Collects, is killed when half of the bytes were sent, and collects again.
pub async fn once(world: &World) -> Result<Twice, String> {
    let artifacts = world.of_run(KILLED);
    let total: u64 = artifacts.iter().map(|artifact| artifact.archive.size).sum();
    let before = sent(world).await?;
    let since = |now: &Sent, artifact: &Artifact| now[&artifact.id] - before[&artifact.id];
    let release = world.release();
    let begin = || world.begin("collect", KILLED, &release, &world.sink.address);
    let mut process = begin()?;
    let half = loop {
        let now = sent(world).await?;
        if artifacts
            .iter()
            .map(|artifact| since(&now, artifact))
            .sum::<u64>()
            >= total / 2
        {
            break now;
        }
        if let Some(status) = process.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("collect ended with {status} before it was killed"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    drop(half);
    process.kill().await.map_err(|error| error.to_string())?;
    // What was on its way when it was killed has arrived, or never will.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let killed = sent(world).await?;
    let records = world.sink.stats::<sink::Stats>().await?.records;
    report("collect", begin()?).await?;
    let after = sent(world).await?;
    let came = |artifact: &&Artifact| {
        let record = format!("/{}.json", artifact.id);
        let of_release = |key: &&String| key.contains(&release) && key.ends_with(&record);
        records.iter().find(of_release).is_some()
    };
    let in_flight = |artifact: &&Artifact| !came(artifact) && since(&killed, artifact) > 0;
    let allowed = |artifact: &Artifact| {
        let again = after[&artifact.id] - killed[&artifact.id];
        if came(&artifact) {
            again == 0
        } else {
            again <= artifact.archive.size + DIRECTORY
        }
    };
    let twice = |artifact: &Artifact| since(&after, artifact).saturating_sub(artifact.archive.size);
    let twice = Twice {
        bytes: artifacts.iter().map(twice).sum(),
        in_flight: artifacts.iter().filter(in_flight).count(),
        came: artifacts.iter().filter(came).count(),
        allowed: artifacts.iter().all(allowed),
    };
    if twice.came == 0 || twice.in_flight == 0 {
        return Err(format!(
            "it was killed at no moment that tells anything: {twice:?}"
        ));
    }
    Ok(twice)
}
