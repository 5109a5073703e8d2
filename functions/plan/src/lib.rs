//! Plan: takes the lease, reads and validates the manifest, pins a commit per
//! component, and writes the builds in dependency order.
//!
//! Running it twice is safe: each run raises the generation, so what an earlier
//! run or owner still does loses; a build that is on its way, green or complete is
//! adopted as it is; the items and the release's status come last, so a run that
//! died before them left nothing that anybody acts on, and one that comes after them
//! for the same execution answers what was answered.

mod adopt;
mod after_publish;
mod lease;
mod nightly;
mod pins;
mod preflight;
mod published;
mod tags;
mod workflow;

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::build::{Build, BuildStatus, Planned};
use commons_domain::manifest::Manifest;
use commons_domain::matching::Candidate;
use commons_domain::names::ReleaseKey;
use commons_domain::release::{Release, ReleaseStatus};
use commons_domain::request::Request;
use commons_runtime::{Stage, StageError};
use commons_store::{StoreError, WRITERS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::lease::Leased;
use crate::preflight::Found;

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
    match plan(&stage, &request, &key, &input).await {
        Err(StageError::LeaseLost(why)) => {
            // To another call for this execution: which of the two the state machine
            // listens to is not known, so that this one must not end the release.
            let owner = stage.store.release(&key).await?.and_then(|r| r.lease);
            Err(if owner.as_ref() == Some(&input.execution) {
                StageError::Unavailable(why)
            } else {
                StageError::LeaseLost(why)
            })
        }
        planned => planned,
    }
}

async fn plan(
    stage: &Stage,
    request: &Request,
    key: &ReleaseKey,
    input: &Input,
) -> Result<Output, StageError> {
    let stored: BTreeMap<String, Build> = stage
        .store
        .builds(key)
        .await?
        .into_iter()
        .map(|build| (build.component.clone(), build))
        .collect();
    // What can be refused without the lease is: the release stays as it is.
    preflight::asked_by_name(request, &stored)?;
    let mut release = match lease::take(stage, key, request, input).await? {
        Leased::Taken(release) => release,
        Leased::Planned(release) => return planned_before(stage, &release).await,
    };

    let Found {
        read,
        mut planned,
        at_github,
        immutable,
        target,
        anew,
        adopted,
        after_publish,
    } = preflight::look(stage, request, &release, &stored).await?;
    let plan = read.manifest.plan();
    if let Some(found) = &at_github {
        release = as_a_prerelease(stage, request, release, found).await?;
        published::hide(stage, &release, found, !anew.is_empty()).await?;
    }
    pins::wait_for_dispatches_in_flight(stage, stored.values()).await;

    let mut builds: BTreeMap<&str, Build> = BTreeMap::new();
    for name in &plan.order {
        let planned = planned
            .remove(name)
            .ok_or_else(|| StageError::Internal(format!("component '{name}' was not pinned")))?;
        let before = stored.get(name).cloned();
        let asked = match adopted.get(name) {
            Some(run) => Asked::Adopt(run),
            None if anew.contains(name) => Asked::Anew,
            None => Asked::Nothing,
        };
        let build = write_build(stage, &release, planned, before, asked, &builds).await?;
        builds.insert(name, build);
    }

    let items: Vec<Item> = plan
        .order
        .iter()
        .filter(|name| builds[name.as_str()].status != BuildStatus::Collected)
        .map(|name| Item {
            release: key,
            sk: format!("build#{name}"),
            component: name,
            generation: release.generation,
            generation_text: release.generation.to_string(),
        })
        .collect();
    let items_key = items_key(&release);
    stage
        .objects
        .put_json(&items_key, &items)
        .await
        .map_err(|error| StageError::Unavailable(error.to_string()))?;

    let to_build = items.len();
    let mut reason = format!(
        "planned {} builds, {to_build} of them not complete, by {} at {}, commit {}; the release's tag is for {target}",
        plan.order.len(),
        stage.config.manifest_path,
        read.git_ref,
        read.commit
    );
    let building = Release {
        status: ReleaseStatus::Building,
        manifest_ref: Some(read.git_ref),
        manifest_commit: Some(read.commit),
        target_commit: Some(target),
        after_publish,
        ..release.clone()
    };
    if immutable {
        reason.push_str("; what is published of this repository cannot be changed");
    }
    stage
        .store
        .change_release(&release, &building, &reason)
        .await?;
    tracing::info!(release = %key, generation = release.generation, to_build, "planned");
    Ok(Output {
        release: key.clone(),
        generation: release.generation,
        items_key,
        to_build,
    })
}

