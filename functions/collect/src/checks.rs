//! What all artifacts of a build together must be: every declared binary is there, what a
//! file of sums says of others holds, and a name has one content.

use std::collections::BTreeMap;

use commons_artifacts::intake::File;
use commons_artifacts::{Asset, Verification, base_name, binaries};
use commons_domain::names::Sha256;
use commons_github::Artifact;

use crate::Job;
use crate::receive::Received;

/// A file whose every entry must be there.
const WHOLE: &str = "SHA256SUMS";

/// Whether a file is, or holds, a binary.
fn holds(job: &Job, binary: &str, file: &File) -> bool {
    let members: Vec<String> = file.members.iter().map(|m| base_name(&m.path)).collect();
    binaries::holds(binary, &job.version, &base_name(&file.path), &members)
}

/// Whether one of the files is, or holds, a declared binary.
pub fn holds_any(job: &Job, received: &Received) -> bool {
    let files = received.files.iter();
    files
        .flat_map(|(file, _)| job.binaries.iter().map(move |binary| (binary, file)))
        .any(|(binary, file)| holds(job, binary, file))
}

/// Something of what is declared is there, where anything is.
pub fn artifacts(job: &Job, found: &[Artifact], chosen: &[Artifact]) -> Result<(), Verification> {
    if job.artifacts.is_empty() || !chosen.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = found.iter().map(|a| a.name.as_str()).collect();
    Err(Verification::MissingArtifact {
        component: job.component.clone(),
        globs: job.artifacts.join(", "),
        looked_in: listed(&names),
    })
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "no artifact".to_owned()
    } else {
        names.join(", ")
    }
}

/// Every declared binary is there.
pub fn binaries(job: &Job, received: &[Received]) -> Result<(), Verification> {
    let files: Vec<&File> = all(received).collect();
    for binary in &job.binaries {
        if files.iter().any(|file| holds(job, binary, file)) {
            continue;
        }
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        return Err(Verification::MissingBinary {
            component: job.component.clone(),
            binary: binary.clone(),
            looked_in: listed(&names),
        });
    }
    Ok(())
}

/// What files of sums say of files that are there is true. One named `SHA256SUMS` says it
/// of all its entries; another may name what is elsewhere. What is within an archive
/// counts too.
pub fn sums(received: &[Received]) -> Result<(), Verification> {
    for sums in all(received) {
        let folder = sums.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (name, said) in &sums.sums {
            let path = name.trim_start_matches("./");
            let path = if folder.is_empty() {
                path.to_owned()
            } else {
                format!("{folder}/{path}")
            };
            let found = found(received, &path, name);
            if found.is_empty() && base_name(&sums.path) == WHOLE {
                return Err(Verification::SumWithoutFile {
                    sums: sums.path.clone(),
                    name: name.clone(),
                });
            }
            if let Some(got) = found.first().filter(|_| !found.contains(&said)) {
                return Err(Verification::SumMismatch {
                    sums: sums.path.clone(),
                    name: name.clone(),
                    said: said.clone(),
                    got: (*got).clone(),
                });
            }
        }
    }
    Ok(())
}

/// The sums of what a name may mean: the file at that path, else those of that last part,
/// else what is within archives.
fn found<'a>(received: &'a [Received], path: &str, name: &str) -> Vec<&'a Sha256> {
    let of = |is: &dyn Fn(&File) -> bool| -> Vec<&'a Sha256> {
        all(received)
            .filter(|file| is(file))
            .map(|file| &file.sha256)
            .collect()
    };
    let exactly = of(&|file| file.path == path);
    if !exactly.is_empty() {
        return exactly;
    }
    let last = base_name(name);
    let by_name = of(&|file| base_name(&file.path) == last);
    if !by_name.is_empty() {
        return by_name;
    }
    all(received)
        .flat_map(|file| &file.members)
        .filter(|member| base_name(&member.path) == last)
        .map(|member| &member.sha256)
        .collect()
}

/// The assets, by name: one content of a name once, two contents of a name never.
pub fn assets(job: &Job, received: &[Received]) -> Result<Vec<Asset>, Verification> {
    let prefix = job.asset_prefix.as_deref().unwrap_or_default();
    let mut assets: BTreeMap<String, Asset> = BTreeMap::new();
    for Received { artifact, files } in received {
        for (file, key) in files {
            let asset = Asset {
                name: format!("{prefix}{}", base_name(&file.path)),
                size: file.size,
                sha256: file.sha256.clone(),
                key: key.clone(),
                artifact: artifact.clone(),
                path_in_artifact: file.path.clone(),
            };
            let place = |asset: &Asset| {
                format!(
                    "{} of artifact {}",
                    asset.path_in_artifact, asset.artifact.name
                )
            };
            match assets.get(&asset.name) {
                None => {
                    assets.insert(asset.name.clone(), asset);
                }
                Some(first) if first.sha256 == asset.sha256 => {}
                Some(first) => {
                    return Err(Verification::NameClash {
                        first: place(first),
                        second: place(&asset),
                        name: asset.name,
                    });
                }
            }
        }
    }
    Ok(assets.into_values().collect())
}

fn all(received: &[Received]) -> impl Iterator<Item = &File> {
    received.iter().flat_map(|r| &r.files).map(|(file, _)| file)
}
