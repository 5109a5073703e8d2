//! What Plan reads from GitHub: the manifest, and for each component a commit and
//! whether a dispatch would build it. All faults are found before any is told.

use std::collections::BTreeMap;
use std::time::Duration;

use commons_domain::build::{Build, Planned};
use commons_domain::dispatch::WORKFLOW_INPUTS;
use commons_domain::manifest::{Component, Manifest, Trigger};
use commons_domain::names::RepoName;
use commons_domain::request::Request;
use commons_github::Error;
use commons_runtime::{Stage, StageError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::workflow::Workflow;
use crate::{github_error, read_manifest};

/// Repositories that are asked about at a time.
pub const AT_A_TIME: usize = 8;

/// The manifest, and where it was read.
pub struct Read {
    /// Branch, tag or commit.
    pub git_ref: String,
    /// The commit that this is at.
    pub commit: String,
    /// The commit of the release's tag, if there is one.
    pub tag_commit: Option<String>,
    /// What it says.
    pub manifest: Manifest,
}

/// The manifest at the ref that was asked for, else at the release's tag, else at
/// the default branch's head.
pub async fn manifest(stage: &Stage, request: &Request) -> Result<Read, StageError> {
    let repository = &stage.config.release_repository;
    let path = &stage.config.manifest_path;
    let tag = request.version.as_str();
    // A nightly is what it is named after.
    let asked = request.manifest_ref.as_deref();
    let asked = asked.or(request.version.nightly_commit());
    let tag_commit = stage.github.tag(repository, tag).await;
    let tag_commit = tag_commit.map_err(|error| github_error(&error))?;
    let mut places: Vec<(String, String)> = Vec::new();
    match (asked, &tag_commit) {
        (Some(asked), _) => places.push((asked.to_owned(), commit(stage, asked).await?)),
        (None, tag_commit) => {
            places.extend(tag_commit.clone().map(|commit| (tag.to_owned(), commit)));
            let found = stage.github.repository(repository).await;
            let branch = found.map_err(|error| github_error(&error))?.default_branch;
            let head = commit(stage, &branch).await?;
            places.push((branch, head));
        }
    }
    let mut looked = Vec::new();
    for (git_ref, commit) in places {
        match stage.github.file(repository, path, &commit).await {
            Ok(bytes) => {
                let manifest = read_manifest(&bytes)?;
                return Ok(Read {
                    git_ref,
                    commit,
                    tag_commit,
                    manifest,
                });
            }
            Err(Error::NotFound { .. }) => looked.push(git_ref),
            Err(error) => return Err(github_error(&error)),
        }
    }
    let places = looked.join(" nor at ");
    Err(StageError::Refused(format!(
        "{repository} has no {path} at {places}"
    )))
}

async fn commit(stage: &Stage, git_ref: &str) -> Result<String, StageError> {
    let repository = &stage.config.release_repository;
    match stage.github.head(repository, git_ref).await {
        Ok(head) => Ok(head.sha),
        Err(Error::NotFound { .. } | Error::Unprocessable { .. }) => Err(StageError::Refused(
            format!("{repository} has no branch, tag or commit {git_ref}"),
        )),
        Err(error) => Err(github_error(&error)),
    }
}

/// Pins every component; what stands in the way of one is among the faults.
pub async fn pin(
    stage: &Stage,
    manifest: &Manifest,
    faults: &mut Vec<String>,
) -> Result<BTreeMap<String, Planned>, StageError> {
    let components = manifest.components();
    let owner = stage.config.release_repository.owner();
    let repositories = components.values().map(|c| c.repository(owner));
    let touching = stage.touching(repositories.filter_map(Result::ok));
    // Made before they are run: with the closure in the stream the compiler would not see
    // that the whole may move between threads.
    let looks = components.values();
    let looks: Vec<_> = looks.map(|c| pin_one(&touching, c)).collect();
    let results: Vec<Result<Planned, Vec<String>>> = stream::iter(looks)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    let mut planned = BTreeMap::new();
    for result in results {
        match result {
            Ok(one) => {
                planned.insert(one.spec.name.clone(), one);
            }
            Err(found) => faults.extend(found),
        }
    }
    Ok(planned)
}

/// Waits, at most ten seconds, until the POST of a dispatch that an earlier owner
/// had written down is over: then its run is there to be found, or never will be.
pub async fn wait_for_dispatches_in_flight(stage: &Stage, stored: impl Iterator<Item = &Build>) {
    let last = stored.filter_map(Build::in_flight_until).max();
    let Some(left) = last.map(|deadline| deadline.as_millisecond() - stage.now().as_millisecond())
    else {
        return;
    };
    if let Ok(left) = u64::try_from(left) {
        stage.clock.sleep(Duration::from_millis(left)).await;
    }
}

/// What the end of a sentence says of one component: every fault, or nothing that can
/// be told because GitHub cannot be seen.
type Checked<T> = Result<Result<T, Vec<String>>, StageError>;

async fn pin_one(stage: &Stage, component: &Component) -> Checked<Planned> {
    let name = &component.name;
    let about = |fault: String| format!("component '{name}': {fault}");
    let repository = match component.repository(stage.config.release_repository.owner()) {
        Ok(repository) => repository,
        Err(error) => return Ok(Err(vec![about(error.to_string())])),
    };
    let found = match stage.github.repository(&repository).await {
        Ok(found) => found,
        Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
        Err(Error::NotFound { .. }) => {
            return Ok(Err(vec![about(format!(
                "{repository} is not there, or the token may not see it: check `repository` in the manifest and the token's repositories"
            ))]));
        }
        Err(error) => return Ok(Err(vec![about(error.to_string())])),
    };
    let mut faults = Vec::new();
    if found.archived {
        faults.push(about(format!("{repository} is archived: un-archive it")));
    }
    if found.permissions.is_some_and(|may| !may.push) {
        faults.push(about(format!(
            "the token may not dispatch in {repository}: give it write access to contents and actions"
        )));
    }
    let git_ref = match component.trigger {
        Trigger::WorkflowDispatch => component.git_tag.clone(),
        Trigger::RepositoryDispatch => found.default_branch,
    };
    let pin = match stage.github.head(&repository, &git_ref).await {
        Ok(head) => head.sha,
        Err(Error::NotFound { .. } | Error::Unprocessable { .. }) => {
            faults.push(about(format!(
                "{repository} has no {git_ref}: push it, or correct git_tag in the manifest"
            )));
            return Ok(Err(faults));
        }
        Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
        // An empty repository, for one.
        Err(error) => {
            faults.push(about(error.to_string()));
            return Ok(Err(faults));
        }
    };
    if component.trigger == Trigger::WorkflowDispatch
        && !component.git_commit.is_empty()
        && component.git_commit != pin
    {
        faults.push(about(format!(
            "git_tag {git_ref} of {repository} is at {pin}, but git_commit says {}",
            component.git_commit
        )));
    }
    let mut planned = Planned {
        spec: component.clone(),
        repository,
        pin,
        git_ref,
        workflow_path: String::new(),
        shows_nonce: false,
    };
    match workflow(stage, &planned).await? {
        Ok((path, shows_nonce)) => {
            (planned.workflow_path, planned.shows_nonce) = (path, shows_nonce);
        }
        Err(fault) => faults.push(about(fault)),
    }
    Ok(if faults.is_empty() {
        Ok(planned)
    } else {
        Err(faults)
    })
}

/// The path of the component's workflow, if a dispatch would start it, and whether its runs
/// show the nonce: the one that it names; otherwise `build.yml`, else `ci.yml`.
async fn workflow(
    stage: &Stage,
    planned: &Planned,
) -> Result<Result<(String, bool), String>, StageError> {
    let (component, repository) = (&planned.spec, &planned.repository);
    let there = stage.github.workflows(repository).await;
    let there = match there {
        Ok(there) => there,
        Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let wanted = component
        .workflow
        .as_deref()
        .map_or_else(|| vec!["build.yml", "ci.yml"], |w| vec![w]);
    let found = wanted
        .iter()
        .map(|file| format!(".github/workflows/{file}"))
        .find_map(|path| there.iter().find(|workflow| workflow.path == path));
    let Some(found) = found else {
        let names = wanted.join(" or ");
        return Ok(Err(format!(
            "{repository} has no workflow {names}: copy docs/workflows/build.yml there"
        )));
    };
    let path = &found.path;
    if found.state != "active" {
        return Ok(Err(format!(
            "the workflow {path} of {repository} is {}: enable it under Actions",
            found.state
        )));
    }
    let file = match stage.github.file(repository, path, &planned.pin).await {
        Ok(bytes) => bytes,
        Err(Error::NotFound { .. }) => {
            return Ok(Err(format!(
                "{repository} has no {path} at {}: GitHub starts nothing there",
                planned.git_ref
            )));
        }
        Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(
        hears(component, repository, path, &String::from_utf8_lossy(&file))
            .map(|shows_nonce| (path.clone(), shows_nonce))
            .map_err(|fault| format!("the workflow {path} of {repository} {fault}")),
    )
}

/// Whether a workflow that a dispatch would start shows the nonce.
fn hears(
    component: &Component,
    repository: &RepoName,
    path: &str,
    file: &str,
) -> Result<bool, String> {
    let Some(workflow) = Workflow::read(file) else {
        // GitHub reads more than we do; what it cannot read starts no run, and that is
        // found out.
        tracing::warn!(%repository, path, "the workflow's `on:` could not be read");
        return Ok(false);
    };
    match component.trigger {
        Trigger::RepositoryDispatch => workflow.hears_dispatch(&component.event_type)?,
        Trigger::WorkflowDispatch => workflow.takes_inputs(&WORKFLOW_INPUTS)?,
    }
    Ok(workflow.shows_nonce(component.trigger))
}
