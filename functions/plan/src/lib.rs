//! Plan: takes the lease, reads and validates the manifest, pins a commit per
//! component, and writes the builds in dependency order.
//!
//! Running it twice is safe: each run raises the generation, so what an earlier
//! run or owner still does loses; a build that is on its way, green or complete is
//! adopted as it is; the items and the release's status come last, so a run that
//! died before them left nothing that anybody acts on.

mod lease;
mod nightly;
mod pins;
mod published;
mod workflow;

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::build::{Build, BuildStatus, Planned};
use commons_domain::manifest::Manifest;
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_domain::request::Request;
use commons_runtime::{Stage, StageError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A release may not have more builds than a Distributed Map has children.
const MOST_BUILDS: usize = 10_000;

/// What calls Plan.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Call {
    /// The schedule of nightlies.
    Schedule {
        /// The time that is due.
        nightly: Timestamp,
    },
    /// The state machine.
    Execution(Input),
}

/// What Plan answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To the schedule.
    Started {
        /// The execution's name.
        execution: String,
    },
    /// To the state machine.
    Planned(Output),
}

/// Answers the schedule or the state machine.
pub async fn call(stage: Stage, call: Call) -> Result<Answer, StageError> {
    match call {
        Call::Schedule { nightly } => {
            let execution = nightly::start(&stage, nightly).await?;
            Ok(Answer::Started { execution })
        }
        Call::Execution(input) => handle(stage, input).await.map(Answer::Planned),
    }
}

/// The execution, and what it was started with.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The execution's ARN: the lease.
    pub execution: String,
    /// What the execution was started with; read by [`Request::parse`].
    pub input: serde_json::Value,
}

/// The answer to the state machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The release's key.
    pub release: ReleaseKey,
    /// The generation of this owner.
    pub generation: u64,
    /// S3 key of the Map's items.
    pub items_key: String,
    /// How many items there are.
    pub to_build: usize,
}

/// One item of the Map.
#[derive(Debug, Clone, Serialize)]
struct Item<'a> {
    release: &'a ReleaseKey,
    sk: String,
    component: &'a str,
    generation: u64,
    generation_text: String,
}

/// Plans the release.
pub async fn handle(stage: Stage, input: Input) -> Result<Output, StageError> {
    let request =
        Request::parse(&input.input).map_err(|error| StageError::Refused(error.to_string()))?;
    let key = ReleaseKey::of(&stage.config.release_repository, &request.version);
    let release = lease::take(&stage, &key, &request, &input.execution).await?;
    let stored: BTreeMap<String, Build> = stage
        .store
        .builds(&key)
        .await?
        .into_iter()
        .map(|build| (build.component.clone(), build))
        .collect();

    let read = pins::manifest(&stage, &request).await?;
    let plan = read.manifest.plan();
    let mut faults = Vec::new();
    if plan.order.len() > MOST_BUILDS {
        return Err(StageError::Refused(format!(
            "the manifest has {} components; at most {MOST_BUILDS} fit a release",
            plan.order.len()
        )));
    }
    let anew = anew(&request, &read.manifest, &stored, &mut faults);
    let mut planned = pins::pin(&stage, &read.manifest, &mut faults).await?;
    let target = target(&stage, &read, &planned, &mut faults);
    let found = published::find(&stage, &release, &mut faults).await?;
    let immutable = stage
        .github
        .immutable_releases(&stage.config.release_repository)
        .await
        .map_err(|error| github_error(&error))?;
    if !faults.is_empty() {
        return Err(StageError::Refused(faults.join("; ")));
    }
    if let Some(found) = &found {
        published::hide(&stage, &release, found).await?;
    }
    pins::wait_for_dispatches_in_flight(stored.values()).await;

    let mut builds: BTreeMap<&str, Build> = BTreeMap::new();
    for name in &plan.order {
        let planned = planned
            .remove(name)
            .ok_or_else(|| StageError::Internal(format!("component '{name}' was not pinned")))?;
        let before = stored.get(name).map(|build| (build, anew.contains(name)));
        let build = write_build(&stage, &release, planned, before, &builds).await?;
        builds.insert(name, build);
    }

    let items: Vec<Item> = plan
        .order
        .iter()
        .filter(|name| builds[name.as_str()].status != BuildStatus::Collected)
        .map(|name| Item {
            release: &key,
            sk: format!("build#{name}"),
            component: name,
            generation: release.generation,
            generation_text: release.generation.to_string(),
        })
        .collect();
    let items_key = format!("{key}/plan/{}.json", release.generation);
    stage
        .objects
        .put_json(&items_key, &items)
        .await
        .map_err(|error| StageError::Unavailable(error.to_string()))?;

    let building = Release {
        status: ReleaseStatus::Building,
        manifest_ref: Some(read.git_ref),
        manifest_commit: Some(read.commit),
        target_commit: Some(target),
        ..release.clone()
    };
    let to_build = items.len();
    let mut reason = format!("planned {to_build} builds");
    if immutable {
        reason.push_str("; what is published of this repository cannot be changed");
    }
    stage
        .store
        .change_release(&release, &building, &reason)
        .await?;
    tracing::info!(release = %key, generation = release.generation, to_build, "planned");
    Ok(Output {
        release: key,
        generation: release.generation,
        items_key,
        to_build,
    })
}

