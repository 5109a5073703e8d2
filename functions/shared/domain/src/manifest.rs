//! `versions.toml`: the components of a release. Reading it finds every fault,
//! not only the first, each as one sentence that names the entry and the field.

use std::collections::{BTreeMap, BTreeSet};

use globset::Glob;
use serde::{Deserialize, Serialize};

use crate::graph;
use crate::names::RepoName;

/// How a component's workflow is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// `POST /repos/{owner}/{repo}/dispatches`; builds the default branch's head.
    #[default]
    RepositoryDispatch,
    /// `POST …/actions/workflows/{workflow}/dispatches`; builds a tag.
    WorkflowDispatch,
}

impl Trigger {
    /// The `event` field of the runs that it starts.
    pub fn event(self) -> &'static str {
        match self {
            Self::RepositoryDispatch => "repository_dispatch",
            Self::WorkflowDispatch => "workflow_dispatch",
        }
    }
}

/// One entry of `[versions]`, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The entry's key.
    pub name: String,
    /// The component's own version.
    pub version: String,
    /// The tag that `workflow_dispatch` builds.
    pub git_tag: String,
    /// The commit that `workflow_dispatch` builds must be at, if given.
    pub git_commit: String,
    /// Components that must be green before this one is dispatched.
    pub requires: Vec<String>,
    /// Programs that must be among what was built.
    pub binaries: Vec<String>,
    /// The repository, `owner/name` or a name in the release repository's owner.
    pub repository: Option<String>,
    /// How its workflow is started.
    pub trigger: Trigger,
    /// `event_type` of a `repository_dispatch`.
    pub event_type: String,
    /// The workflow's file name; otherwise `build.yml`, else `ci.yml`.
    pub workflow: Option<String>,
    /// Minutes that a run may take, from `in_progress`.
    pub timeout_minutes: u32,
    /// Minutes that a run may wait before it is `in_progress`.
    pub queue_timeout_minutes: u32,
    /// How often a failed attempt is repeated.
    pub max_retries: u32,
    /// Globs over artifact names.
    pub artifacts: Vec<String>,
    /// Put before the name of each asset.
    pub asset_prefix: Option<String>,
    /// Whether it is built again where an artifact has expired before it was collected.
    #[serde(default = "yes")]
    pub rebuild_expired: bool,
}

fn yes() -> bool {
    true
}

impl Component {
    /// Its repository, in the release repository's owner unless it says otherwise.
    pub fn repository(&self, owner: &str) -> Result<RepoName, crate::names::InvalidName> {
        repository_of(self.repository.as_deref().unwrap_or(&self.name), owner)
    }

    /// Its tag: `git_tag`, or that of its version.
    pub fn tag(&self) -> String {
        if self.git_tag.is_empty() {
            format!("v{}", self.version)
        } else {
            self.git_tag.clone()
        }
    }

    /// Whether anything of its runs is published.
    pub fn contributes_assets(&self) -> bool {
        !self.binaries.is_empty() || !self.artifacts.is_empty()
    }
}

fn repository_of(name: &str, owner: &str) -> Result<RepoName, crate::names::InvalidName> {
    if name.contains('/') {
        RepoName::new(name)
    } else {
        RepoName::new(&format!("{owner}/{name}"))
    }
}

/// An entry of `[[after_publish]]`: a `repository_dispatch` that follows the release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AfterPublish {
    /// `owner/name`, or a name in the release repository's owner.
    pub repository: String,
    /// Its `event_type`.
    #[serde(default = "release_published")]
    pub event_type: String,
}

fn release_published() -> String {
    "release-published".into()
}

impl AfterPublish {
    /// Its repository, in the release repository's owner unless it says otherwise.
    pub fn repository(&self, owner: &str) -> Result<RepoName, crate::names::InvalidName> {
        repository_of(&self.repository, owner)
    }
}

/// A manifest without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    components: BTreeMap<String, Component>,
    after_publish: Vec<AfterPublish>,
}

/// Every fault of a manifest, one sentence each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct Faults(pub Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: String,
    #[serde(default)]
    git_tag: String,
    #[serde(default)]
    git_commit: String,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    binaries: Vec<String>,
    repository: Option<String>,
    #[serde(default)]
    trigger: Trigger,
    event_type: Option<String>,
    workflow: Option<String>,
    timeout_minutes: Option<u32>,
    queue_timeout_minutes: Option<u32>,
    max_retries: Option<u32>,
    #[serde(default)]
    artifacts: Vec<String>,
    asset_prefix: Option<String>,
    rebuild_expired: Option<bool>,
}

/// The tables of `[versions]` that are no components: a rolling channel's notes.
const NO_COMPONENTS: [&str; 1] = ["develop"];

