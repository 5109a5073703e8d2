//! The template that people have for what a release says of itself.

use commons_domain::notes::{Fault, Template};
use commons_github::Error;

use crate::Stage;

/// The template in the release repository at the manifest's commit, if there is one; what
/// is wrong with the file.
pub async fn notes_template(
    stage: &Stage,
    commit: &str,
) -> Result<Result<Option<Template>, Fault>, Error> {
    let (repository, path) = (
        &stage.config.release_repository,
        &stage.config.notes_template,
    );
    match stage.github.file(repository, path, commit).await {
        Ok(bytes) => Ok(Template::read(path, bytes).map(Some)),
        Err(Error::NotFound { .. }) => Ok(Ok(None)),
        Err(error) => Err(error),
    }
}
