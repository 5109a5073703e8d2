//! From one component to the next: what lies between the end of a run and the dispatch
//! that it lets go, and what all of that adds to a release.

use std::path::Path;

use fastrand::Rng;

use super::Measured;
use super::place::{Carried, Place, Setting};
use crate::figures::{Bar, Figure, median};

/// Releases, each of which hands on four times.
const RELEASES: usize = 25;
/// What a run takes, in seconds: in the queue, and running.
const RUN: (f64, f64) = (0.2, 1.0);
/// No budget of GitHub's is in the way: it takes 500 writes an hour, and these releases
/// write more in minutes.
const NO_BUDGET: &str = "1000000";
/// Each wait, where no webhook comes.
const POLLED: f64 = 5.0;

fn unhindered() -> Vec<(&'static str, String)> {
    vec![
        ("WritesPerMinute", NO_BUDGET.into()),
        ("WritesPerHour", NO_BUDGET.into()),
        ("SecondsBetweenWrites", "0".into()),
    ]
}

/// Releases one after another, with webhooks.
pub async fn pushed(functions: &Path) -> Result<Vec<Measured>, String> {
    let setting = Setting {
        speed: 1.0,
        webhooks: true,
        parameters: unhindered(),
    };
    let place = Place::start(functions, setting).await?;
    place.runs_take(|_| RUN)?;
    place.release("v0.0.1").await?;
    let mut carried: Vec<Carried> = Vec::new();
    for number in 0..RELEASES {
        carried.push(place.release(&format!("v0.1.{number}")).await?);
    }
    let mut handoffs: Vec<f64> = carried.iter().flat_map(|c| c.handoffs.clone()).collect();
    handoffs.sort_by(f64::total_cmp);
    let what = format!(
        "green recorded → dependent's dispatch at GitHub, {}",
        handoffs.len()
    );
    let seconds = |name, what: &str, value, most| Figure::seconds(name, what, value, most);
    Ok(vec![
        Measured::median(seconds(
            "handoff_p50",
            &format!("{what}: p50"),
            quantile(&handoffs, 0.5),
            0.6,
        )),
        Measured::median(seconds(
            "handoff_p99",
            &format!("{what}: p99"),
            quantile(&handoffs, 0.99),
            1.5,
        )),
        Measured::median(seconds(
            "beyond_path",
            "webhook → last build complete, beyond the critical path, six components",
            median(carried.iter().map(|c| c.beyond)),
            5.0,
        )),
    ])
}

/// Releases once by polling alone.
pub async fn polled(functions: &Path, seed: u64) -> Result<Vec<Measured>, String> {
    let mut parameters = unhindered();
    for wait in ["PollSoonSeconds", "PollNormalSeconds", "PollLongSeconds"] {
        parameters.push((wait, POLLED.to_string()));
    }
    let setting = Setting {
        speed: 1.0,
        webhooks: false,
        parameters,
    };
    let place = Place::start(functions, setting).await?;
    place.runs_take(|_| (0.0, 0.1))?;
    place.release_by_hand("v0.0.1").await?;
    // Where between two looks a run ends is chance.
    let mut dice = Rng::with_seed(seed);
    let drawn: Vec<f64> = (0..6).map(|_| 1.0 + 2.0 * POLLED * dice.f64()).collect();
    let names = std::cell::RefCell::new(drawn.into_iter());
    place.runs_take(|_| (0.5, names.borrow_mut().next().unwrap_or(POLLED)))?;
    let carried = place.release_by_hand("v0.1.0").await?;
    let value = carried.beyond / carried.on_path as f64;
    Ok(vec![Measured::median(Figure {
        shown: format!("{value:.2} s, {} builds", carried.on_path),
        bar: Bar::Most(6.0),
        ..Figure::seconds(
            "polled_beyond_path",
            "the same by polling alone with 5 s waits, per build on the path",
            value,
            6.0,
        )
    })])
}

/// Of values in order: the one that so large a part of them is not above.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(at.max(1) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.5), 50.0);
        assert_eq!(quantile(&hundred, 0.99), 99.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