/// S3 key of the Map's items.
fn items_key(release: &Release) -> String {
    format!("{}/plan/{}.json", release.key, release.generation)
}

/// The answer that another call for the same execution gave, or was about to.
async fn planned_before(stage: &Stage, release: &Release) -> Result<Output, StageError> {
    let items_key = items_key(release);
    let items = stage.objects.get_json::<Vec<serde_json::Value>>(&items_key);
    let items = items
        .await
        .map_err(|error| StageError::Unavailable(error.to_string()))?
        .ok_or_else(|| StageError::Internal(format!("{items_key} is gone")))?;
    Ok(Output {
        release: release.key.clone(),
        generation: release.generation,
        items_key,
        to_build: items.len(),
    })
}

/// A release that a person published as a prerelease stays one.
async fn as_a_prerelease(
    stage: &Stage,
    request: &Request,
    release: Release,
    found: &commons_github::Release,
) -> Result<Release, StageError> {
    let known = Release {
        prerelease: request.is_prerelease(release.prerelease || found.prerelease),
        ..release.clone()
    };
    let why = "it is a prerelease at GitHub";
    stage.store.change_release(&release, &known, why).await?;
    Ok(known)
}

/// What is told of a build that begins.
fn pinned(build: &Build) -> String {
    format!(
        "planned at {}, which is {} of {}",
        build.pin, build.git_ref, build.repository
    )
}

/// What the request asks for a component that is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked<'a> {
    /// What is missing.
    Nothing,
    /// To be built again.
    Anew,
    /// This run as its own.
    Adopt(&'a Candidate),
}

/// Writes one build: fresh, or what this generation makes of the stored one. Its
/// `waiting_on` comes from what was written for its dependencies.
///
/// Whoever lost the release may still write a build in this moment: then it is read
/// again, and its owner is who the release says.
async fn write_build(
    stage: &Stage,
    release: &Release,
    planned: Planned,
    mut stored: Option<Build>,
    asked: Asked<'_>,
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
    let (key, generation) = (&release.key, release.generation);
    for _ in 0..WRITERS {
        let (planned, waiting_on) = (planned.clone(), waiting_on.clone());
        let now = stage.now();
        let (build, outcome) = match &stored {
            None => {
                let build = Build::new(key.clone(), planned, generation, waiting_on, now);
                let outcome = stage.store.create_build(&build, &pinned(&build)).await;
                (build, outcome)
            }
            Some(stored) if let Asked::Adopt(run) = asked => {
                adopt::claim(stage, stored, run.id).await?;
                let build = stored.adopting(run.id, run.run_attempt, generation);
                let reason = format!("run {} is adopted", run.id);
                let outcome = stage.store.change_build(stored, &build, &reason).await;
                (build, outcome)
            }
            Some(stored) => {
                let anew = asked == Asked::Anew;
                let build = stored.adopted(planned, generation, waiting_on, anew, now);
                let reason = if stored.starts_afresh(anew) {
                    let asked = if anew { "asked for again: " } else { "" };
                    format!("{asked}{}", pinned(&build))
                } else {
                    format!("taken over as it is, at {}", build.pin)
                };
                let outcome = stage.store.change_build(stored, &build, &reason).await;
                (build, outcome)
            }
        };
        match outcome {
            Ok(()) => return Ok(build),
            Err(StoreError::Stale { .. } | StoreError::LeaseLost { .. }) => {
                stage.store.own_release(key, generation).await?;
                stored = stage.store.build(key, &build.component).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StageError::Unavailable(format!(
        "build {} changes all the time",
        planned.spec.name
    )))
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
