//! What the release says of itself: gathered from GitHub and from the table, and put
//! where it stood before. Nothing here writes.

mod changes;
mod previous;

use commons_domain::build::Build;
use commons_domain::documents::Asset;
use commons_domain::notes::{Artifact, Facts, Gathered, body};
use commons_domain::release::Release;
use commons_runtime::{Stage, StageError, notes_template, web_address};

use crate::limits::Pause;

/// The release's whole text, with what people wrote into it. `public_key`: what the sums
/// are signed for, PEM.
pub async fn render(
    stage: &Stage,
    release: &Release,
    builds: &[Build],
    assets: &[Asset],
    public_key: Option<&str>,
) -> Result<String, Pause> {
    let repository = &stage.config.release_repository;
    let id = release
        .github_release_id
        .ok_or_else(|| StageError::Internal("the release has no draft to have notes".into()))?;
    let template = match &release.manifest_commit {
        Some(commit) => notes_template(stage, commit).await?.map_err(refused)?,
        None => None,
    };
    let web = web_address(&stage.config.github_api_url);
    let changes = changes::since_the_last(stage, release, builds, &web).await?;
    let artifacts: Vec<Artifact> = assets.iter().map(artifact).collect();
    let facts = Facts::of(Gathered {
        repository,
        version: &release.key.version(),
        prerelease: release.prerelease,
        builds,
        artifacts: &artifacts,
        changes,
        public_key,
        web: &web,
    });
    // Read last: people may write while the files are uploaded.
    let there = stage.github.release(repository, id).await?;
    let theirs = there.body.unwrap_or_default();
    body(&theirs, template.as_ref(), &facts).map_err(|fault| refused(fault).into())
}

fn refused(fault: commons_domain::notes::Fault) -> StageError {
    StageError::Refused(fault.to_string())
}

fn artifact(asset: &Asset) -> Artifact {
    Artifact {
        name: asset.name.clone(),
        size: asset.size,
        sha256: asset.sha256.clone(),
        component: asset.component.clone(),
    }
}
