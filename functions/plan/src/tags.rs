//! The components' own tags, where they are asked for: one that is there already must be
//! at the commit that is built.

use std::collections::BTreeMap;

use commons_domain::build::{Build, Planned};
use commons_domain::release::Release;
use commons_runtime::{Stage, StageError};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::github_error;
use crate::pins::AT_A_TIME;

/// The tags that are elsewhere. A build that is `kept` was pinned before.
pub async fn check<'a>(
    stage: &Stage,
    release: &Release,
    planned: &BTreeMap<String, Planned>,
    kept: impl Fn(&str) -> Option<&'a Build>,
) -> Result<Vec<String>, StageError> {
    if !stage.config.tag_components || release.stop_at_draft {
        return Ok(Vec::new());
    }
    // Made before they are run, as the pins are.
    let looks = planned.iter().map(|(name, planned)| {
        let pin = kept(name).map_or(&planned.pin, |build| &build.pin);
        check_one(stage, release, planned, pin.clone())
    });
    let looks: Vec<_> = looks.collect();
    let faults: Vec<Option<String>> = stream::iter(looks)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    Ok(faults.into_iter().flatten().collect())
}

async fn check_one(
    stage: &Stage,
    release: &Release,
    planned: &Planned,
    pin: String,
) -> Result<Option<String>, StageError> {
    let (repository, component) = (&planned.repository, &planned.spec);
    let Some(tag) = release.component_tag(repository, component) else {
        return Ok(None);
    };
    let at = stage.github.tag(repository, &tag).await;
    let at = at.map_err(|error| github_error(&error))?;
    Ok(at.filter(|at| *at != pin).map(|at| {
        format!(
            "component '{}' is to be tagged {tag}, which is at commit {at} of {repository}, but {pin} is what would be built: give it another version or git_tag",
            component.name
        )
    }))
}
