//! `verify`: downloads a release and checks all of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use commons_domain::documents::SIGNATURE;
use commons_domain::signature::PublicKey;
use commons_verify::checks::{self, Check};
use commons_verify::source::{self, Seen};
use commons_verify::target::Target;

/// Downloads a release and checks all of it.
#[derive(Parser)]
struct Arguments {
    /// A version, or the address of a release's page.
    release: String,
    /// The release repository, where a version is given.
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// The public key, PEM, that you trust.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// GitHub's API, where it is not the page's own.
    #[arg(long, env = "GITHUB_API_URL", value_name = "URL")]
    api_url: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match verify(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// Whether all of it is right; a fault is one sentence.
async fn verify(arguments: &Arguments) -> Result<bool, String> {
    let (repository, api) = (
        arguments.repository.as_deref(),
        arguments.api_url.as_deref(),
    );
    let target = Target::parse(&arguments.release, repository, api)?;
    let trusted = arguments.key.as_ref().map(read_key).transpose()?;
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let seen = source::download(&target, folder.path()).await?;
    let own = own_key(&seen);
    let key = trusted.as_ref().or(own.as_ref());
    let checks = checks::all(&target, &seen, folder.path(), key);
    for Check { what, faults } in &checks {
        println!(
            "{} {what}",
            if faults.is_empty() { "ok   " } else { "WRONG" }
        );
        faults.iter().for_each(|fault| println!("        {fault}"));
    }
    let right = checks.iter().all(|check| check.faults.is_empty());
    let name = format!("{} of {}", target.version, target.repository);
    println!(
        "{name} is {}",
        if right {
            "verified"
        } else {
            "NOT what it should be"
        }
    );
    match (&trusted, &own) {
        (Some(_), _) => {}
        (None, Some(key)) => println!(
            "The key {} is the release's own: who gave it to you? Give the one that you trust with --key.",
            key.id()
        ),
        (None, None) if seen.files.contains_key(SIGNATURE) => {
            println!(
                "It is signed, by whom was not looked at: give the key that you trust with --key."
            );
        }
        (None, None) => println!("It is not signed: nothing shows who published it."),
    }
    Ok(right)
}

fn read_key(path: &PathBuf) -> Result<PublicKey, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    PublicKey::from_pem(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The key that the release's notes carry.
fn own_key(seen: &Seen) -> Option<PublicKey> {
    let notes = seen.release.body.as_deref()?;
    let begins = notes.find("-----BEGIN PUBLIC KEY-----")?;
    let end = "-----END PUBLIC KEY-----";
    let ends = notes[begins..].find(end)? + begins + end.len();
    PublicKey::from_pem(&notes[begins..ends].replace('\r', "")).ok()
}
