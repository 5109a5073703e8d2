//! Repositories: files, commits.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use super::page::{parameter, part};
use super::{Answer, By, Shared, Under, answer, name};
use crate::model::app::Caller;
use crate::model::refusal::Refusal;

/// Commits of a comparison that is not asked for by pages, of which "the last commit in the
/// list is the most recent of the entire comparison"
/// ([GitHub: compare two commits](https://docs.github.com/en/rest/commits/commits#compare-two-commits)).
const MOST_COMPARED: usize = 250;

/// Answers whose token it is.
pub(super) async fn user(State(app): Shared) -> Answer {
    answer(200, app.with(|world, _| world.render.profile(&world.login)))
}

pub(super) async fn repository(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo)): Path<(String, String)>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let mut shown = render.repository(world.repo(&name(&owner, &repo))?);
        if matches!(caller, Caller::Token(_)) {
            // GitHub says so of every App's token, whatever it may do.
            shown["permissions"]["push"] = false.into();
        }
        answer(200, shown)
    })
}

pub(super) async fn root(
    app: Shared,
    Path((owner, repo)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    contents(app, Path((owner, repo, String::new())), uri, headers).await
}

pub(super) async fn contents(
    State(app): Shared,
    Path((owner, repo, path)): Under<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        if let Some(reference) = parameter(&uri, "ref").filter(|reference| !reference.is_empty())
            && repo.resolve(&reference).is_none()
        {
            return Err(Refusal::new(
                404,
                format!("No commit found for the ref {reference}"),
            ));
        }
        let path = path.trim_end_matches('/');
        if let Some(content) = repo.files.get(path) {
            if accept.contains("raw") {
                let kind = [(
                    CONTENT_TYPE,
                    "application/vnd.github.raw+json; charset=utf-8",
                )];
                return Ok((kind, content.clone()).into_response());
            }
            return answer(200, render.content(repo, path, content));
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut entries: Vec<Value> = Vec::new();
        for (file, content) in &repo.files {
            let Some(rest) = file.strip_prefix(&prefix) else {
                continue;
            };
            let (child, kind, size) = match rest.split_once('/') {
                Some((directory, _)) => (directory, "dir", 0),
                None => (rest, "file", content.len()),
            };
            let entry = render.entry(repo, &format!("{prefix}{child}"), kind, size);
            if entries
                .last()
                .is_none_or(|last| last["path"] != entry["path"])
            {
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            Err(Refusal::not_found())
        } else {
            answer(200, entries.into())
        }
    })
}

pub(super) async fn commit(
    State(app): Shared,
    Path((owner, repo, reference)): Under<String>,
    headers: HeaderMap,
) -> Answer {
    let accept = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let Some((commit, _)) = repo.resolve(&reference) else {
            return Err(Refusal::new(
                422,
                format!("No commit found for SHA: {reference}"),
            ));
        };
        if accept.contains("sha") {
            let kind = [(CONTENT_TYPE, "application/vnd.github.sha; charset=utf-8")];
            return Ok((kind, commit.sha.clone()).into_response());
        }
        answer(200, render.commit(repo, commit))
    })
}

/// Compares two commits of the default branch, which is all there is: one is
/// always an ancestor of the other.
pub(super) async fn compare(
    State(app): Shared,
    Path((owner, repo, basehead)): Under<String>,
    uri: Uri,
) -> Answer {
    let (base, head) = basehead.split_once("...").ok_or_else(Refusal::not_found)?;
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let resolve = |reference| repo.resolve(reference).ok_or_else(Refusal::not_found);
        let ((base, _), (head, _)) = (resolve(base)?, resolve(head)?);
        let (from, to) = (repo.depth(&base.sha), repo.depth(&head.sha));
        let status = match from.cmp(&to) {
            std::cmp::Ordering::Less => "ahead",
            std::cmp::Ordering::Equal => "identical",
            std::cmp::Ordering::Greater => "behind",
        };
        let range = format!("compare/{basehead}");
        let url = format!("{}/repos/{}/{range}", render.api, repo.name);
        let html = format!("{}/{}/{range}", render.html(), repo.name);
        let between = repo.commits.iter().take(to + 1).skip(from + 1);
        let commits = between.map(|commit| render.commit(repo, commit)).collect();
        let commits = part(&uri, commits, MOST_COMPARED);
        answer(
            200,
            json!({
                "url": url,
                "html_url": html,
                "permalink_url": html,
                "diff_url": format!("{html}.diff"),
                "patch_url": format!("{html}.patch"),
                "status": status,
                "ahead_by": to.saturating_sub(from),
                "behind_by": from.saturating_sub(to),
                "total_commits": to.saturating_sub(from),
                "base_commit": render.commit(repo, base),
                "merge_base_commit": render.commit(repo, if from < to { base } else { head }),
                "commits": commits,
                "files": [],
            }),
        )
    })
}

/// 404 where they are not immutable.
pub(super) async fn immutable_releases(
    State(app): Shared,
    Path((owner, repo)): Path<(String, String)>,
) -> Answer {
    app.with(|world, _| {
        if !world.repo(&name(&owner, &repo))?.immutable_releases {
            return Err(Refusal::not_found());
        }
        answer(200, json!({ "enabled": true, "enforced_by_owner": false }))
    })
}
