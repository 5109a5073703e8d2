//! What could stand in the way of a release: all of it is found before anything is
//! dispatched, and told at once, each fault with its fix.

use std::collections::{BTreeMap, BTreeSet};

use commons_domain::after_publish::Dispatch;
use commons_domain::build::{Build, Planned};
use commons_domain::dispatch::{CLIENT_PAYLOAD_LIMIT, client_payload};
use commons_domain::graph::with_dependents;
use commons_domain::manifest::Trigger;
use commons_domain::matching::Candidate;
use commons_domain::release::Release;
use commons_domain::request::Request;
use commons_github::Error;
use commons_runtime::{Stage, StageError, notes_template};

use crate::{adopt, after_publish, github_error, pins, published, tags};

/// A release may not have more builds than a Distributed Map has children.
const MOST_BUILDS: usize = 10_000;

/// What is known before anything is written but the lease.
pub struct Found {
    /// The manifest.
    pub read: pins::Read,
    /// Every component, pinned.
    pub planned: BTreeMap<String, Planned>,
    /// The release at GitHub, if there is one.
    pub at_github: Option<commons_github::Release>,
    /// What is published of the release repository cannot be changed.
    pub immutable: bool,
    /// The commit of the release's tag.
    pub target: String,
    /// The components that are built again though they are green.
    pub anew: BTreeSet<String>,
    /// The runs that a person names.
    pub adopted: BTreeMap<String, Candidate>,
    /// The dispatches that follow the release.
    pub after_publish: Vec<Dispatch>,
}

/// Looks at everything that could stand in the way of the release, and tells all of it
/// at once.
pub async fn look(
    stage: &Stage,
    request: &Request,
    release: &Release,
    stored: &BTreeMap<String, Build>,
) -> Result<Found, StageError> {
    let mut faults = Vec::new();
    let repository = &stage.config.release_repository;
    let home = stage.github.repository(repository).await;
    match home {
        Ok(home) if home.permissions.as_ref().is_some_and(|may| !may.push) => faults.push(format!(
            "the token may not publish in {repository}: give it write access to contents"
        )),
        Ok(_) => {}
        Err(error) if error.is_cannot_see() || matches!(error, Error::Secret(_)) => {
            return Err(github_error(&error));
        }
        Err(error) => {
            return Err(StageError::Refused(format!(
                "the release repository {repository} is not there, or the token may not see it: {error}"
            )));
        }
    }
    if let Some(signer) = &stage.signer {
        match signer.public_key().await {
            Ok(_) => {}
            Err(StageError::Refused(fault)) => faults.push(fault),
            Err(error) => return Err(error),
        }
    }
    let at_github = published::find(stage, release, stored.is_empty(), &mut faults).await?;
    let immutable = match stage.github.immutable_releases(repository).await {
        Ok(immutable) => immutable,
        Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
        // Not every token may read the setting, which is only told.
        Err(_) => false,
    };
    let read = match pins::manifest(stage, request).await {
        Ok(read) => read,
        Err(StageError::Refused(fault)) => {
            faults.push(fault);
            return Err(StageError::Refused(faults.join("; ")));
        }
        Err(error) => return Err(error),
    };
    faults.extend(notes_fault(stage, &read.commit).await?);
    let components = read.manifest.components();
    if components.len() > MOST_BUILDS {
        return Err(StageError::Refused(format!(
            "the manifest has {} components; at most {MOST_BUILDS} fit a release",
            components.len()
        )));
    }
    for name in request.only.iter().filter(|n| !components.contains_key(*n)) {
        faults.push(format!("only: '{name}' is no component of the manifest"));
    }
    let anew = read.manifest.with_dependents(&request.only);
    for name in request.adopt.keys().filter(|n| anew.contains(*n)) {
        faults.push(format!(
            "adopt: {name} is built again for what `only` names"
        ));
    }
    let adopted = adopt::find(stage, request, stored, &mut faults).await?;
    let planned = pins::pin(stage, &read.manifest, &mut faults).await?;
    faults.extend(payload_fault(stage, release, &planned));
    let kept = |name: &str| {
        stored
            .get(name)
            .filter(|b| adopted.contains_key(name) || !b.starts_afresh(anew.contains(name)))
    };
    let target = target(stage, release, &read, &planned, kept, &mut faults);
    let after_publish = after_publish::check(stage, &read.manifest, &mut faults).await?;
    faults.extend(tags::check(stage, release, &planned, kept).await?);
    if faults.is_empty() {
        Ok(Found {
            read,
            planned,
            at_github,
            immutable,
            target,
            anew,
            adopted,
            after_publish,
        })
    } else {
        Err(StageError::Refused(faults.join("; ")))
    }
}

