//! Facts from what is known of a release: pages, times and sizes for people, files by what
//! their names say.

use super::facts::{Artifact, Changes, Component, Facts, File, Section, Verification};
use super::platform::{Named, Platform};
use crate::build::Build;
use crate::names::{RepoName, Version};

/// What [`Facts`] are made of.
#[derive(Debug, Clone)]
pub struct Gathered<'a> {
    /// The release repository.
    pub repository: &'a RepoName,
    /// The release's version.
    pub version: &'a Version,
    /// Whether it is published as a prerelease.
    pub prerelease: bool,
    /// Its builds, all complete.
    pub builds: &'a [Build],
    /// Its files, `SHA256SUMS` aside.
    pub artifacts: &'a [Artifact],
    /// What is new.
    pub changes: Changes,
    /// The public key that the sums are signed for, PEM.
    pub public_key: Option<&'a str>,
    /// GitHub's address for people, as `https://github.com`.
    pub web: &'a str,
}

impl Facts {
    /// Puts together what is known.
    pub fn of(gathered: Gathered<'_>) -> Self {
        let Gathered {
            repository,
            version,
            prerelease,
            builds,
            artifacts,
            changes,
            public_key,
            web,
        } = gathered;
        let mut components: Vec<Component> = builds.iter().map(|b| component(b, web)).collect();
        components.sort_by(|one, other| one.name.cmp(&other.name));
        let named = |artifact: &Artifact| named(artifact, builds, version);
        let download = format!("{web}/{repository}/releases/download/{version}");
        let mut files: Vec<(Option<Platform>, File)> = artifacts
            .iter()
            .map(|artifact| (artifact, named(artifact)))
            .map(|(artifact, named)| (named.platform, file(artifact, named, &download)))
            .collect();
        files.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        Self {
            version: version.to_string(),
            prerelease,
            repository: repository.to_string(),
            repository_url: format!("{web}/{repository}"),
            components,
            components_left_out: 0,
            sections: sections(&files),
            artifacts: files.into_iter().map(|(_, file)| file).collect(),
            artifacts_left_out: 0,
            changes,
            verification: verification(repository, version, public_key, web),
        }
    }
}

/// The first seven digits, as GitHub shows commits.
pub(super) fn short(commit: &str) -> String {
    commit.get(..7).unwrap_or(commit).to_owned()
}

fn component(build: &Build, web: &str) -> Component {
    let (repository, pin) = (&build.repository, &build.pin);
    let page = format!("{web}/{repository}");
    let run = build.collected.as_ref();
    let run_id = run.map(|c| c.workflow_run_id).or(build.workflow_run_id);
    let attempt = run.map(|c| c.run_attempt).or(build.run_attempt);
    let seconds = match (build.started_at, build.completed_at) {
        (Some(start), Some(end)) => Some((end.as_second() - start.as_second()).max(0)),
        _ => None,
    };
    Component {
        name: build.component.clone(),
        version: build.spec.version.clone(),
        repository: repository.to_string(),
        commit: pin.clone(),
        short_commit: short(pin),
        commit_url: format!("{page}/commit/{pin}"),
        run_id,
        attempt,
        run_url: run_id.map(|id| match attempt {
            Some(attempt) => format!("{page}/actions/runs/{id}/attempts/{attempt}"),
            None => format!("{page}/actions/runs/{id}"),
        }),
        duration: seconds.map(duration),
        seconds,
        matched: build.matched_by.map(|by| by.words().to_owned()),
        repository_url: page,
    }
}

fn named(artifact: &Artifact, builds: &[Build], version: &Version) -> Named {
    let build = builds.iter().find(|b| b.component == artifact.component);
    let (mut names, mut versions) = (Vec::new(), vec![version.as_str()]);
    if let Some(Build { spec, .. }) = build {
        names.extend(spec.asset_prefix.as_deref());
        names.push(&spec.name);
        names.extend(spec.binaries.iter().map(String::as_str));
        versions.push(&spec.version);
    }
    Named::of(&artifact.name, &names, &versions)
}

fn file(artifact: &Artifact, named: Named, download: &str) -> File {
    File {
        name: artifact.name.clone(),
        url: format!("{download}/{}", artifact.name),
        size: artifact.size,
        human_size: size(artifact.size),
        sha256: artifact.sha256.to_string(),
        component: Some(artifact.component.clone()).filter(|name| !name.is_empty()),
        platform: named.platform.map(|platform| platform.to_string()),
        // Of a file without a platform, as a licence, the name is all there is to it.
        variant: Some(named.variant).filter(|v| named.platform.is_some() && !v.is_empty()),
    }
}

