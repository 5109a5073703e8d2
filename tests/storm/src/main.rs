//! `storm`: what the `commons` command builds in release mode and starts.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use storm::Figures;
use storm::storm::plan::Plan;
use storm::storm::report::Report;
use storm::storm::run::{Done, Size};
use storm::storm::world::Played;
use storm::storm::{local, log, odds, run, shrink};

#[derive(Parser)]
struct Arguments {
    /// How many releases.
    #[arg(long, default_value_t = 1000)]
    releases: usize,
    /// What everything is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many releases more go through the whole local cloud; 5 % of the others, and at
    /// least 10, unless told otherwise.
    #[arg(long)]
    local: Option<usize>,
    /// How many plans are played at a time; as many as there are cores.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where plans that went wrong are written, whole and shrunk.
    #[arg(long, default_value = "target/storm")]
    out: PathBuf,
    /// Writes plans that went wrong as they are, and makes none smaller.
    #[arg(long)]
    whole: bool,
    /// Plays one plan that was written before.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Prints what goes wrong with which odds.
    #[arg(long)]
    odds: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.odds {
        print!("{}", odds::table());
        return ExitCode::SUCCESS;
    }
    let stormed = match &arguments.replay {
        Some(path) => replay(path, &arguments.out),
        None => storm(&arguments),
    };
    match stormed {
        Ok(report) => {
            println!("{}", report.line());
            if report.is_clean() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn replay(path: &Path, out: &Path) -> Result<Report, String> {
    log::watch();
    let told = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read(path).map_err(|error| told(error.to_string()))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| told(error.to_string()))?;
    let began = std::time::Instant::now();
    let played = run::here(plan.clone())?;
    for fault in &played.faults {
        eprintln!("{fault}");
    }
    for finding in &played.findings {
        eprintln!("{finding}");
    }
    tell_story(out, plan.seed, &played)?;
    let mut report = Report {
        releases: plan.versions.len(),
        seconds: began.elapsed().as_secs_f64(),
        ..Report::default()
    };
    report.add(&played, plan.builds());
    Ok(report)
}

fn storm(arguments: &Arguments) -> Result<Report, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let size = Size {
        releases: arguments.releases.max(1),
        seed: arguments.seed,
        at_once: arguments.jobs.unwrap_or(cores),
    };
    let (mut wrong, mut figures) = (Vec::new(), Figures::default());
    let mut report = run::run(size, |done, report| {
        tell(done, report, size.releases);
        if let Ok(played) = &done.played {
            figures.add_all(&played.figures);
        }
        if let Ok(played) = &done.played
            && !played.story.is_empty()
            && let Err(error) = tell_story(&arguments.out, done.plan.seed, played)
        {
            eprintln!("{error}");
        }
        let is_wrong = done.played.as_ref().is_ok_and(|p| !p.findings.is_empty());
        if is_wrong {
            wrong.push(done.plan.clone());
        }
    })?;
    eprintln!("\n{figures}");
    let twentieth = (size.releases / 20).max(10);
    let local = arguments.local.unwrap_or(twentieth);
    local::run(local, arguments.seed, &mut report, |line| {
        eprintln!("{line}")
    })?;
    for plan in wrong {
        keep(&plan, arguments)?;
    }
    Ok(report)
}

/// One line per plan, or on a terminal one line that changes.
fn tell(done: &Done, report: &Report, of: usize) {
    let mut out = std::io::stderr();
    let line = format!(
        "{} of {of} releases, {} builds, {} faults, {:.0} s; seed {}",
        report.releases, report.builds, report.faults_injected, report.seconds, done.plan.seed
    );
    // What cannot be told is not worth an end.
    let _ = if out.is_terminal() {
        write!(out, "\r{line}\x1b[K")
    } else {
        writeln!(out, "{line}")
    };
    let Ok(played) = &done.played else { return };
    for finding in &played.findings {
        let versions = done.plan.versions.len();
        let again = format!("--releases {versions} --seed {} --local 0", done.plan.seed);
        let _ = writeln!(out, "\n{finding}\n  again: cargo commons storm {again}");
    }
}

/// Writes what happened, a line each.
fn tell_story(folder: &Path, seed: u64, played: &Played) -> Result<(), String> {
    let path = folder.join(format!("{seed}.txt"));
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(told)?;
    std::fs::write(&path, played.story.join("\n")).map_err(told)
}

/// Writes a plan that went wrong, and the smallest that does so too.
fn keep(plan: &Plan, arguments: &Arguments) -> Result<(), String> {
    let folder = &arguments.out;
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(told)?;
    let write = |name: String, plan: &Plan| {
        let text = serde_json::to_vec_pretty(plan).map_err(|error| error.to_string())?;
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(told)?;
        eprintln!("written: {}", path.display());
        Ok::<(), String>(())
    };
    write(format!("{}.json", plan.seed), plan)?;
    if arguments.whole {
        return Ok(());
    }
    let played = run::here(plan.clone())?;
    tell_story(folder, plan.seed, &played)?;
    if played.findings.is_empty() {
        eprintln!("it did not go wrong again: there is nothing to shrink");
        return Ok(());
    }
    let smallest = shrink::shrink(plan, &played, run::here, |smaller| {
        let faults = smaller
            .only
            .as_ref()
            .map_or(0, std::collections::BTreeSet::len);
        let (versions, components) = (smaller.versions.len(), smaller.components.len());
        eprintln!("smaller: {versions} versions, {components} components, {faults} faults");
    });
    write(format!("{}-shrunk.json", plan.seed), &smallest)
}
