//! What must be true of a release. Each check is told with what it looked at, the faults
//! all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use commons_domain::documents::dsse::{self, Envelope};
use commons_domain::documents::{
    PROVENANCE, RELEASE_MANIFEST, ReleaseManifest, SIGNATURE, SUMS, VERSIONS, is_document,
};
use commons_domain::manifest::Manifest;
use commons_domain::names::Sha256;
use commons_domain::signature::PublicKey;
use commons_domain::sums;
use serde_json::Value;

use crate::source::Seen;
use crate::target::Target;

/// A check, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is looked at.
    pub what: String,
    /// What is wrong with it; nothing where it is right.
    pub faults: Vec<String>,
}

impl Check {
    fn new(what: impl Into<String>, faults: Vec<String>) -> Self {
        Self {
            what: what.into(),
            faults,
        }
    }
}

/// All checks of a release whose files are in `folder`, with this key, if one is trusted.
pub fn all(target: &Target, seen: &Seen, folder: &Path, key: Option<&PublicKey>) -> Vec<Check> {
    let read = |name: &str| {
        std::fs::read(folder.join(name)).map_err(|error| format!("{name} cannot be read: {error}"))
    };
    let mut checks = vec![downloads(seen), listed(seen, read(SUMS))];
    if let Some(key) = key {
        checks.push(signature(key, read(SUMS), read(SIGNATURE)));
    }
    let manifest = read(RELEASE_MANIFEST).and_then(|bytes| {
        serde_json::from_slice::<ReleaseManifest>(&bytes)
            .map_err(|error| format!("{RELEASE_MANIFEST} cannot be read: {error}"))
    });
    match manifest {
        Ok(manifest) => {
            checks.push(origins(target, seen, &manifest));
            checks.push(versions(&manifest, read(VERSIONS)));
            if let Some(key) = key.filter(|_| !manifest.assets.is_empty()) {
                checks.push(provenance(key, &manifest, read(PROVENANCE)));
            }
        }
        Err(fault) => checks.push(Check::new(RELEASE_MANIFEST, vec![fault])),
    }
    checks
}

/// What was downloaded is what GitHub tells of it.
fn downloads(seen: &Seen) -> Check {
    let faults = seen.release.assets.iter().filter_map(|asset| {
        let file = seen.files.get(&asset.name)?;
        let told = asset.digest.as_deref().map(Sha256::parse);
        let same = match told {
            None => true,
            Some(told) => told.is_ok_and(|told| told == file.sha256),
        };
        let fault = format!("{} is not what GitHub tells of it", asset.name);
        (file.size != asset.size || !same).then_some(fault)
    });
    let bytes: u64 = seen.files.values().map(|file| file.size).sum();
    let what = format!(
        "{} files, {bytes} bytes, as GitHub has them",
        seen.files.len()
    );
    Check::new(what, faults.collect())
}

/// The sums are those of all files but themselves and their signature, and true.
fn listed(seen: &Seen, text: Result<Vec<u8>, String>) -> Check {
    let mut faults = Vec::new();
    let sums = text
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .and_then(|text| sums::parse(&text).map_err(|fault| format!("{SUMS}: {fault}")));
    let sums: BTreeMap<String, Sha256> = match sums {
        Ok(sums) => sums.into_iter().collect(),
        Err(fault) => {
            faults.push(fault);
            BTreeMap::new()
        }
    };
    for (name, sum) in &sums {
        match seen.files.get(name) {
            Some(file) if file.sha256 == *sum => {}
            Some(file) => faults.push(format!(
                "{name} has the sum {}, and {SUMS} says {sum}",
                file.sha256
            )),
            None => faults.push(format!("{name} is listed and not there")),
        }
    }
    let unlisted = seen
        .files
        .keys()
        .filter(|name| *name != SUMS && *name != SIGNATURE && !sums.contains_key(*name));
    faults.extend(unlisted.map(|name| format!("{name} is there and not listed")));
    Check::new(format!("{SUMS}, {} files", sums.len()), faults)
}

fn signature(
    key: &PublicKey,
    text: Result<Vec<u8>, String>,
    signature: Result<Vec<u8>, String>,
) -> Check {
    let what = format!("{SIGNATURE}, by the key {}", key.id());
    let faults = match (text, signature) {
        (Ok(text), Ok(signature)) if key.verifies(&text, &signature) => Vec::new(),
        (Ok(_), Ok(_)) => vec![format!("it is not this key's signature of {SUMS}")],
        (text, signature) => [text.err(), signature.err()]
            .into_iter()
            .flatten()
            .collect(),
    };
    Check::new(what, faults)
}

