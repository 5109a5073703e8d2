//! How long a release takes, beside what a train that goes level by level would take, and
//! beside the longest path, which nothing is faster than.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use storm::weather::Fair;

use super::graphs::{Graph, RELEASE_REPOSITORY};
use super::{Measured, virtually};
use crate::figures::{Bar, Figure, median};
use crate::world::cores;

/// How many graphs.
const GRAPHS: usize = 200;

/// What a graph's release came to.
struct Ratios {
    to_levels: f64,
    to_path: f64,
}

/// Releases all graphs of a seed.
pub async fn measure(seed: u64) -> Result<Vec<Measured>, String> {
    let mut dice = Rng::with_seed(seed);
    let graphs: Arc<Vec<Graph>> = Arc::new((0..GRAPHS).map(|_| Graph::draw(&mut dice)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..cores() as usize)
        .map(|_| {
            let (graphs, next) = (Arc::clone(&graphs), Arc::clone(&next));
            tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                while let Some(graph) = graphs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    all.push(virtually::here(play(graph))?);
                }
                Ok::<_, String>(all)
            })
        })
        .collect();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.await.map_err(|error| error.to_string())??);
    }
    let worst = |of: fn(&Ratios) -> f64| all.iter().map(of).fold(0.0, f64::max);
    let middle = median(all.iter().map(|ratios| ratios.to_levels));
    let what = format!("makespan ÷ level by level, {GRAPHS} graphs");
    let ratio = |name, what: String, value, most| Figure {
        shown: format!("{value:.4}"),
        ..Figure::ratio(name, &what, value, Bar::Most(most))
    };
    Ok(vec![
        Measured::median(ratio(
            "over_levels",
            format!("{what}: median"),
            middle,
            0.80,
        )),
        Measured::worst(ratio(
            "over_levels_worst",
            format!("{what}: largest"),
            worst(|ratios| ratios.to_levels),
            1.01,
        )),
        Measured::worst(ratio(
            "over_path",
            "makespan ÷ critical path, the same graphs: largest".into(),
            worst(|ratios| ratios.to_path),
            1.01,
        )),
    ])
}

async fn play(graph: &Graph) -> Result<Ratios, String> {
    let repositories = graph.repositories()?;
    let fair = Arc::new(Fair);
    let published = virtually::release(repositories, RELEASE_REPOSITORY, fair, false).await?;
    Ok(Ratios {
        to_levels: published.makespan / graph.level_by_level(),
        to_path: published.makespan / graph.critical_path(),
    })
}
