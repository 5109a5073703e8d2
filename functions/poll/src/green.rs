//! Green: dependents stop waiting.

use commons_domain::build::Build;
use commons_domain::wake::{is_told, is_woken};
use commons_runtime::{Stage, StageError};
use futures_util::future::try_join_all;

/// Takes a green build out of what each dependent waits for, and completes the
/// token of one that waits for nothing any more. A token that is gone is no error;
/// one that did not wait is told all the same, Dispatch may be putting it back.
pub async fn tell_dependents(stage: &Stage, green: &Build) -> Result<(), StageError> {
    let builds = stage.store.builds(&green.release).await?;
    let dependents = builds.iter().filter(|b| is_told(b, green));
    try_join_all(dependents.map(|dependent| async {
        let told = stage
            .store
            .stop_waiting_on(
                &green.release,
                &dependent.component,
                &green.component,
                green.generation,
            )
            .await?;
        if let (true, Some(token)) = (is_woken(&told), &told.wait_token) {
            stage.store.complete_token(token).await?;
        }
        Ok::<(), StageError>(())
    }))
    .await?;
    Ok(())
}
