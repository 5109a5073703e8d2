//! A plan of some releases at once over shared repositories: a value that is drawn from a
//! seed, written as JSON, and played as often as one likes.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use github_simulator::{Repository, fixture_repositories};
use serde::{Deserialize, Serialize};

use super::odds::{self, chance, dice};

/// Whose everything is.
pub const OWNER: &str = "storm";
/// How many components there are at least and at most.
const COMPONENTS: (usize, usize) = (5, 30);
/// How many seconds runs take, at least, and at most where they do not take long.
const SHORTEST: f64 = 30.0;
const USUAL: f64 = 3000.0;
/// How many hours runs take that take long, at least and at most.
const HOURS: (f64, f64) = (2.0, 12.0);
/// How many versions are released at once, at least and at most.
pub const AT_ONCE: (usize, usize) = (2, 4);

/// Releases at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what goes wrong.
    pub seed: u64,
    /// Where releases are published: a repository of its own, or a component's.
    pub release_repository: String,
    /// Whether what is published there cannot be changed.
    pub immutable: bool,
    /// What is released.
    pub components: Vec<Component>,
    /// Under which versions.
    pub versions: Vec<Version>,
    /// When GitHub cannot be used.
    pub outages: Vec<Outage>,
    /// What may go wrong, by name; without, everything that the seed says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<BTreeSet<String>>,
}

/// A component and its repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, and its repository's.
    pub name: String,
    /// What it requires.
    pub requires: Vec<String>,
    /// Whether it is started by `workflow_dispatch`.
    pub by_tag: bool,
    /// Whether its runs show the nonce.
    pub shows_nonce: bool,
    /// Whether its runs are of one concurrency group.
    pub one_at_a_time: bool,
    /// What of it is published.
    pub publishes: Publishes,
    /// How long its runs are queued, in seconds.
    pub queue_seconds: f64,
    /// How long they take.
    pub run_seconds: f64,
}

/// What of a component is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publishes {
    /// Nothing.
    Nothing,
    /// A binary for two platforms.
    Binaries,
    /// Its artifact, by a glob.
    Artifact,
}

/// A version and how its release is driven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// As `v1.0.0`.
    pub name: String,
    /// When it is started, in seconds from the beginning.
    pub after: f64,
    /// Whether a tag starts it, and not a person.
    pub by_tag: bool,
    /// Whether it stops at a draft.
    pub draft: bool,
}

/// A time in which GitHub cannot be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    /// In seconds from the beginning.
    pub from: f64,
    /// In seconds.
    pub lasts: f64,
    /// Whether only writes are affected.
    pub writes: bool,
    /// How.
    pub kind: OutageKind,
}

/// How GitHub cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// It answers 5xx.
    Away(u16),
    /// A secondary limit, 403; it may say how long to wait.
    Secondary(Option<u64>),
    /// 429, with how long to wait.
    TooMany(u64),
    /// The hourly limit is used up until the outage ends.
    Primary,
}

impl Plan {
    /// Draws a plan for so many versions, or as many as the seed says.
    pub fn draw(seed: u64, most: usize) -> Self {
        let mut dice = dice(seed, "the plan");
        let mut components = components(&mut dice);
        components.iter_mut().for_each(|c| prolong(c, seed));
        let versions = versions(&mut dice, dice_count(&mut Rng::with_seed(seed), most));
        let own = dice.f64() < 0.7;
        let release_repository = match own {
            true => format!("{OWNER}/releases"),
            false => format!("{OWNER}/{}", components[0].name),
        };
        let outages = versions.iter().filter_map(|_| outage(&mut dice)).collect();
        Self {
            seed,
            release_repository,
            immutable: chance(&mut dice, odds::IMMUTABLE),
            components,
            versions,
            outages,
            only: None,
        }
    }

    /// `versions.toml`.
    pub fn manifest(&self) -> String {
        let mut text = String::from("[versions]\n");
        for component in &self.components {
            let requires: Vec<String> = component
                .requires
                .iter()
                .map(|name| format!("\"{name}=0.1.0\""))
                .collect();
            let name = &component.name;
            text += &format!(
                "{name} = {{ version = \"0.1.0\", git_tag = \"v0.1.0\", requires = [{}]",
                requires.join(", ")
            );
            if component.by_tag {
                text += ", trigger = \"workflow_dispatch\", workflow = \"build.yml\"";
            }
            if component.run_seconds > USUAL {
                let minutes = (2.0 * component.run_seconds / 60.0).ceil();
                text += &format!(", timeout_minutes = {minutes}");
            }
            match component.publishes {
                Publishes::Nothing => {}
                Publishes::Binaries => text += &format!(", binaries = [\"{name}\"]"),
                Publishes::Artifact => text += &format!(", artifacts = [\"{name}-*\"]"),
            }
            text += " }\n";
        }
        text
    }

