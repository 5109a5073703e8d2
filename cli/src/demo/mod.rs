//! `commons demo`: a whole release on this machine, from a signed webhook to
//! published assets, on the real functions under the real definition.

mod rehearsal;
mod report;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use commons_domain::manifest::Manifest;
use commons_domain::names::Version;

use crate::{interrupted, plan, refuse};

/// The six components of the first organisation.
const MANIFEST: &str = include_str!("../../../tests/fixtures/versions.toml");

/// How to rehearse.
#[derive(clap::Args)]
pub struct Arguments {
    /// The version to release.
    #[arg(long, default_value = "v0.1.0")]
    version: String,
    /// Release the components of this manifest instead of the six of the fixture.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Simulated seconds per real second.
    #[arg(long, default_value_t = 60.0)]
    speed: f64,
    /// Let every attempt of this component fail.
    #[arg(long, value_name = "COMPONENT")]
    fail: Option<String>,
    /// Write what happened to timeline.txt in this folder, on failure too; download the
    /// published assets into it and check their sums.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave everything running until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Write what happened to this file, on failure too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a rehearsal releases.
pub struct Wanted {
    /// The version.
    pub version: Version,
    /// The manifest's text.
    pub text: String,
    /// The manifest.
    pub manifest: Manifest,
    /// Simulated seconds per real second.
    pub speed: f64,
    /// The component that fails.
    pub fail: Option<String>,
}

/// Checks the input, then carries the release.
pub fn run(arguments: &Arguments) -> ExitCode {
    let wanted = match check(arguments) {
        Ok(wanted) => wanted,
        Err(faults) => return refuse(&faults),
    };
    if let Err(missing) = local_cloud::check_prerequisites() {
        eprintln!("{missing}");
        if let Some(line) = missing.apt_line() {
            eprintln!("{line}");
        }
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&[format!("the runtime does not start: {error}")]),
    };
    runtime.block_on(async {
        let (rehearsal, code) = tokio::select! {
            carried = carry(arguments, &wanted) => carried,
            code = interrupted() => {
                eprintln!("interrupted");
                return ExitCode::from(code);
            }
        };
        if let Some(rehearsal) = rehearsal {
            if arguments.keep {
                rehearsal.print_addresses(&wanted.version);
                interrupted().await;
            }
            rehearsal.stop().await;
        }
        code
    })
}

fn check(arguments: &Arguments) -> Result<Wanted, Vec<String>> {
    let mut faults = Vec::new();
    let version = Version::new(&arguments.version);
    if let Err(error) = &version {
        faults.push(error.to_string());
    }
    let text = match &arguments.manifest {
        None => Ok(MANIFEST.to_owned()),
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| vec![format!("{}: {error}", path.display())]),
    };
    let manifest = match &arguments.manifest {
        Some(path) => plan::read(path),
        None => Manifest::parse(MANIFEST).map_err(|faults| faults.0),
    };
    if !(arguments.speed.is_finite() && arguments.speed > 0.0) {
        faults.push(format!("--speed {} is not above 0", arguments.speed));
    }
    if let (Ok(manifest), Some(fail)) = (&manifest, &arguments.fail)
        && !manifest.components().contains_key(fail)
    {
        faults.push(format!("--fail {fail}: the manifest has no such component"));
    }
    if let Some(out) = &arguments.out
        && let Err(error) = std::fs::create_dir_all(out)
    {
        faults.push(format!("--out {}: {error}", out.display()));
    }
    match (version, text, manifest) {
        (Ok(version), Ok(text), Ok(manifest)) if faults.is_empty() => Ok(Wanted {
            version,
            text,
            manifest,
            speed: arguments.speed,
            fail: arguments.fail.clone(),
        }),
        (_, _, Err(more)) | (_, Err(more), _) => Err(faults.into_iter().chain(more).collect()),
        _ => Err(faults),
    }
}

/// Carries the release; what it ran on, if that started, and the exit code.
async fn carry(arguments: &Arguments, wanted: &Wanted) -> (Option<rehearsal::Rehearsal>, ExitCode) {
    let failed = |error: local_cloud::Error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    };
    match rehearsal::Rehearsal::start(wanted).await {
        Ok(rehearsal) => {
            let code = finish(arguments, wanted, &rehearsal).await;
            (Some(rehearsal), code.unwrap_or_else(failed))
        }
        Err(error) => (None, failed(error)),
    }
}

async fn finish(
    arguments: &Arguments,
    wanted: &Wanted,
    rehearsal: &rehearsal::Rehearsal,
) -> Result<ExitCode, local_cloud::Error> {
    let execution = rehearsal.send_tag(&wanted.version).await?;
    watch::until_ended(rehearsal, wanted, &execution).await?;
    let report = report::Report::gather(rehearsal, wanted, &execution).await?;
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    if let Some(out) = &arguments.out {
        let path = out.join("timeline.txt");
        rehearsal.write_timeline(&wanted.version, &path).await?;
    }
    let mut whole = report.print(wanted);
    if whole && let Some(out) = &arguments.out {
        whole = report.download(rehearsal, out).await?;
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
