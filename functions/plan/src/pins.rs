//! What Plan reads from GitHub: the manifest, and a commit for each component.

use std::collections::BTreeMap;

use commons_domain::build::{Build, BuildStatus, Planned};
use commons_domain::manifest::{Component, Manifest, Trigger};
use commons_domain::names::Version;
use commons_runtime::{Stage, StageError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::{github_error, read_manifest};

/// Repositories that are asked about at a time.
const AT_A_TIME: usize = 8;

/// The manifest at the release's tag, else at the default branch's head; with the
/// ref that it was read at.
pub async fn manifest(stage: &Stage, version: &Version) -> Result<(String, Manifest), StageError> {
    let repository = &stage.config.release_repository;
    let path = &stage.config.manifest_path;
    match stage.github.file(repository, path, version.as_str()).await {
        Ok(bytes) => return Ok((version.to_string(), read_manifest(&bytes)?)),
        Err(commons_github::Error::NotFound { .. }) => {}
        Err(error) => return Err(github_error(&error)),
    }
    let branch = stage
        .github
        .repository(repository)
        .await
        .map_err(|error| github_error(&error))?
        .default_branch;
    match stage.github.file(repository, path, &branch).await {
        Ok(bytes) => Ok((branch, read_manifest(&bytes)?)),
        Err(commons_github::Error::NotFound { .. }) => Err(StageError::Refused(format!(
            "{repository} has no {path}, neither at {version} nor on {branch}"
        ))),
        Err(error) => Err(github_error(&error)),
    }
}

/// A published release is not started again, unless it is the one that an earlier
/// owner of this release published without living to write that down.
pub async fn refuse_published(
    stage: &Stage,
    version: &Version,
    ours: Option<u64>,
) -> Result<(), StageError> {
    let repository = &stage.config.release_repository;
    match stage
        .github
        .release_by_tag(repository, version.as_str())
        .await
    {
        Ok(None) => Ok(()),
        Ok(Some(release)) if ours == Some(release.id) => Ok(()),
        Ok(Some(release)) => Err(StageError::Refused(format!(
            "{version} is published already: {}",
            release.html_url
        ))),
        Err(error) => Err(github_error(&error)),
    }
}

/// Pins every component; all faults at once.
pub async fn pin(
    stage: &Stage,
    manifest: &Manifest,
) -> Result<BTreeMap<String, Planned>, StageError> {
    let results: Vec<Result<Planned, String>> = stream::iter(manifest.components().values())
        .map(|component| pin_one(stage, component))
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let mut planned = BTreeMap::new();
    let mut faults = Vec::new();
    for result in results {
        match result {
            Ok(one) => {
                planned.insert(one.spec.name.clone(), one);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() {
        Ok(planned)
    } else {
        Err(StageError::Refused(faults.join("; ")))
    }
}

/// The workflow that a component names; otherwise `build.yml`, else `ci.yml`.
fn choose_workflow(component: &Component, paths: &[String]) -> Option<String> {
    let wanted: Vec<&str> = component
        .workflow
        .as_deref()
        .map_or_else(|| vec!["build.yml", "ci.yml"], |w| vec![w]);
    wanted
        .iter()
        .map(|file| format!(".github/workflows/{file}"))
        .find(|path| paths.contains(path))
}

/// Waits, at most ten seconds, until the POST of a dispatch that an earlier owner
/// had written down is over: then its run is there to be found, or never will be.
pub async fn wait_for_dispatches_in_flight(stored: impl Iterator<Item = &Build>) {
    let last = stored
        .filter(|b| b.status == BuildStatus::Dispatching)
        .filter_map(|b| b.post_deadline)
        .max();
    let Some(left) =
        last.map(|deadline| deadline.as_millisecond() - Timestamp::now().as_millisecond())
    else {
        return;
    };
    if let Ok(left) = u64::try_from(left) {
        tokio::time::sleep(std::time::Duration::from_millis(left)).await;
    }
}

async fn pin_one(
    stage: &Stage,
    component: &Component,
) -> Result<Result<Planned, String>, StageError> {
    let name = &component.name;
    let repository = component
        .repository(stage.config.release_repository.owner())
        .map_err(|error| StageError::Refused(format!("component '{name}': {error}")))?;
    let refused = |error: commons_github::Error| {
        if error.is_cannot_see() {
            Err(StageError::Unavailable(error.to_string()))
        } else {
            Ok(Err(format!("component '{name}': {error}")))
        }
    };
    let workflows = match stage.github.workflows(&repository).await {
        Ok(workflows) => workflows,
        Err(error) => return refused(error),
    };
    let paths: Vec<String> = workflows
        .into_iter()
        .map(|workflow| workflow.path)
        .collect();
    let Some(workflow_path) = choose_workflow(component, &paths) else {
        let wanted = component
            .workflow
            .as_deref()
            .unwrap_or("build.yml or ci.yml");
        return Ok(Err(format!(
            "component '{name}': {repository} has no workflow {wanted}"
        )));
    };
    let git_ref = match component.trigger {
        Trigger::WorkflowDispatch => component.git_tag.clone(),
        Trigger::RepositoryDispatch => match stage.github.repository(&repository).await {
            Ok(found) => found.default_branch,
            Err(error) => return refused(error),
        },
    };
    let pin = match stage.github.head(&repository, &git_ref).await {
        Ok(head) => head.sha,
        Err(error) => return refused(error),
    };
    if component.trigger == Trigger::WorkflowDispatch
        && !component.git_commit.is_empty()
        && component.git_commit != pin
    {
        return Ok(Err(format!(
            "component '{name}': git_tag {git_ref} of {repository} is at {pin}, but git_commit says {}",
            component.git_commit
        )));
    }
    Ok(Ok(Planned {
        spec: component.clone(),
        repository,
        pin,
        git_ref,
        workflow_path,
    }))
}