    /// GitHub at the beginning.
    pub fn repositories(&self) -> Vec<Repository> {
        let made = fixture_repositories(&self.manifest(), &self.release_repository);
        let mut repositories = made.expect("a manifest");
        for repository in &mut repositories {
            if repository.name == self.release_repository {
                repository.immutable_releases = self.immutable;
            }
            let Some(component) = self.component_in(&repository.name) else {
                continue;
            };
            for workflow in &mut repository.workflows {
                workflow.run_name = component.shows_nonce;
            }
            if component.by_tag && !repository.tags.contains(&"v0.1.0".to_owned()) {
                repository.tags.push("v0.1.0".to_owned());
            }
            let script = &mut repository.script;
            script.queue_seconds = component.queue_seconds;
            script.run_seconds = component.run_seconds;
            script.one_at_a_time = component.one_at_a_time;
            script.provenance = true;
            for (file, content) in script.artifacts.iter_mut().flat_map(|a| &mut a.files) {
                *content = format!("what is built as {file}").into_bytes();
            }
        }
        repositories
    }

    /// The component whose repository this is.
    pub fn component_in(&self, repository: &str) -> Option<&Component> {
        let name = repository.strip_prefix(OWNER)?.strip_prefix('/')?;
        self.components.iter().find(|c| c.name == name)
    }

    /// What the oracle is told was asked for.
    pub fn asked(&self) -> BTreeMap<String, BTreeMap<String, storm_oracle::Component>> {
        let repositories = self.repositories();
        let components: BTreeMap<_, _> = self
            .components
            .iter()
            .map(|component| {
                let repository = format!("{OWNER}/{}", component.name);
                let built = repositories.iter().find(|r| r.name == repository);
                let files = built.into_iter().flat_map(|r| &r.script.artifacts);
                let files = files.flat_map(|artifact| &artifact.files);
                let files = files.map(|(file, _)| file.clone());
                let publishes = component.publishes != Publishes::Nothing;
                let asked = storm_oracle::Component {
                    repository,
                    requires: component.requires.clone(),
                    files: files.filter(|_| publishes).collect(),
                };
                (component.name.clone(), asked)
            })
            .collect();
        let versions = self.versions.iter();
        versions
            .map(|version| (version.name.clone(), components.clone()))
            .collect()
    }

    /// A component and everything that requires it, however far.
    pub fn with_dependents(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::from([name.to_owned()]);
        // Components stand after what they require.
        for component in &self.components {
            if component.requires.iter().any(|r| found.contains(r)) {
                found.insert(component.name.clone());
            }
        }
        found
    }

    /// How many builds its releases have.
    pub fn builds(&self) -> usize {
        self.components.len() * self.versions.len()
    }
}

/// Whole milliseconds: JSON keeps these as they are.
fn millis(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

fn dice_count(dice: &mut Rng, most: usize) -> usize {
    dice.usize(AT_ONCE.0..=AT_ONCE.1).min(most.max(1))
}

/// More small graphs than large ones.
fn components(dice: &mut Rng) -> Vec<Component> {
    let (least, most) = COMPONENTS;
    let share = dice.f64().powf(2.5);
    let count = least + ((most - least + 1) as f64 * share) as usize;
    let mut components: Vec<Component> = Vec::new();
    for index in 0..count.min(most) {
        let wanted = dice.usize(0..=3).min(index);
        let mut requires = BTreeSet::new();
        for _ in 0..wanted {
            // Rather of those just before: deep graphs.
            let back = 1 + (dice.f64().powi(2) * index as f64) as usize;
            requires.insert(components[index - back.min(index)].name.clone());
        }
        let by_tag = dice.f64() < 0.25;
        components.push(Component {
            name: format!("c{index:02}"),
            requires: requires.into_iter().collect(),
            by_tag,
            shows_nonce: by_tag || dice.f64() < 0.8,
            one_at_a_time: dice.f64() < 0.1,
            publishes: match dice.f64() {
                share if share < 0.25 => Publishes::Nothing,
                share if share < 0.85 => Publishes::Binaries,
                _ => Publishes::Artifact,
            },
            queue_seconds: millis(dice.f64() * 120.0),
            run_seconds: millis(SHORTEST * (USUAL / SHORTEST).powf(dice.f64())),
        });
    }
    components
}

/// Some take hours.
fn prolong(component: &mut Component, seed: u64) {
    let mut dice = dice(seed, &format!("the hours of {}", component.name));
    if chance(&mut dice, odds::LONG) {
        let (least, most) = HOURS;
        component.run_seconds = millis(3600.0 * (least + (most - least) * dice.f64()));
    }
}

fn versions(dice: &mut Rng, count: usize) -> Vec<Version> {
    let version = |index: usize| Version {
        name: match dice.f64() {
            share if share < 0.2 => format!("v1.{index}.0-rc.1"),
            _ => format!("v1.{index}.0"),
        },
        after: millis(dice.f64() * 900.0),
        by_tag: chance(dice, odds::BY_TAG),
        draft: chance(dice, odds::DRAFT),
    };
    (0..count).map(version).collect()
}

fn outage(dice: &mut Rng) -> Option<Outage> {
    let outage = Outage {
        from: millis(dice.f64() * 7200.0),
        lasts: millis(20.0 + dice.f64() * 700.0),
        writes: dice.bool(),
        kind: match dice.usize(0..4) {
            0 => OutageKind::Away(dice.choice([500, 502, 503]).unwrap_or(503)),
            1 => OutageKind::Secondary(dice.bool().then(|| dice.u64(10..180))),
            2 => OutageKind::TooMany(dice.u64(5..120)),
            _ => OutageKind::Primary,
        },
    };
    chance(dice, odds::OUTAGE).then_some(outage)
}
