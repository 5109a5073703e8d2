//! The plan of a graph that is larger than anybody's, in a process of its own: its memory
//! is all that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use commons_domain::graph;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::Measured;
use crate::figures::{Bar, Figure};
use crate::{server, usage};

const COMPONENTS: usize = 10_000;
const EDGES: usize = 30_000;

/// What the process says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Planned {
    seconds: f64,
    peak: u64,
}

/// Plans a graph of this seed.
pub fn here(seed: u64) -> Result<Planned, String> {
    let requires = draw(seed);
    let began = Instant::now();
    let planned = graph::plan(&requires).map_err(|cycle| cycle.to_string())?;
    let seconds = began.elapsed().as_secs_f64();
    if planned.order.len() != COMPONENTS {
        return Err("the plan lacks components".into());
    }
    Ok(Planned {
        seconds,
        peak: usage::peak()?,
    })
}

/// Components that require others before them, with so many edges.
fn draw(seed: u64) -> BTreeMap<String, Vec<String>> {
    let mut dice = Rng::with_seed(seed);
    let mut edges = BTreeSet::new();
    while edges.len() < EDGES {
        let component = dice.usize(1..COMPONENTS);
        edges.insert((component, dice.usize(0..component)));
    }
    let name = |component: usize| format!("component-{component:05}");
    let mut requires: BTreeMap<String, Vec<String>> =
        (0..COMPONENTS).map(|c| (name(c), Vec::new())).collect();
    for (component, required) in edges {
        requires
            .entry(name(component))
            .or_default()
            .push(name(required));
    }
    requires
}

/// Measures it.
pub async fn measure(seed: u64) -> Result<Vec<Measured>, String> {
    let process = server::start(&["planned", &seed.to_string()])?;
    let planned: Planned = server::said(process, "the plan").await?;
    Ok(vec![
        Measured::median(Figure {
            name: "plan_seconds",
            what: "domain::plan, 10,000 components, 30,000 edges".into(),
            value: planned.seconds,
            shown: format!("{:.0} ms", planned.seconds * 1e3),
            bar: Bar::Most(0.2),
            told: "≤ 200 ms".into(),
        }),
        Measured::median(Figure {
            name: "plan_peak_bytes",
            what: "the same: peak RSS of the process".into(),
            value: planned.peak as f64,
            shown: format!("{:.0} MB", planned.peak as f64 / 1e6),
            bar: Bar::Most(64e6),
            told: "≤ 64 MB".into(),
        }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_graph_has_its_components_and_edges() {
        let requires = draw(1);
        assert_eq!(requires.len(), COMPONENTS);
        assert_eq!(requires.values().map(Vec::len).sum::<usize>(), EDGES);
    }
}