/// The pins of all components go with every `repository_dispatch`: GitHub would refuse too
/// many, whichever component is dispatched.
fn payload_fault(
    stage: &Stage,
    release: &Release,
    planned: &BTreeMap<String, Planned>,
) -> Option<String> {
    let (_, dispatched) = planned
        .iter()
        .filter(|(_, planned)| planned.spec.trigger == Trigger::RepositoryDispatch)
        .max_by_key(|(name, _)| name.len())?;
    let pins = planned.iter().map(|(name, planned)| (name, &planned.pin));
    let pins = serde_json::Value::from_iter(pins.map(|(n, pin)| (n.as_str(), pin.as_str())));
    let now = stage.now();
    let build = Build::new(
        release.key.clone(),
        dispatched.clone(),
        1,
        BTreeSet::new(),
        now,
    );
    let payload = client_payload(&build, &build.next_nonce(), &pins, now);
    let bytes = payload.to_string().len();
    (bytes >= CLIENT_PAYLOAD_LIMIT).then(|| {
        format!(
            "the pins of {} components make a client_payload of {bytes} bytes, and GitHub takes less than {CLIENT_PAYLOAD_LIMIT}: give every component trigger = \"workflow_dispatch\", whose inputs name no other component's pin",
            planned.len()
        )
    })
}

/// What is wrong with the template of the notes, if people have one: it is tried with
/// facts that are made up.
async fn notes_fault(stage: &Stage, commit: &str) -> Result<Option<String>, StageError> {
    let path = &stage.config.notes_template;
    match notes_template(stage, commit).await {
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(template))) => Ok(template.check().err().map(|fault| fault.to_string())),
        Ok(Err(fault)) => Ok(Some(fault.to_string())),
        Err(error) if error.is_cannot_see() => Err(github_error(&error)),
        Err(error) => Ok(Some(format!("the template of the notes, {path}: {error}"))),
    }
}

/// `only` and `adopt` name components of a release that has them: `only` such as are not
/// on their way, `adopt` such as have failed.
pub fn asked_by_name(
    request: &Request,
    stored: &BTreeMap<String, Build>,
) -> Result<(), StageError> {
    let version = &request.version;
    if !request.only.is_empty() && stored.is_empty() {
        return Err(StageError::Refused(format!(
            "only: builds components of a release again, and {version} has no builds yet: leave it out"
        )));
    }
    let mut faults = adopt::faults(request, stored);
    for name in request.only.iter().filter(|n| !stored.contains_key(*n)) {
        faults.push(format!("only: '{name}' is no component of {version}"));
    }
    let requires = stored
        .values()
        .map(|b| (b.component.as_str(), b.requires.as_slice()));
    for name in with_dependents(request.only.iter().map(String::as_str), requires) {
        let on_its_way = stored.get(name).filter(|b| b.status.is_on_its_way());
        faults.extend(on_its_way.map(|build| {
            let status = build.status.as_str();
            format!("only: {name} is {status}: let it end first")
        }));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(StageError::Refused(faults.join("; ")))
    }
}

/// The commit of the release's tag: the release repository's pin, or the manifest's
/// commit where that repository is no component. A build that is kept was pinned before.
/// A tag that is there is at it.
fn target<'a>(
    stage: &Stage,
    release: &Release,
    read: &pins::Read,
    planned: &BTreeMap<String, Planned>,
    kept: impl Fn(&str) -> Option<&'a Build>,
    faults: &mut Vec<String>,
) -> String {
    let repository = &stage.config.release_repository;
    let own = planned
        .iter()
        .find(|(_, planned)| planned.repository == *repository);
    let target = own.map_or(&read.commit, |(name, planned)| {
        kept(name).map_or(&planned.pin, |build| &build.pin)
    });
    let night = release.key.version().nightly_commit().map(str::to_owned);
    if let Some(night) = night
        && !(target.starts_with(&night) && read.commit.starts_with(&night))
    {
        faults.push(format!(
            "the nightly is named after {night}, but {target} of {repository} is what would be built: release the next one"
        ));
    }
    if let Some(tag) = &read.tag_commit
        && tag != target
    {
        faults.push(format!(
            "the tag of the release is at commit {tag} of {repository}, but {target} is what would be built: move the tag, or release another version"
        ));
    }
    target.clone()
}
