//! Serves the fixture organisation until it is interrupted.

use std::path::PathBuf;

use clap::Parser;
use github_simulator::{Settings, Simulator, fixture_repositories};

/// A faithful GitHub on 127.0.0.1
#[derive(Parser)]
struct Arguments {
    /// The port; any free one otherwise
    #[arg(long)]
    port: Option<u16>,
    /// Simulated seconds per real second
    #[arg(long, default_value_t = 60.0)]
    speed: f64,
    /// The bearer token that calls must carry
    #[arg(long, default_value = "simulated-token")]
    token: String,
    /// Makes the organisation of this manifest instead of the six of BTCDecoded
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The repository that holds the manifest and gets the release
    #[arg(long, value_name = "OWNER/NAME", default_value = "BTCDecoded/bllvm")]
    release_repository: String,
    /// Where signed webhooks are sent
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    webhook: Option<String>,
    /// What signs the webhooks
    #[arg(long, value_name = "SECRET", requires = "webhook")]
    webhook_secret: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let manifest = match &arguments.manifest {
        None => include_str!("../../fixtures/versions.toml").into(),
        Some(path) => std::fs::read_to_string(path)?,
    };
    let repositories = fixture_repositories(&manifest, &arguments.release_repository)?;
    let settings = Settings {
        port: arguments.port,
        token: arguments.token,
        speed: arguments.speed,
        webhook: arguments.webhook.zip(arguments.webhook_secret),
        ..Settings::default()
    };
    let simulator = Simulator::start(settings).await?;
    for repository in repositories {
        simulator.add_repository(repository);
    }
    println!("{}", simulator.api_url());
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}
