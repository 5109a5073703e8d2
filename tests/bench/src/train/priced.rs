//! What AWS asks for a release of six components whose longest path is an hour of CI. What
//! is counted is counted by a virtual clock; how long a function runs, and what it logs, is
//! the mean of its calls in the local cloud.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::logged::{self, Logged};
use super::meter::{Counts, Meter};
use super::place::{Place, RELEASE_REPOSITORY};
use super::prices::{self, Price};
use super::{Measured, counts, many, virtually};
use crate::figures::{Bar, Figure};

/// Four builds are on the longest path.
const RUN: f64 = 3600.0 / 4.0;
const VERSION: &str = "v0.1.0";

/// What was counted by the virtual clock.
struct Counted {
    counts: Counts,
    transitions: u64,
    /// Calls of DynamoDB by the definition itself.
    waits: u64,
    webhooks: u64,
}

/// What was seen in the local cloud.
struct Seen {
    logged: BTreeMap<&'static str, Logged>,
    signatures: f64,
    sent: f64,
}

/// The price, and what it is made of.
pub async fn measure(functions: &Path, seed: u64) -> Result<(Vec<Measured>, Value), String> {
    let counted = tokio::task::spawn_blocking(move || virtually::here(count(seed)));
    let counted = counted.await.map_err(|error| error.to_string())??;
    let seen = see(functions).await?;
    let bill = bill(&counted, &seen);
    let dollars: f64 = bill.iter().map(|(price, count)| price.of(*count)).sum();
    let lines = bill.iter().map(|(price, count)| {
        json!({
            "what": price.what,
            "count": count,
            "dollars": price.of(*count),
            "source": price.source,
        })
    });
    let more = json!({
        "bill": lines.collect::<Vec<_>>(),
        "calls": counted.counts.calls,
        "logged": seen.logged,
    });
    let figure = Figure {
        name: "dollars",
        what: "price of a six-component release, 1 h of CI".into(),
        value: dollars,
        shown: format!("${dollars:.4}"),
        bar: Bar::Most(0.01),
        told: "≤ $0.01".into(),
    };
    Ok((vec![Measured::median(figure)], more))
}

async fn count(seed: u64) -> Result<Counted, String> {
    let meter = Arc::new(Meter::default());
    let weather = Arc::clone(&meter);
    let repositories = counts::repositories(seed, RUN)?;
    let published = virtually::release(repositories, RELEASE_REPOSITORY, weather, true).await?;
    let driver = published.driver;
    let histories = driver.machine.executions.list();
    let histories = histories
        .iter()
        .map(|execution| execution.progress().history);
    let tokens = |history: storm::History| history.events.get("TaskScheduled").copied();
    Ok(Counted {
        counts: meter.counts(),
        transitions: driver.figures().transitions,
        waits: histories.filter_map(tokens).sum(),
        webhooks: driver.github.deliveries().len() as u64,
    })
}

/// Two releases, of which one finds everything cold.
async fn see(functions: &Path) -> Result<Seen, String> {
    let place = Place::start(functions, many::setting()?).await?;
    place.release("v0.0.1").await?;
    place.release(VERSION).await?;
    let releases = place.github.releases(RELEASE_REPOSITORY);
    let release = releases.iter().find(|release| release.tag_name == VERSION);
    let assets = release.ok_or("GitHub has no release")?.assets.iter();
    Ok(Seen {
        logged: logged::read(&place.account).await?,
        signatures: place.signatures(VERSION).await?,
        sent: assets.map(|asset| asset.size as f64).sum(),
    })
}

fn bill(counted: &Counted, seen: &Seen) -> Vec<(Price, f64)> {
    let Counted { counts, .. } = counted;
    let mean = |of: fn(&Logged) -> f64, function: &str| {
        let mean = |logged: &Logged| of(logged) / logged.calls as f64;
        let most = || seen.logged.values().map(mean).fold(0.0, f64::max);
        // Nothing called Settle meanwhile: it is taken for the dearest.
        seen.logged.get(function).map_or_else(most, mean)
    };
    let all = |of: fn(&Logged) -> f64| {
        let calls = counts.calls.iter();
        calls
            .map(|(function, calls)| mean(of, function) * *calls as f64)
            .sum::<f64>()
    };
    let calls = counts.calls.values().sum::<u64>() as f64;
    vec![
        (prices::TRANSITIONS, counted.transitions as f64),
        (prices::CALLS, calls),
        (prices::GB_SECONDS, all(|logged| logged.gb_seconds)),
        (
            prices::WRITE_UNITS,
            counts.write_units + counted.waits as f64 * counts.dearest_update,
        ),
        (prices::READ_UNITS, counts.read_units),
        // Each signature is kept, and looked for before; the Map reads its items.
        (prices::PUTS, counts.puts as f64 + seen.signatures),
        (prices::GETS, counts.gets as f64 + seen.signatures + 1.0),
        (prices::DELIVERIES, counted.webhooks as f64),
        // Every call reads the token anew.
        (prices::SECRETS, calls),
        // Plan and Publish ask for the public key too.
        (prices::SIGNATURES, seen.signatures + 2.0),
        (prices::LOG_BYTES, all(|logged| logged.bytes as f64)),
        (prices::SENT_BYTES, seen.sent),
    ]
}