impl Manifest {
    /// Reads and validates the text of a `versions.toml`.
    ///
    /// ```
    /// use commons_domain::manifest::Manifest;
    /// let manifest = Manifest::parse(r#"
    ///     [versions]
    ///     a = { version = "0.1.0" }
    ///     b = { version = "0.2.0", requires = ["a=0.1.0"] }
    /// "#)?;
    /// assert_eq!(manifest.plan().order, ["a", "b"]);
    /// # Ok::<(), commons_domain::manifest::Faults>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Faults(vec![format!(
                "the manifest is not TOML: line {line}: {}",
                one_line(error.message())
            )])
        })?;
        let versions = match table.get("versions") {
            Some(toml::Value::Table(versions)) => versions,
            Some(_) => return Err(Faults(vec!["'versions' is not a table".into()])),
            None => return Err(Faults(vec!["the manifest has no [versions] table".into()])),
        };
        let mut faults = Vec::new();
        let mut components = BTreeMap::new();
        for (name, value) in versions {
            let is_entry = value
                .as_table()
                .is_some_and(|t| !t.contains_key("requires") && t.contains_key("dependencies"));
            if NO_COMPONENTS.contains(&name.as_str()) || is_entry {
                continue;
            }
            match read_entry(name, value) {
                Ok(component) => {
                    check_fields(&component, &mut faults);
                    components.insert(name.clone(), component);
                }
                Err(fault) => faults.push(fault),
            }
        }
        if versions.is_empty() || (components.is_empty() && faults.is_empty()) {
            faults.push("[versions] names no component".into());
        }
        let declared: BTreeSet<&String> = versions.keys().collect();
        let mut requires = BTreeMap::new();
        for component in components.values() {
            let names = check_requires(component, &components, &declared, &mut faults);
            requires.insert(component.name.clone(), names);
        }
        for (name, names) in requires {
            if let Some(component) = components.get_mut(&name) {
                component.requires = names;
            }
        }
        check_shared_repositories(&components, &mut faults);
        let after_publish = read_after_publish(&table, &mut faults);
        let manifest = Self {
            components,
            after_publish,
        };
        if let Err(cycle) = graph::plan(&manifest.edges()) {
            faults.push(cycle.to_string());
        }
        if faults.is_empty() {
            Ok(manifest)
        } else {
            Err(Faults(faults.into_iter().map(shown).collect()))
        }
    }

    /// The components by name.
    pub fn components(&self) -> &BTreeMap<String, Component> {
        &self.components
    }

    /// The dispatches that follow the release.
    pub fn after_publish(&self) -> &[AfterPublish] {
        &self.after_publish
    }

    /// Order, groups and critical path.
    pub fn plan(&self) -> graph::Plan {
        graph::plan(&self.edges()).unwrap_or_default()
    }

    /// These components and everything that requires them, however far.
    pub fn with_dependents(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let requires = self.components.values();
        let requires = requires.map(|c| (c.name.as_str(), c.requires.as_slice()));
        let found = graph::with_dependents(names.iter().map(String::as_str), requires);
        found.into_iter().map(str::to_owned).collect()
    }

    fn edges(&self) -> BTreeMap<String, Vec<String>> {
        self.components
            .values()
            .map(|component| {
                let known = component
                    .requires
                    .iter()
                    .filter(|name| self.components.contains_key(*name));
                (component.name.clone(), known.cloned().collect())
            })
            .collect()
    }
}

