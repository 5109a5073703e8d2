//! The release at GitHub as Plan finds it: none, a draft, or published. From Plan on
//! nobody sees a release that is not whole, so a published one becomes a draft.

use commons_domain::budget::{Answer, Write};
use commons_domain::documents;
use commons_domain::release::Release;
use commons_github::{LARGEST_ASSET, MOST_ASSETS, Release as GitHubRelease, ReleaseUpdate};
use commons_runtime::{Stage, StageError};

use crate::github_error;

/// Assets that a release has beside what the builds collected, at most.
const OWN_ASSETS: usize = 8;

/// Finds the release of the tag, drafts included; the faults that stand in its way.
/// `first`: nothing is built yet. GitHub's limits are foreseen then, and not for a
/// draft: who means to stay below them shows it with one.
pub async fn find(
    stage: &Stage,
    release: &Release,
    first: bool,
    faults: &mut Vec<String>,
) -> Result<Option<GitHubRelease>, StageError> {
    let repository = &stage.config.release_repository;
    let tag = release.key.version();
    let all = stage.github.releases(repository).await;
    let all = all.map_err(|error| github_error(&error))?;
    if first && !release.stop_at_draft {
        faults.extend(limits(&all));
    }
    let mut same_tag: Vec<GitHubRelease> = all
        .into_iter()
        .filter(|r| r.tag_name == tag.as_str())
        .collect();
    if same_tag.len() > 1 {
        let ids: Vec<String> = same_tag.iter().map(|r| r.id.to_string()).collect();
        let ids = ids.join(", ");
        faults.push(format!(
            "{repository} has several releases of {tag}, ids {ids}: delete all but one"
        ));
        return Ok(None);
    }
    let Some(found) = same_tag.pop() else {
        return Ok(None);
    };
    let ours = release.github_release_id == Some(found.id);
    if found.immutable {
        faults.push(format!(
            "the release {tag} is published and immutable: release another version"
        ));
        return Ok(Some(found));
    }
    let foreign = foreign_assets(stage, &found, ours).await?;
    if !foreign.is_empty() {
        let names = foreign.join(", ");
        faults.push(format!(
            "the release {tag} holds assets that were not uploaded here, {names}: delete them, or release another version"
        ));
    }
    Ok(Some(found))
}

/// Names of the assets that we did not upload: all of them in a release that is not
/// ours, in ours those of other uploaders.
async fn foreign_assets(
    stage: &Stage,
    found: &GitHubRelease,
    ours: bool,
) -> Result<Vec<String>, StageError> {
    if found.assets.is_empty() {
        return Ok(Vec::new());
    }
    let me = if ours {
        let login = stage.github.login().await;
        Some(login.map_err(|error| github_error(&error))?)
    } else {
        None
    };
    Ok(found
        .assets
        .iter()
        .filter(|asset| me.is_none() || asset.uploader != me)
        .map(|asset| asset.name.clone())
        .collect())
}

/// Limits of GitHub's that the last release came close to.
fn limits(all: &[GitHubRelease]) -> Vec<String> {
    let published = all.iter().filter(|r| !r.draft);
    let Some(last) = published.max_by_key(|r| r.published_at) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if last.assets.len() + OWN_ASSETS > MOST_ASSETS {
        faults.push(format!(
            "the last release, {}, had {} assets, and GitHub takes {MOST_ASSETS}: upload fewer files per build, and start with \"publish\": \"draft\" to see how many there are",
            last.tag_name,
            last.assets.len()
        ));
    }
    let near = LARGEST_ASSET - LARGEST_ASSET / 50;
    for asset in last.assets.iter().filter(|asset| asset.size > near) {
        faults.push(format!(
            "{} of the last release, {}, had {} bytes, and GitHub takes less than {LARGEST_ASSET}: make it smaller, and start with \"publish\": \"draft\" to see its size",
            asset.name, last.tag_name, asset.size
        ));
    }
    faults
}

/// Turns a published release into a draft again, unless it is one of ours that is
/// whole, and nothing is built again: Publish was killed between the un-draft and
/// writing it down.
pub async fn hide(
    stage: &Stage,
    release: &Release,
    found: &GitHubRelease,
    built_again: bool,
) -> Result<(), StageError> {
    let last = documents::last(stage.signer.is_some());
    let whole = !built_again
        && release.github_release_id == Some(found.id)
        && found.assets.iter().any(|asset| asset.name == last);
    if found.draft || whole {
        return Ok(());
    }
    let update = ReleaseUpdate {
        draft: Some(true),
        ..ReleaseUpdate::default()
    };
    let (repository, store) = (&stage.config.release_repository, &stage.store);
    let limits = &stage.config.write_limits;
    let asked = store.ask_to_write(&release.key, Write::Content, limits);
    match asked.await? {
        Answer::At(begins) => stage.clock.sleep(stage.until(begins)).await,
        Answer::AskAt(then) => {
            return Err(StageError::Unavailable(format!(
                "the budget of writes is used up until {then}"
            )));
        }
    }
    let why = format!(
        "release {} at GitHub, which is published, becomes a draft until it is whole",
        found.id
    );
    store.tell_of_release(release, &why).await?;
    // Right before the call: nothing lets another owner in between.
    store.own_release(&release.key, release.generation).await?;
    let hidden = stage
        .github
        .update_release(repository, found.id, &update)
        .await;
    // Setting it again is harmless: an answer that is lost is asked for again.
    let hidden = hidden.map_err(|error| github_error(&error))?;
    if hidden.draft {
        Ok(())
    } else {
        Err(StageError::Refused(format!(
            "the release {} stays published: turn it into a draft by hand",
            found.tag_name
        )))
    }
}
