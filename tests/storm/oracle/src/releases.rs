//! What was published, and what was seen of it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::seen::is_hostile;
use crate::{Artifact, Asset, Component, Release, Run, Say, Seen, What};

/// What is published beside what was built: of the release itself.
const OURS: [&str; 5] = [
    "SHA256SUMS",
    "SHA256SUMS.sig",
    "release-manifest.json",
    "provenance.intoto.jsonl",
    "versions.toml",
];

pub(crate) fn judge(seen: &Seen, say: Say<'_>) {
    for (version, asked) in &seen.asked {
        let mut public: BTreeSet<u64> = BTreeSet::new();
        let (mut published, mut told) = (0, BTreeSet::new());
        let mut before: BTreeMap<u64, bool> = BTreeMap::new();
        let mut last: BTreeMap<u64, &Release> = BTreeMap::new();
        for moment in &seen.moments {
            let release = moment.release.as_ref().filter(|r| r.tag == *version);
            let Some(release) = release else {
                last.remove(&moment.id);
                before.remove(&moment.id);
                continue;
            };
            let seen_before = before.insert(moment.id, !release.draft) == Some(true);
            last.insert(moment.id, release);
            if release.draft {
                continue;
            }
            public.insert(moment.id);
            published += usize::from(!seen_before);
            let mut once = |what: What, why: String| {
                if told.insert((what as u8, why.clone())) {
                    say(what, why);
                }
            };
            whole(version, asked, release, &mut once);
            signed(seen, version, release, &mut once);
            for asset in built(release) {
                trace(seen, version, asked, asset, &mut once);
            }
        }
        if public.len() > 1 || published > 1 || last.len() > 1 {
            let why = format!(
                "{version}: {} releases, {} of them seen, published {published} times",
                last.len(),
                public.len()
            );
            say(What::DoubleReleases, why);
        }
    }
}

fn built(release: &Release) -> impl Iterator<Item = &Asset> {
    let ours = |asset: &&Asset| !OURS.contains(&asset.name.as_str());
    release.assets.iter().filter(ours)
}

/// Who built a file, as its last line says.
fn provenance(content: &[u8]) -> Option<Value> {
    let line = content.rsplit(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Value>(line)
        .ok()
        .filter(Value::is_object)
}

/// The name that a file was built as: the end of its first line.
fn built_as(content: &[u8]) -> String {
    let first = content.split(|byte| *byte == b'\n').next();
    let first = String::from_utf8_lossy(first.unwrap_or_default());
    first.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// Whether everything that was asked for is there, and the sums are right.
fn whole(
    version: &str,
    asked: &BTreeMap<String, Component>,
    release: &Release,
    say: &mut impl FnMut(What, String),
) {
    let there: BTreeSet<(String, String)> = built(release)
        .filter_map(|asset| {
            let component = provenance(&asset.content)?["component"]
                .as_str()?
                .to_owned();
            Some((component, built_as(&asset.content)))
        })
        .collect();
    for (name, component) in asked {
        for file in &component.files {
            if !there.contains(&(name.clone(), file.clone())) {
                let why = format!("{version} was seen without {file} of {name}");
                say(What::PartialReleases, why);
            }
        }
    }
    for asset in &release.assets {
        if asset.state != "uploaded" {
            let why = format!("{version} was seen with {} as {}", asset.name, asset.state);
            say(What::PartialReleases, why);
        }
    }
    let sums = release.assets.iter().find(|a| a.name == "SHA256SUMS");
    let Some(sums) = sums else {
        return say(
            What::PartialReleases,
            format!("{version} was seen without SHA256SUMS"),
        );
    };
    let text = String::from_utf8_lossy(&sums.content);
    let listed: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name, sum))
        .collect();
    for asset in built(release) {
        let sum = hex::encode(Sha256::digest(&asset.content));
        if listed.get(asset.name.as_str()) != Some(&sum.as_str()) {
            let why = format!("{version}: SHA256SUMS has another sum of {}", asset.name);
            say(What::PartialReleases, why);
        }
    }
}