/// A sentence in one line, whatever it quotes of the manifest.
fn shown(fault: String) -> String {
    if !fault.contains(char::is_control) {
        return fault;
    }
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    fault.chars().map(shown).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_entry(name: &str, value: &toml::Value) -> Result<Component, String> {
    if !value.is_table() {
        return Err(format!(
            "component '{name}' is not a table like {{ version = \"0.1.0\" }}"
        ));
    }
    let entry: Entry = value.clone().try_into().map_err(|error: toml::de::Error| {
        format!("component '{name}': {}", one_line(error.message()))
    })?;
    Ok(Component {
        name: name.to_owned(),
        version: entry.version,
        git_tag: entry.git_tag,
        git_commit: entry.git_commit,
        requires: entry.requires,
        binaries: entry.binaries,
        repository: entry.repository,
        trigger: entry.trigger,
        event_type: entry.event_type.unwrap_or_else(|| "build-chain".into()),
        workflow: entry.workflow,
        timeout_minutes: entry.timeout_minutes.unwrap_or(60),
        queue_timeout_minutes: entry.queue_timeout_minutes.unwrap_or(240),
        max_retries: entry.max_retries.unwrap_or(3),
        artifacts: entry.artifacts,
        asset_prefix: entry.asset_prefix,
        rebuild_expired: entry.rebuild_expired.unwrap_or(true),
    })
}

/// At most one to a repository: its runs tell whether it has arrived.
fn read_after_publish(table: &toml::Table, faults: &mut Vec<String>) -> Vec<AfterPublish> {
    let Some(value) = table.get("after_publish") else {
        return Vec::new();
    };
    let entries: Vec<AfterPublish> = match value.clone().try_into() {
        Ok(entries) => entries,
        Err(error) => {
            let error: toml::de::Error = error;
            faults.push(format!("after_publish: {}", one_line(error.message())));
            return Vec::new();
        }
    };
    let mut seen = BTreeSet::new();
    for entry in &entries {
        if let Err(error) = entry.repository("owner") {
            faults.push(format!("after_publish: repository: {error}"));
        }
        if entry.event_type.is_empty() || entry.event_type.chars().count() > 100 {
            faults.push("after_publish: event_type must have 1 to 100 characters".into());
        }
        if !seen.insert(entry.repository.to_lowercase()) {
            let repository = &entry.repository;
            faults.push(format!("after_publish: '{repository}' is named twice"));
        }
    }
    entries
}

fn check_fields(component: &Component, faults: &mut Vec<String>) {
    let name = &component.name;
    let mut fault = |text: String| faults.push(format!("component '{name}': {text}"));
    if semver::Version::parse(&component.version).is_err() {
        fault(format!(
            "version '{}' is not semver, as 0.1.0",
            component.version
        ));
    }
    // It is a part of keys in the bucket, and of what `requires` says.
    if RepoName::new(&format!("owner/{name}")).is_err() {
        fault("its name is not 1 to 100 of letters, digits, '-', '_' and '.'".into());
    } else if let Err(error) = component.repository("owner") {
        fault(format!("repository: {error}"));
    }
    if component.trigger == Trigger::WorkflowDispatch {
        if component.workflow.is_none() {
            fault("trigger 'workflow_dispatch' requires an explicit 'workflow'".into());
        }
        if component.git_tag.is_empty() {
            fault("trigger 'workflow_dispatch' builds a tag: 'git_tag' is empty".into());
        }
    }
    if component.event_type.is_empty() || component.event_type.chars().count() > 100 {
        fault("event_type must have 1 to 100 characters".into());
    }
    if let Some(workflow) = &component.workflow
        && (workflow.contains('/') || !(workflow.ends_with(".yml") || workflow.ends_with(".yaml")))
    {
        fault(format!(
            "workflow '{workflow}' is not a file name ending in .yml or .yaml"
        ));
    }
    if !component.git_commit.is_empty() && !is_commit(&component.git_commit) {
        fault(format!(
            "git_commit '{}' is not 40 hex digits",
            component.git_commit
        ));
    }
    for (field, minutes) in [
        ("timeout_minutes", component.timeout_minutes),
        ("queue_timeout_minutes", component.queue_timeout_minutes),
    ] {
        if minutes == 0 || minutes > 50_400 {
            fault(format!("{field} must be between 1 and 50400 (35 days)"));
        }
    }
    if component.max_retries > 20 {
        fault("max_retries must be at most 20".into());
    }
    for glob in &component.artifacts {
        if let Err(error) = Glob::new(glob) {
            fault(format!(
                "artifacts: '{glob}' is not a glob: {}",
                error.kind()
            ));
        }
    }
    let mut seen = BTreeSet::new();
    for binary in &component.binaries {
        if binary.is_empty() || binary.contains(['/', '\\']) {
            fault(format!("binaries: '{binary}' is not a file name"));
        }
        if !seen.insert(binary) {
            fault(format!("binaries: '{binary}' is named twice"));
        }
    }
    if let Some(prefix) = &component.asset_prefix
        && (prefix.is_empty() || prefix.contains(['/', '\\']))
    {
        fault(format!(
            "asset_prefix '{prefix}' is not the beginning of a file name"
        ));
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

fn check_requires(
    component: &Component,
    components: &BTreeMap<String, Component>,
    declared: &BTreeSet<&String>,
    faults: &mut Vec<String>,
) -> Vec<String> {
    let name = &component.name;
    let mut names = Vec::new();
    for requirement in &component.requires {
        let Some((wanted, version)) = requirement.split_once('=') else {
            faults.push(format!(
                "component '{name}': requires '{requirement}' is not of the form name=version"
            ));
            continue;
        };
        let (wanted, version) = (wanted.trim(), version.trim());
        if names.iter().any(|known| known == wanted) {
            faults.push(format!("component '{name}' requires '{wanted}' twice"));
            continue;
        }
        match components.get(wanted) {
            Some(dependency) if dependency.version == version => names.push(wanted.to_owned()),
            Some(dependency) => {
                names.push(wanted.to_owned());
                faults.push(format!(
                    "component '{name}' requires {wanted}={version}, but '{wanted}' is at version {}",
                    dependency.version
                ));
            }
            // An entry that could not be read has had its own sentence.
            None if declared.iter().any(|d| d.as_str() == wanted)
                && !NO_COMPONENTS.contains(&wanted) => {}
            None => faults.push(format!(
                "component '{name}' requires '{wanted}', which is no component of this manifest"
            )),
        }
    }
    names
}

fn check_shared_repositories(components: &BTreeMap<String, Component>, faults: &mut Vec<String>) {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for component in components.values() {
        let repository = component
            .repository
            .clone()
            .unwrap_or_else(|| component.name.clone());
        if let Some(other) = owners.insert(repository.to_lowercase(), &component.name) {
            faults.push(format!(
                "components '{other}' and '{}' have the same repository '{repository}'",
                component.name
            ));
        }
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "manifest_properties.rs"]
mod properties;
