//! Runs the plans of a storm, one on each core at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::plan::Plan;
use super::report::Report;
use super::world::{Played, play};
use super::{log, odds};

/// How large a storm is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Releases.
    pub releases: usize,
    /// Decides everything.
    pub seed: u64,
    /// How many plans are played at a time.
    pub at_once: usize,
}

/// A plan, and what it came to.
#[derive(Debug)]
pub struct Done {
    /// The plan.
    pub plan: Plan,
    /// What came of it.
    pub played: Result<Played, String>,
}

/// The plans of a storm: the first has the storm's own seed, so that one plan is played
/// again by its seed and its number of versions.
pub fn plans(size: Size) -> Vec<Plan> {
    let (mut plans, mut left, mut seed) = (Vec::new(), size.releases, size.seed);
    while left > 0 {
        let plan = Plan::draw(seed, left);
        left -= plan.versions.len();
        plans.push(plan);
        // As JSON has it, no number is larger.
        seed = odds::dice(seed, "the next plan").u64(..1 << 53);
    }
    plans
}

/// Plays a storm; tells of each plan when it is over.
///
/// # Errors
/// A plan that could not be played; one sentence.
pub fn run(size: Size, mut tell: impl FnMut(&Done, &Report)) -> Result<Report, String> {
    log::watch();
    let began = Instant::now();
    let plans = plans(size);
    let next = AtomicUsize::new(0);
    let (done, dones) = mpsc::channel();
    let mut report = Report::default();
    thread::scope(|threads| {
        for _ in 0..size.at_once.clamp(1, plans.len()) {
            let (done, plans, next) = (done.clone(), &plans, &next);
            threads.spawn(move || {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let played = here(plan.clone());
                    let plan = plan.clone();
                    // An error: nobody waits for it any more.
                    if done.send(Done { plan, played }).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for done in dones {
            if let Ok(played) = &done.played {
                report.releases += done.plan.versions.len();
                report.add(played, done.plan.builds());
            }
            report.seconds = began.elapsed().as_secs_f64();
            tell(&done, &report);
            done.played?;
        }
        Ok(report)
    })
}

/// Plays one plan on this thread.
///
/// # Errors
/// It could not be played; one sentence.
pub fn here(plan: Plan) -> Result<Played, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(play(plan))
}