/// The components that are built again though they are green: those that were asked
/// for by name, and what depends on them.
fn anew(
    request: &Request,
    manifest: &Manifest,
    stored: &BTreeMap<String, Build>,
    faults: &mut Vec<String>,
) -> BTreeSet<String> {
    for name in &request.only {
        if !manifest.components().contains_key(name) {
            faults.push(format!("only: '{name}' is no component of the manifest"));
        }
    }
    if !request.only.is_empty() && stored.is_empty() {
        let version = &request.version;
        faults.push(format!(
            "only: builds components of a release again, and {version} has no builds yet: leave it out"
        ));
    }
    let anew = manifest.with_dependents(&request.only);
    for build in anew.iter().filter_map(|name| stored.get(name)) {
        if build.status.is_on_its_way() {
            faults.push(format!(
                "only: {} is {}: let it end first",
                build.component,
                build.status.as_str()
            ));
        }
    }
    anew
}

/// The commit of the release's tag: the release repository's pin, or the manifest's
/// commit where that repository is no component. A tag that is there is at it.
fn target(
    stage: &Stage,
    read: &pins::Read,
    planned: &BTreeMap<String, Planned>,
    faults: &mut Vec<String>,
) -> String {
    let repository = &stage.config.release_repository;
    let own = planned.values().find(|p| p.repository == *repository);
    let target = own.map_or(&read.commit, |planned| &planned.pin);
    if let Some(tag) = &read.tag_commit
        && tag != target
    {
        faults.push(format!(
            "the tag of the release is at commit {tag} of {repository}, but {target} is what would be built: move the tag, or release another version"
        ));
    }
    target.clone()
}

/// Writes one build: fresh, or what this generation makes of the stored one. Its
/// `waiting_on` comes from what was written for its dependencies.
async fn write_build(
    stage: &Stage,
    release: &Release,
    planned: Planned,
    stored: Option<(&Build, bool)>,
    written: &BTreeMap<&str, Build>,
) -> Result<Build, StageError> {
    let waiting_on: BTreeSet<String> = planned
        .spec
        .requires
        .iter()
        .filter(|name| {
            written
                .get(name.as_str())
                .is_none_or(|build| !build.status.is_green())
        })
        .cloned()
        .collect();
    let now = Timestamp::now();
    let Some((stored, anew)) = stored else {
        let build = Build::new(
            release.key.clone(),
            planned,
            release.generation,
            waiting_on,
            now,
        );
        stage.store.create_build(&build, "planned").await?;
        return Ok(build);
    };
    let adopted = stored.adopted(planned, release.generation, waiting_on, anew, now);
    let reason = if stored.status == adopted.status {
        "adopted"
    } else {
        "planned again"
    };
    stage.store.change_build(stored, &adopted, reason).await?;
    Ok(adopted)
}

/// GitHub's answer as a stage's error: not seen, or refused.
fn github_error(error: &commons_github::Error) -> StageError {
    if error.is_cannot_see() {
        StageError::Unavailable(error.to_string())
    } else {
        StageError::Refused(error.to_string())
    }
}

/// Reads a manifest's text.
fn read_manifest(bytes: &[u8]) -> Result<Manifest, StageError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| StageError::Refused("the manifest is not UTF-8".into()))?;
    Manifest::parse(text)
        .map_err(|faults| StageError::Refused(format!("the manifest is refused: {faults}")))
}
