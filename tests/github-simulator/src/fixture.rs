//! Ready-made organisations: one repository per component, whose build makes
//! what its manifest declares.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::input::{Artifact, Repository, Script, Trigger, Workflow};

/// The workflow that components copy.
const BUILD_WORKFLOW: &str = include_str!("../../../docs/workflows/build.yml");
/// What the fixture's files say their version is.
const VERSION: &str = "0.1.0";

/// A component, as far as its repository and its builds show it.
#[derive(Debug, Clone)]
pub struct Component {
    /// `owner/name`.
    pub repository: String,
    /// The name in the manifest.
    pub name: String,
    /// The binaries that its build makes; none means a library's archive.
    pub binaries: Vec<String>,
    /// `.github/workflows/build.yml`.
    pub workflow: String,
    /// The `repository_dispatch` events that its workflow listens to.
    pub event_types: Vec<String>,
    /// Tags that exist at the start.
    pub tags: Vec<String>,
}

impl Default for Component {
    fn default() -> Self {
        Self {
            repository: "octo-org/component".into(),
            name: "component".into(),
            binaries: Vec::new(),
            workflow: ".github/workflows/build.yml".into(),
            event_types: vec!["build-chain".into()],
            tags: Vec::new(),
        }
    }
}

/// The six components of BTCDecoded, the first organisation, with the manifest
/// at `versions.toml` of the release repository. That one is added if it is none
/// of the six; it has no tag, so that publishing makes it.
pub fn fixture_repositories(manifest: &str, release_repository: &str) -> Vec<Repository> {
    let component = |name: &str, binaries: &[&str]| {
        let repository = format!("BTCDecoded/{name}");
        let tags = if repository == release_repository {
            vec![]
        } else {
            vec!["v0.1.0".into()]
        };
        Component {
            repository,
            name: name.into(),
            binaries: binaries.iter().map(|binary| (*binary).into()).collect(),
            tags,
            ..Component::default()
        }
    };
    let governance = [
        "governance-app",
        "key-manager",
        "test-content-hash",
        "test-content-hash-standalone",
    ];
    let components = [
        component("bllvm-consensus", &[]),
        component("bllvm-protocol", &[]),
        component("bllvm-node", &[]),
        component("bllvm", &["bllvm"]),
        component("bllvm-sdk", &["bllvm-keygen", "bllvm-sign", "bllvm-verify"]),
        component("bllvm-commons", &governance),
    ];
    fixture_repositories_for(&components, manifest, release_repository)
}

/// One repository per component, with runs of 60 to 240 simulated seconds that
/// upload its declared binaries, and the manifest at `versions.toml` of the
/// release repository, which is added if it is no component's.
pub fn fixture_repositories_for(
    components: &[Component],
    manifest: &str,
    release_repository: &str,
) -> Vec<Repository> {
    let mut repositories: Vec<Repository> = Vec::new();
    for component in components {
        // Two components may share a repository: the first one's script holds.
        let known = |repository: &&mut Repository| repository.name == component.repository;
        match repositories.iter_mut().find(known) {
            Some(repository) => {
                repository.script.artifacts.extend(artifacts(component));
                repository.tags.extend(component.tags.clone());
            }
            None => repositories.push(repository(component)),
        }
    }
    if !repositories
        .iter()
        .any(|repository| repository.name == release_repository)
    {
        repositories.push(Repository {
            name: release_repository.into(),
            workflows: Vec::new(),
            ..Repository::default()
        });
    }
    for repository in repositories
        .iter_mut()
        .filter(|r| r.name == release_repository)
    {
        repository
            .files
            .insert("versions.toml".into(), manifest.into());
    }
    repositories
}

fn repository(component: &Component) -> Repository {
    let dispatches = component
        .event_types
        .iter()
        .cloned()
        .map(Trigger::RepositoryDispatch);
    let workflow = Workflow {
        path: component.workflow.clone(),
        on: dispatches.chain([Trigger::WorkflowDispatch]).collect(),
        ..Workflow::default()
    };
    let about = format!("# {}\n", component.name);
    // The same for a name every time, so that two demos look the same.
    let seed = u64::from(Sha256::digest(&component.name)[0]);
    Repository {
        name: component.repository.clone(),
        files: BTreeMap::from([
            ("README.md".into(), about.into()),
            (component.workflow.clone(), BUILD_WORKFLOW.into()),
        ]),
        workflows: vec![workflow],
        tags: component.tags.clone(),
        script: Script {
            queue_seconds: (5 + seed % 16) as f64,
            run_seconds: (60 + seed * 180 / 255) as f64,
            artifacts: artifacts(component),
            ..Script::default()
        },
        ..Repository::default()
    }
}

/// A library uploads its crate; the others upload their binaries per platform.
fn artifacts(component: &Component) -> Vec<Artifact> {
    let name = &component.name;
    let artifact = |name: String, files: Vec<String>| Artifact {
        files: files
            .into_iter()
            .map(|file| (file.clone(), content(&name, &file)))
            .collect(),
        name,
        ..Artifact::default()
    };
    if component.binaries.is_empty() {
        let archive = format!("{name}-{VERSION}.crate");
        return vec![artifact(format!("{name}-{VERSION}"), vec![archive])];
    }
    let windows = component
        .binaries
        .iter()
        .map(|binary| format!("{binary}.exe"));
    vec![
        artifact(format!("{name}-x86_64-linux"), component.binaries.clone()),
        artifact(format!("{name}-x86_64-windows"), windows.collect()),
    ]
}

/// 20 to 400 KB that look like a compiled file to a compressor, and are the same
/// every time.
fn content(artifact: &str, file: &str) -> Vec<u8> {
    let seed = Sha256::digest(format!("{artifact}/{file}"));
    let mut state = seed
        .iter()
        .fold(0_u64, |state, byte| state.rotate_left(7) ^ u64::from(*byte));
    let size = 20_000 + (state % 380_000) as usize;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_organisation_has_six_components() {
        let repositories = fixture_repositories("[versions]\n", "BTCDecoded/bllvm-commons");
        assert_eq!(repositories.len(), 6);
        let files = repositories
            .iter()
            .flat_map(|r| &r.script.artifacts)
            .flat_map(|a| &a.files);
        let sizes: Vec<_> = files.map(|(_, content)| content.len()).collect();
        assert!(sizes.len() >= 8, "{}", sizes.len());
        assert!(
            sizes.iter().all(|size| (20_000..=400_000).contains(size)),
            "{sizes:?}"
        );
        for repository in &repositories {
            assert!((60.0..=240.0).contains(&repository.script.run_seconds));
        }
        let manifests = repositories
            .iter()
            .filter(|r| r.files.contains_key("versions.toml"));
        assert_eq!(manifests.count(), 1);
    }

    #[test]
    fn the_release_repository_is_added_and_everything_is_deterministic() {
        let make = || fixture_repositories("", "BTCDecoded/releases");
        let (one, two) = (make(), make());
        assert_eq!(one.len(), 7);
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
    }
}
