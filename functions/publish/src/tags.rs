//! The components' own tags, where they are asked for: each at the commit that was built,
//! before the release is seen. One that is there is left as it is, and is at that commit.

use commons_domain::build::Build;
use commons_domain::release::Release;
use commons_domain::times::BUSY_WAIT;
use commons_runtime::{Stage, StageError};

use crate::limits::{Pause, Writes};

/// Makes every component's tag be there.
pub async fn make(
    stage: &Stage,
    release: &Release,
    builds: &[Build],
    writes: &Writes<'_>,
) -> Result<(), Pause> {
    if !stage.config.tag_components || release.stop_at_draft {
        return Ok(());
    }
    let touching = stage.touching(builds.iter().map(|build| build.repository.clone()));
    for build in builds {
        if let Some(tag) = release.component_tag(&build.repository, &build.spec) {
            make_one(&touching, release, build, &tag, writes).await?;
        }
    }
    Ok(())
}

async fn make_one(
    stage: &Stage,
    release: &Release,
    build: &Build,
    tag: &str,
    writes: &Writes<'_>,
) -> Result<(), Pause> {
    let (repository, pin) = (&build.repository, &build.pin);
    match stage.github.tag(repository, tag).await? {
        Some(at) if at == *pin => return Ok(()),
        Some(at) => {
            let why = format!("the tag {tag} of {repository} is at {at}, and {pin} was built");
            return Err(StageError::VerificationFailed(why).into());
        }
        None => {}
    }
    writes.turn().await?;
    match stage.github.create_tag(repository, tag, pin).await {
        Ok(()) => {}
        // Made since it was looked for: the next call looks where it is.
        Err(error) if error.is_already_there() => {
            return Err(Pause::Again { wait: BUSY_WAIT });
        }
        Err(error) => return Err(error.into()),
    }
    let why = format!("{repository} is tagged {tag} at {pin}");
    let told = stage.store.tell_of_release(release, &why).await;
    Ok(told.map_err(StageError::from)?)
}
