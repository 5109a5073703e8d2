//! `adopt`: a person says which run is a build's, where nothing else decides.

use std::collections::BTreeMap;

use commons_domain::build::Build;
use commons_domain::matching::{Candidate, may_adopt};
use commons_domain::request::Request;
use commons_github::Error;
use commons_runtime::{Stage, StageError, candidate, own_claim};
use commons_store::{Claim, Claimed};

use crate::github_error;

/// What is asked for that the builds do not allow.
pub fn faults(request: &Request, stored: &BTreeMap<String, Build>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, run) in &request.adopt {
        match stored.get(name) {
            None => faults.push(format!(
                "adopt: '{name}' is no component of {}",
                request.version
            )),
            Some(_) if request.only.contains(name) => {
                faults.push(format!("adopt: {name} is named by `only` too"));
            }
            // Adopted by a call before this one.
            Some(build) if build.workflow_run_id == Some(*run) => {}
            Some(build) if build.nonce.is_none() || !build.status.is_failed() => {
                let status = build.status.as_str();
                faults.push(format!(
                    "adopt: {name} is {status}: only a build that was dispatched and failed takes another run"
                ));
            }
            Some(_) => {}
        }
    }
    faults
}

/// The runs that are asked for, each checked to be one of its build's.
pub async fn find(
    stage: &Stage,
    request: &Request,
    stored: &BTreeMap<String, Build>,
    faults: &mut Vec<String>,
) -> Result<BTreeMap<String, Candidate>, StageError> {
    let mut found = BTreeMap::new();
    for (name, id) in &request.adopt {
        let Some(build) = stored.get(name).filter(|build| build.status.is_failed()) else {
            continue;
        };
        let run = match stage.github.run(&build.repository, *id).await {
            Ok(run) => candidate(run),
            Err(Error::NotFound { .. }) => {
                faults.push(format!("adopt: {} has no run {id}", build.repository));
                continue;
            }
            Err(error) => return Err(github_error(&error)),
        };
        let claimed = stage.store.claim_of(&build.repository, *id).await?;
        if let Some(other) = claimed.filter(|claimed| *claimed != own_claim(build)) {
            faults.push(belongs_to(*id, &other));
        } else if let Err(why) = may_adopt(build, &run) {
            faults.push(format!("adopt: {why}"));
        } else {
            found.insert(name.clone(), run);
        }
    }
    Ok(found)
}

/// Claims the run for the build, before the build says that it has it; nobody waits any more
/// for the run of its dispatch.
pub async fn claim(stage: &Stage, build: &Build, run: u64) -> Result<(), StageError> {
    let (repository, claim) = (&build.repository, own_claim(build));
    match stage.store.claim(repository, run, &claim).await? {
        Claimed::Ours => Ok(stage.store.release_lock(repository, &claim.nonce).await?),
        Claimed::By(other) => Err(StageError::Refused(belongs_to(run, &other))),
    }
}

fn belongs_to(run: u64, other: &Claim) -> String {
    let (component, release) = (&other.component, &other.release);
    format!(
        "adopt: run {run} belongs to the dispatch {} of {component} of {release}",
        other.nonce
    )
}