/// Every file is a document or was built, and is what the release manifest says.
fn origins(target: &Target, seen: &Seen, manifest: &ReleaseManifest) -> Check {
    let mut faults = Vec::new();
    if manifest.version != target.version || manifest.repository != target.repository {
        faults.push(format!(
            "it is of {} of {}",
            manifest.version, manifest.repository
        ));
    }
    if manifest.commit.as_deref() != Some(&seen.commit) {
        let built = manifest.commit.as_deref().unwrap_or("nothing");
        faults.push(format!(
            "the tag is at {}, and {built} was released",
            seen.commit
        ));
    }
    let mut named = BTreeSet::new();
    for asset in &manifest.assets {
        named.insert(asset.name.as_str());
        match seen.files.get(&asset.name) {
            Some(file) if file.sha256 == asset.sha256 && file.size == asset.size => {}
            Some(_) => faults.push(format!("{} is not what was built", asset.name)),
            None => faults.push(format!("{} was built and is not there", asset.name)),
        }
        let of = manifest
            .components
            .iter()
            .find(|c| c.name == asset.component);
        let origin = of.map(|c| (&c.repository, &c.commit, c.run_id, c.run_attempt));
        let own = (
            &asset.repository,
            &asset.commit,
            asset.run_id,
            asset.run_attempt,
        );
        if origin != Some(own) {
            faults.push(format!(
                "{} and its component have different origins",
                asset.name
            ));
        }
    }
    let unknown = seen.files.keys();
    let unknown = unknown.filter(|name| !is_document(name) && !named.contains(name.as_str()));
    faults.extend(unknown.map(|name| format!("{name} is there, and nothing built it")));
    let what = format!(
        "{RELEASE_MANIFEST}, {} components, {} files that were built",
        manifest.components.len(),
        manifest.assets.len()
    );
    Check::new(what, faults)
}

/// The manifest names the commits that were built.
fn versions(manifest: &ReleaseManifest, text: Result<Vec<u8>, String>) -> Check {
    let read = text
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .and_then(|text| Manifest::parse(&text).map_err(|fault| format!("{VERSIONS}: {fault}")));
    let faults = match read {
        Err(fault) => vec![fault],
        Ok(versions) => {
            let built = manifest.components.iter();
            let wrong = built.filter(|component| {
                let entry = versions.components().get(&component.name);
                entry.is_none_or(|entry| entry.git_commit != component.commit)
            });
            wrong
                .map(|c| {
                    format!(
                        "{} was built at {}, and it says otherwise",
                        c.name, c.commit
                    )
                })
                .collect()
        }
    };
    Check::new(VERSIONS, faults)
}

/// By a file's name its sum, and the commit that it is from.
type Subjects = BTreeMap<String, (Sha256, String)>;

/// Each statement is signed, and each file that was built is the subject of one, which
/// names the commit that it was built from.
fn provenance(key: &PublicKey, manifest: &ReleaseManifest, text: Result<Vec<u8>, String>) -> Check {
    let text = match text {
        Ok(text) => text,
        Err(fault) => return Check::new(PROVENANCE, vec![fault]),
    };
    let mut faults = Vec::new();
    let mut subjects = Subjects::new();
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut count = 0;
    for (n, line) in lines.enumerate() {
        count += 1;
        match statement(key, line) {
            Ok(found) => subjects.extend(found),
            Err(fault) => faults.push(format!("line {}: {fault}", n + 1)),
        }
    }
    for asset in &manifest.assets {
        match subjects.get(&asset.name) {
            Some((sum, commit)) if *sum == asset.sha256 && *commit == asset.commit => {}
            Some(_) => faults.push(format!("it says otherwise of {}", asset.name)),
            None => faults.push(format!("it does not tell of {}", asset.name)),
        }
    }
    Check::new(format!("{PROVENANCE}, {count} statements"), faults)
}

/// The subjects of a signed statement.
fn statement(key: &PublicKey, line: &[u8]) -> Result<Subjects, String> {
    let envelope: Envelope = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let (payload, signatures) = envelope.open().map_err(|error| error.to_string())?;
    let signed = dsse::signed_bytes(&payload);
    if !signatures
        .iter()
        .any(|signature| key.verifies(&signed, signature))
    {
        return Err("it is not signed by this key".into());
    }
    let statement: Value = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    let source = &statement["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    let commit = source["digest"]["gitCommit"].as_str();
    let commit = commit.ok_or("it names no commit")?;
    let subjects = statement["subject"]
        .as_array()
        .ok_or("it has no subjects")?;
    let subject = |subject: &Value| {
        let name = subject["name"].as_str()?.to_owned();
        let sum = Sha256::parse(subject["digest"]["sha256"].as_str()?).ok()?;
        Some((name, (sum, commit.to_owned())))
    };
    let all: Option<Subjects> = subjects.iter().map(subject).collect();
    all.ok_or_else(|| "a subject has no name or sum".into())
}
