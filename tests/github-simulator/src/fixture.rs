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
struct Component {
    /// `owner/name`.
    repository: String,
    /// The name in the manifest.
    name: String,
    /// The binaries that its build makes; none means a library's archive.
    binaries: Vec<String>,
    /// Globs that its artifacts' names must match; none means names of its own.
    artifacts: Vec<String>,
    /// `.github/workflows/build.yml`.
    workflow: String,
    /// The `repository_dispatch` event that its workflow listens to.
    event_type: String,
    /// The tag that exists at the start.
    tag: Option<String>,
}

/// One repository per component of the manifest, with runs of 60 to 240 simulated
/// seconds that upload what it declares. The release repository has the manifest at
/// `versions.toml`; it is added if it is no component's, and has no tag, so that
/// publishing makes it. The manifest is read, not checked.
pub fn fixture_repositories(
    manifest: &str,
    release_repository: &str,
) -> Result<Vec<Repository>, toml::de::Error> {
    let table: toml::Table = toml::from_str(manifest)?;
    let mut repositories: Vec<Repository> = Vec::new();
    for component in components(&table, release_repository) {
        // Two components may share a repository: the first one's script holds.
        let known = |repository: &&mut Repository| repository.name == component.repository;
        match repositories.iter_mut().find(known) {
            Some(repository) => {
                repository.script.artifacts.extend(artifacts(&component));
                repository.tags.extend(component.tag);
            }
            None => repositories.push(repository(&component)),
        }
    }
    let is_release = |repository: &Repository| repository.name == release_repository;
    if !repositories.iter().any(is_release) {
        repositories.push(Repository {
            name: release_repository.into(),
            workflows: Vec::new(),
            ..Repository::default()
        });
    }
    for repository in repositories.iter_mut().filter(|r| is_release(r)) {
        let manifest = manifest.as_bytes().to_vec();
        repository.files.insert("versions.toml".into(), manifest);
    }
    Ok(repositories)
}

fn components(manifest: &toml::Table, release_repository: &str) -> Vec<Component> {
    let owner = release_repository.split('/').next().unwrap_or_default();
    let entries = manifest.get("versions").and_then(toml::Value::as_table);
    let component = |(name, entry): (&String, &toml::Value)| {
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str);
        let texts = |key: &str| {
            let list = entry.get(key).and_then(toml::Value::as_array);
            let texts = list.into_iter().flatten().filter_map(toml::Value::as_str);
            texts.map(String::from).collect()
        };
        let repository = match text("repository").unwrap_or(name) {
            full if full.contains('/') => full.to_owned(),
            name => format!("{owner}/{name}"),
        };
        let workflow = text("workflow").unwrap_or("build.yml");
        Component {
            name: name.clone(),
            binaries: texts("binaries"),
            artifacts: texts("artifacts"),
            workflow: format!(".github/workflows/{workflow}"),
            event_type: text("event_type").unwrap_or("build-chain").into(),
            tag: text("git_tag")
                .filter(|tag| !tag.is_empty() && repository != release_repository)
                .map(String::from),
            repository,
        }
    };
    // `[versions.develop]` is a table of another kind.
    let is_component = |(_, entry): &(&String, &toml::Value)| entry.get("version").is_some();
    entries
        .into_iter()
        .flatten()
        .filter(is_component)
        .map(component)
        .collect()
}

fn repository(component: &Component) -> Repository {
    let dispatch = Trigger::RepositoryDispatch(component.event_type.clone());
    let workflow = Workflow {
        path: component.workflow.clone(),
        on: [dispatch, Trigger::WorkflowDispatch].into(),
        ..Workflow::default()
    };
    let about = format!("# {}\n", component.name);
    let types = format!("types: [{}]", component.event_type);
    let file = BUILD_WORKFLOW.replace("types: [build-chain]", &types);
    // The same for a name every time, so that two demos look the same.
    let seed = u64::from(Sha256::digest(&component.name)[0]);
    Repository {
        name: component.repository.clone(),
        files: BTreeMap::from([
            ("README.md".into(), about.into()),
            (component.workflow.clone(), file.into()),
        ]),
        workflows: vec![workflow],
        tags: component.tag.iter().cloned().collect(),
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
/// Where the manifest has globs, the first one's artifact holds all that.
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
    let built = if component.binaries.is_empty() {
        vec![format!("{name}-{VERSION}.crate")]
    } else {
        component.binaries.clone()
    };
    let mut globs = component
        .artifacts
        .iter()
        .map(|glob| glob.replace(['*', '?'], VERSION));
    if let Some(first) = globs.next() {
        let others = globs.map(|other| artifact(other.clone(), vec![format!("{other}.txt")]));
        return [artifact(first.clone(), built)]
            .into_iter()
            .chain(others)
            .collect();
    }
    if component.binaries.is_empty() {
        return vec![artifact(format!("{name}-{VERSION}"), built)];
    }
    let windows = built.iter().map(|binary| format!("{binary}.exe")).collect();
    vec![
        artifact(format!("{name}-x86_64-linux"), built),
        artifact(format!("{name}-x86_64-windows"), windows),
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

    const MANIFEST: &str = include_str!("../../fixtures/versions.toml");

    #[test]
    fn the_first_organisation_has_six_components() {
        let repositories = fixture_repositories(MANIFEST, "BTCDecoded/bllvm").unwrap();
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
        let make = || fixture_repositories(MANIFEST, "BTCDecoded/releases").unwrap();
        let (one, two) = (make(), make());
        assert_eq!(one.len(), 7);
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
    }

    #[test]
    fn artifacts_match_the_manifests_globs() {
        let manifest = "[versions]\na = { version = \"1.0.0\", binaries = [\"a\"], artifacts = [\"pack-*\", \"notes\"] }\n";
        let repositories = fixture_repositories(manifest, "o/a").unwrap();
        let artifacts = &repositories[0].script.artifacts;
        let names: Vec<_> = artifacts.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(names, ["pack-0.1.0", "notes"]);
        assert_eq!(artifacts[0].files[0].0, "a");
    }
}
