//! Plan: takes the lease, reads and validates the manifest, pins a commit per
//! component, and writes the builds in dependency order.
//!
//! Running it twice is safe: each run raises the generation, so what an earlier
//! run or owner still does loses; a build that is on its way, green or complete is
//! adopted as it is; the items and the release's status come last, so a run that
//! died before them left nothing that anybody acts on.

mod lease;
mod pins;

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::build::{Build, BuildStatus, Planned};
use commons_domain::manifest::Manifest;
use commons_domain::names::{ReleaseKey, Version};
use commons_domain::release::{Release, ReleaseStatus};
use commons_runtime::{Stage, StageError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A release may not have more builds than a Distributed Map has children.
const MOST_BUILDS: usize = 10_000;

/// The execution, and what it was started with.
#[derive(Debug, Clone, Deserialize)]
pub struct Input {
    /// The execution's ARN: the lease.
    pub execution: String,
    /// What the execution was started with; read by [`Request::parse`].
    pub input: serde_json::Value,
}

/// What to release.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The version, which is also the release's tag.
    pub version: String,
    /// Publish it as a prerelease whatever the version says.
    #[serde(default)]
    pub prerelease: bool,
}

impl Request {
    /// Reads the execution's input; an unknown key or a wrong type is named.
    pub fn parse(input: &serde_json::Value) -> Result<(Version, bool), StageError> {
        let request: Request = serde_json::from_value(input.clone()).map_err(|error| {
            StageError::Refused(format!(
                "the input is not {{\"version\": \"v0.1.0\"}}: {error}"
            ))
        })?;
        let version = Version::new(&request.version)
            .map_err(|error| StageError::Refused(error.to_string()))?;
        let prerelease = request.prerelease || version.is_prerelease();
        Ok((version, prerelease))
    }
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
    let (version, prerelease) = Request::parse(&input.input)?;
    let key = ReleaseKey::of(&stage.config.release_repository, &version);
    let release = lease::take(&stage, &key, prerelease, &input.execution).await?;

    let (manifest_ref, manifest) = pins::manifest(&stage, &version).await?;
    let plan = manifest.plan();
    if plan.order.len() > MOST_BUILDS {
        return Err(StageError::Refused(format!(
            "the manifest has {} components; at most {MOST_BUILDS} fit a release",
            plan.order.len()
        )));
    }
    pins::refuse_published(&stage, &version, release.github_release_id).await?;
    let stored: BTreeMap<String, Build> = stage
        .store
        .builds(&key)
        .await?
        .into_iter()
        .map(|build| (build.component.clone(), build))
        .collect();
    let mut planned = pins::pin(&stage, &manifest).await?;
    pins::wait_for_dispatches_in_flight(stored.values()).await;

    let mut builds: BTreeMap<&str, Build> = BTreeMap::new();
    for name in &plan.order {
        let planned = planned
            .remove(name)
            .ok_or_else(|| StageError::Internal(format!("component '{name}' was not pinned")))?;
        let build = write_build(&stage, &release, planned, stored.get(name), &builds).await?;
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

    let commit = stage
        .github
        .head(&stage.config.release_repository, &manifest_ref)
        .await
        .map_err(|error| github_error(&error))?;
    let building = Release {
        status: ReleaseStatus::Building,
        manifest_ref: Some(manifest_ref),
        manifest_commit: Some(commit.sha),
        ..release.clone()
    };
    let to_build = items.len();
    stage
        .store
        .change_release(&release, &building, &format!("planned {to_build} builds"))
        .await?;
    tracing::info!(release = %key, generation = release.generation, to_build, "planned");
    Ok(Output {
        release: key,
        generation: release.generation,
        items_key,
        to_build,
    })
}

/// Writes one build: fresh, or what this generation makes of the stored one. Its
/// `waiting_on` comes from what was written for its dependencies.
async fn write_build(
    stage: &Stage,
    release: &Release,
    planned: Planned,
    stored: Option<&Build>,
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
    let Some(stored) = stored else {
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
    let adopted = stored.adopted(planned, release.generation, waiting_on, now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_request_names_what_is_wrong_with_it() {
        let refused = |input| Request::parse(&input).unwrap_err().to_string();
        assert!(refused(json!({"version": "v0.1.0", "speed": 3})).contains("speed"));
        assert!(refused(json!({"version": 3})).contains("integer `3`"));
        assert!(refused(json!({"version": "0.1.0"})).contains("version '0.1.0'"));
        assert!(refused(json!({})).contains("version"));
    }

    #[test]
    fn a_prerelease_is_told_by_the_version_or_asked_for() {
        let parse = |input| Request::parse(&input).unwrap().1;
        assert!(!parse(json!({"version": "v0.1.0"})));
        assert!(parse(json!({"version": "v0.1.0-rc.1"})));
        assert!(parse(json!({"version": "v0.1.0", "prerelease": true})));
    }
}