/// Whether the sums are signed, and who built what is told, where releases are signed.
fn signed(seen: &Seen, version: &str, release: &Release, say: &mut impl FnMut(What, String)) {
    let Some(key) = &seen.signing_key else { return };
    let content = |name: &str| {
        let found = release.assets.iter().find(|asset| asset.name == name);
        found.map(|asset| asset.content.as_ref())
    };
    if content("provenance.intoto.jsonl").is_none() && built(release).next().is_some() {
        let why = format!("{version} was seen without its provenance");
        say(What::PartialReleases, why);
    }
    let Some(signature) = content("SHA256SUMS.sig") else {
        let why = format!("{version} was seen without the signature of its sums");
        return say(What::PartialReleases, why);
    };
    // The point is the last that a key's SubjectPublicKeyInfo holds.
    let point = &key[key.len().saturating_sub(65)..];
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
    let sums = content("SHA256SUMS").unwrap_or_default();
    if key.verify(sums, signature).is_err() {
        let why = format!("{version}: SHA256SUMS.sig is not the signature of SHA256SUMS");
        say(What::UnverifiedPublished, why);
    }
}

/// Whether a file is what the right run built.
fn trace(
    seen: &Seen,
    version: &str,
    asked: &BTreeMap<String, Component>,
    asset: &Asset,
    say: &mut impl FnMut(What, String),
) {
    let name = &asset.name;
    if is_hostile(&asset.content) {
        let why = format!("{version}: {name} is of a hostile archive");
        say(What::UnverifiedPublished, why);
    }
    let mut wrong = |why: &str| {
        let text = format!("{version}: {name} {why}");
        say(What::WrongRuns, text);
    };
    let Some(told) = provenance(&asset.content) else {
        return wrong("does not say who built it");
    };
    let run = seen.runs.iter().find(|run| {
        told["run"] == run.id && told["repository"].as_str() == Some(run.repository.as_str())
    });
    let Some(run) = run else {
        return wrong("is of a run that is not there");
    };
    let component = told["component"].as_str().unwrap_or_default();
    if run.of(seen) != Some((version, component)) || told["version"] != version {
        return wrong(&format!("is of run {}, which is not this build's", run.id));
    }
    let of = asked.get(component).map(|c| c.repository.as_str());
    if of != Some(run.repository.as_str()) {
        return wrong(&format!("was built in {}", run.repository));
    }
    let build = seen.items("build#").find(|item| {
        item["pk"] == *seen.key(version) && item["sk"] == *format!("build#{component}")
    });
    let pin = build.and_then(|build| build["pin"].as_str());
    if pin != Some(run.head_sha.as_str()) || told["commit"] != *run.head_sha {
        return wrong(&format!("is of commit {}, pinned is {pin:?}", run.head_sha));
    }
    let Some(artifact) = holder(run, asset) else {
        let why = format!("{version}: {name} is not what run {} built", run.id);
        return say(What::UnverifiedPublished, why);
    };
    if !artifact.sound {
        let why = format!(
            "{version}: {name} is of {}, which is corrupt",
            artifact.name
        );
        say(What::UnverifiedPublished, why);
    }
    let newest = run.artifacts.iter().filter(|a| a.name == artifact.name);
    if newest.map(|a| a.attempt).max() != Some(artifact.attempt) {
        let why = format!(
            "{version}: {name} is of attempt {} of run {}",
            artifact.attempt, run.id
        );
        say(What::WrongRuns, why);
    }
}

/// The artifact that a file was in.
fn holder<'a>(run: &'a Run, asset: &Asset) -> Option<&'a Artifact> {
    let holds = |artifact: &&Artifact| {
        let mut files = artifact.files.iter();
        files.any(|file| file.content == asset.content)
    };
    run.artifacts.iter().rev().find(holds)
}
