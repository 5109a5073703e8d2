//! Serves the fixture organisation until it is interrupted.

use std::path::PathBuf;

use clap::Parser;
use github_simulator::{
    Component, Settings, Simulator, fixture_repositories, fixture_repositories_for,
};

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
    #[arg(
        long,
        value_name = "OWNER/NAME",
        default_value = "BTCDecoded/bllvm-commons"
    )]
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
    let repositories = match &arguments.manifest {
        None => fixture_repositories(
            include_str!("../../fixtures/versions.toml"),
            &arguments.release_repository,
        ),
        Some(path) => {
            let manifest = std::fs::read_to_string(path)?;
            let components = components(&manifest, &arguments.release_repository)?;
            fixture_repositories_for(&components, &manifest, &arguments.release_repository)
        }
    };
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

/// What the repositories need to know of a manifest; it is not checked here.
fn components(manifest: &str, release_repository: &str) -> Result<Vec<Component>, toml::de::Error> {
    let manifest: toml::Table = toml::from_str(manifest)?;
    let owner = release_repository.split('/').next().unwrap_or_default();
    let entries = manifest.get("versions").and_then(toml::Value::as_table);
    let component = |(name, entry): (&String, &toml::Value)| {
        let text = |key: &str| {
            entry
                .get(key)
                .and_then(toml::Value::as_str)
                .map(String::from)
        };
        let repository = text("repository").unwrap_or_else(|| name.clone());
        let repository = match repository.contains('/') {
            true => repository,
            false => format!("{owner}/{repository}"),
        };
        let binaries = entry.get("binaries").and_then(toml::Value::as_array);
        let binaries = binaries
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str);
        let workflow = text("workflow").unwrap_or_else(|| "build.yml".into());
        // The release repository's tag is made by the release.
        let tag = text("git_tag").filter(|tag| !tag.is_empty() && repository != release_repository);
        Component {
            name: name.clone(),
            binaries: binaries.map(String::from).collect(),
            workflow: format!(".github/workflows/{workflow}"),
            event_types: vec![text("event_type").unwrap_or_else(|| "build-chain".into())],
            tags: tag.into_iter().collect(),
            repository,
        }
    };
    Ok(entries.into_iter().flatten().map(component).collect())
}
