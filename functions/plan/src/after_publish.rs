//! The dispatches that follow the release: whether they may be sent is known before
//! anything is built.

use commons_domain::after_publish::Dispatch;
use commons_domain::manifest::Manifest;
use commons_runtime::{Stage, StageError};

use crate::github_error;

/// What the manifest lists, none of it begun.
pub async fn check(
    stage: &Stage,
    manifest: &Manifest,
    faults: &mut Vec<String>,
) -> Result<Vec<Dispatch>, StageError> {
    let owner = stage.config.release_repository.owner();
    let mut dispatches = Vec::new();
    for entry in manifest.after_publish() {
        // The manifest was checked: its names are repositories'.
        let repository = entry.repository(owner);
        let repository = repository.map_err(|error| StageError::Internal(error.to_string()))?;
        match stage.github.repository(&repository).await {
            Ok(found) if found.permissions.as_ref().is_some_and(|may| !may.push) => {
                faults.push(format!(
                    "after_publish: the token may not dispatch to {repository}: give it write access to contents"
                ));
            }
            Ok(_) => {}
            Err(error) if error.is_cannot_see() => return Err(github_error(&error)),
            Err(error) => faults.push(format!(
                "after_publish: {repository} is not there, or the token may not see it: {error}"
            )),
        }
        dispatches.push(Dispatch::new(repository, entry.event_type.clone()));
    }
    Ok(dispatches)
}
