//! `commons plan`: what a manifest says, without a network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use commons_domain::manifest::Manifest;

use crate::refuse;

/// What to plan.
#[derive(clap::Args)]
pub struct Arguments {
    /// The manifest, a versions.toml.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// Print JSON: order, groups, critical_path.
    #[arg(long)]
    json: bool,
}

/// Reads a manifest; its faults as sentences.
pub fn read(path: &Path) -> Result<Manifest, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("{}: {error}", path.display())])?;
    Manifest::parse(&text).map_err(|faults| faults.0)
}

/// Prints the plan; 2 and the faults on bad input.
pub fn run(arguments: &Arguments) -> ExitCode {
    let plan = match read(&arguments.manifest) {
        Ok(manifest) => manifest.plan(),
        Err(faults) => return refuse(&faults),
    };
    if arguments.json {
        println!("{}", serde_json::json!(plan));
        return ExitCode::SUCCESS;
    }
    println!("Order ({} components)", plan.order.len());
    for (n, name) in plan.order.iter().enumerate() {
        println!("  {:>3}. {name}", n + 1);
    }
    println!("\nParallel groups (a build starts when its own requirements are green)");
    for (n, group) in plan.groups.iter().enumerate() {
        println!("  {:>3}. {}", n + 1, group.join(", "));
    }
    println!(
        "\nCritical path ({} builds)\n  {}",
        plan.critical_path.len(),
        plan.critical_path.join(" → ")
    );
    ExitCode::SUCCESS
}
