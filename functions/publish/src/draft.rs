//! The draft: found or created, and un-drafted at the end.

use commons_domain::build::Build;
use commons_domain::notes;
use commons_domain::release::Release;
use commons_github::{NewRelease, Release as GitHubRelease, ReleaseUpdate};
use commons_runtime::{Stage, StageError};

use crate::limits::{Pause, Writes};

/// The release's draft, its id stored: by the stored id, else by tag among all
/// releases (a create whose answer was lost is found there), else a new one.
pub async fn find_or_create(
    stage: &Stage,
    release: &Release,
    writes: &mut Writes<'_>,
) -> Result<(Release, GitHubRelease), Pause> {
    let repository = &stage.config.release_repository;
    let tag = release.key.version();
    if let Some(id) = release.github_release_id {
        match stage.github.release(repository, id).await {
            Ok(found) => return Ok((release.clone(), found)),
            // Somebody deleted the draft: start over.
            Err(commons_github::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut same_tag: Vec<GitHubRelease> = stage
        .github
        .releases(repository)
        .await?
        .into_iter()
        .filter(|r| r.tag_name == tag.as_str())
        .collect();
    let found = match (same_tag.pop(), same_tag.is_empty()) {
        (Some(found), true) => found,
        (Some(found), false) => {
            let ids: Vec<String> = same_tag
                .iter()
                .chain([&found])
                .map(|r| r.id.to_string())
                .collect();
            let why = format!(
                "{repository} has several releases of {tag}: ids {}",
                ids.join(", ")
            );
            return Err(StageError::Refused(why).into());
        }
        (None, _) => {
            writes.turn().await?;
            let new = NewRelease {
                tag_name: tag.to_string(),
                target_commitish: release.target_commit.clone(),
                name: tag.to_string(),
                body: format!("{tag} is being assembled."),
                draft: true,
                prerelease: release.prerelease,
            };
            stage.github.create_release(repository, &new).await?
        }
    };
    if !found.draft && release.github_release_id != Some(found.id) {
        return Err(StageError::Refused(format!(
            "{tag} was published by somebody else: {}",
            found.html_url
        ))
        .into());
    }
    let stored = Release {
        github_release_id: Some(found.id),
        ..release.clone()
    };
    stage
        .store
        .change_release(release, &stored, &format!("draft {}", found.id))
        .await
        .map_err(StageError::from)?;
    Ok((stored, found))
}

/// What the release says of itself.
pub fn notes(
    stage: &Stage,
    release: &Release,
    builds: &[Build],
    files: &[notes::Artifact],
) -> String {
    let web = web_address(&stage.config.github_api_url);
    notes::render(release.key.version().as_str(), builds, files, &web)
}

/// GitHub's address for people, from its API's: `https://github.com` for
/// `https://api.github.com`, a GitHub Enterprise Server's without `/api/v3`.
fn web_address(api: &str) -> String {
    let api = api.trim_end_matches('/');
    if api == "https://api.github.com" {
        "https://github.com".into()
    } else {
        api.trim_end_matches("/api/v3").into()
    }
}

/// The last write: everybody sees it, unless it was asked to stop at the draft.
pub async fn publish(
    stage: &Stage,
    release: &Release,
    id: u64,
    notes: &str,
    writes: &mut Writes<'_>,
) -> Result<GitHubRelease, Pause> {
    writes.turn().await?;
    let update = ReleaseUpdate {
        body: Some(notes.to_owned()),
        target_commitish: release.target_commit.clone(),
        draft: Some(release.stop_at_draft),
        prerelease: Some(release.prerelease),
        make_latest: Some(
            if release.prerelease {
                "false"
            } else {
                "legacy"
            }
            .to_owned(),
        ),
    };
    Ok(stage
        .github
        .update_release(&stage.config.release_repository, id, &update)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::web_address;

    #[test]
    fn links_go_to_the_pages_of_the_api_s_host() {
        assert_eq!(web_address("https://api.github.com"), "https://github.com");
        assert_eq!(
            web_address("https://ghe.example/api/v3/"),
            "https://ghe.example"
        );
    }
}