/// In the order of the platforms, the usual variant first, what names none at the end.
fn sections(files: &[(Option<Platform>, File)]) -> Vec<Section> {
    let key = |(platform, file): &(Option<Platform>, File)| {
        (platform.is_none(), *platform, file.variant.clone())
    };
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|file| key(file));
    let mut sections: Vec<Section> = Vec::new();
    for (_, file) in sorted {
        let same = |s: &&mut Section| (&s.platform, &s.variant) == (&file.platform, &file.variant);
        match sections.last_mut().filter(same) {
            Some(section) => section.artifacts.push(file.clone()),
            None => sections.push(Section {
                title: match (&file.platform, &file.variant) {
                    (Some(platform), Some(variant)) => format!("{platform}, {variant}"),
                    (Some(platform), None) => platform.clone(),
                    (None, _) => "Other files".to_owned(),
                },
                platform: file.platform.clone(),
                variant: file.variant.clone(),
                artifacts: vec![file.clone()],
            }),
        }
    }
    sections
}

fn verification(
    repository: &RepoName,
    version: &Version,
    public_key: Option<&str>,
    web: &str,
) -> Verification {
    let repository = match web {
        "https://github.com" => repository.to_string(),
        web => format!("{web}/{repository}"),
    };
    let mut commands = vec![
        format!("gh release download {version} --repo {repository}"),
        "sha256sum -c SHA256SUMS".to_owned(),
    ];
    if public_key.is_some() {
        commands.push(
            "openssl dgst -sha256 -verify release-key.pem -signature SHA256SUMS.sig SHA256SUMS"
                .to_owned(),
        );
    }
    Verification {
        public_key: public_key.map(|key| key.trim().to_owned()),
        commands,
    }
}

fn duration(seconds: i64) -> String {
    match seconds {
        s if s >= 3600 => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
        s if s >= 60 => format!("{} min {:02} s", s / 60, s % 60),
        s => format!("{s} s"),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) if bytes / unit < 10 => {
            format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
        }
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::dispatched;
    use crate::names::Sha256;

    #[test]
    fn durations_and_sizes_are_read_by_people() {
        let durations = [5, 65, 3700].map(duration);
        assert_eq!(durations, ["5 s", "1 min 05 s", "1 h 01 min"]);
        let sizes = [0, 999, 1_000, 12_345, 5_990_000, 2_147_483_647].map(size);
        assert_eq!(
            sizes,
            ["0 B", "999 B", "1.0 kB", "12 kB", "5.9 MB", "2.1 GB"]
        );
    }

    fn facts(names: &[&str], key: Option<&str>, web: &str) -> Facts {
        let artifacts: Vec<Artifact> = names
            .iter()
            .map(|name| Artifact {
                name: (*name).into(),
                size: 1,
                sha256: Sha256::of(name.as_bytes()),
                component: if name.ends_with(".json") { "" } else { "a" }.into(),
            })
            .collect();
        Facts::of(Gathered {
            repository: &RepoName::new("o/a").unwrap(),
            version: &Version::new("v0.1.0").unwrap(),
            prerelease: false,
            builds: &[dispatched(
                ", binaries = [\"tool\"], asset_prefix = \"x-\"",
                "n",
                0,
            )],
            artifacts: &artifacts,
            changes: Changes::default(),
            public_key: key,
            web,
        })
    }

    #[test]
    fn files_are_in_sections_by_platform_and_variant() {
        let names = [
            "x-tool-v0.1.0.exe",
            "x-a-0.1.0.crate",
            "release-manifest.json",
            "x-tool-experimental-linux-x86_64",
            "x-tool-linux-x86_64",
            "x-a-linux-x86_64.tar.gz",
        ];
        let facts = facts(&names, None, "https://github.com");
        let of = |s: &Section| {
            let names: Vec<&str> = s.artifacts.iter().map(|a| a.name.as_str()).collect();
            format!("{}: {}", s.title, names.join(" "))
        };
        let sections: Vec<String> = facts.sections.iter().map(of).collect();
        assert_eq!(
            sections,
            [
                "Linux x86_64: x-a-linux-x86_64.tar.gz x-tool-linux-x86_64",
                "Linux x86_64, experimental: x-tool-experimental-linux-x86_64",
                "Windows: x-tool-v0.1.0.exe",
                "Other files: release-manifest.json x-a-0.1.0.crate",
            ]
        );
        let first = &facts.artifacts[0];
        assert_eq!(first.name, "release-manifest.json");
        assert_eq!(first.component, None);
        assert!(
            first
                .url
                .ends_with("/o/a/releases/download/v0.1.0/release-manifest.json")
        );
    }

    #[test]
    fn what_is_signed_is_verified_by_its_key() {
        let plain = facts(&[], None, "https://github.com").verification;
        assert_eq!(plain.commands.len(), 2);
        assert_eq!(plain.commands[0], "gh release download v0.1.0 --repo o/a");
        let signed = facts(&[], Some("KEY\n"), "https://ghe.example").verification;
        assert_eq!(signed.public_key.as_deref(), Some("KEY"));
        assert!(signed.commands[0].ends_with("--repo https://ghe.example/o/a"));
        assert!(signed.commands[2].starts_with("openssl dgst -sha256 -verify release-key.pem"));
    }
}
