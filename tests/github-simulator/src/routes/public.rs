//! What needs no token: pages for people, published files, and the short-lived
//! addresses that downloads are redirected to.

use std::ops::Bound;

use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _};
use axum_extra::TypedHeader;
use axum_extra::headers::{ContentRange, Range};

use super::{Answer, Shared, Under, name};
use crate::model::refusal::Refusal;

/// The same server under another host name, so that clients drop the token.
pub(super) fn blob_url(api: &str, key: &str) -> String {
    format!("{}/_blob/{key}", api.replacen("127.0.0.1", "localhost", 1))
}

/// A file at a short-lived address. Storage refuses two kinds of authorization.
pub(super) async fn blob(
    State(app): Shared,
    Path(key): Path<String>,
    range: Option<TypedHeader<Range>>,
    headers: HeaderMap,
) -> Answer {
    if headers.contains_key(AUTHORIZATION) {
        let message = "InvalidArgument: only one auth mechanism allowed";
        return Err(Refusal::new(400, message));
    }
    let blob = app.with(|world, now| world.blob(&key, now));
    let blob = blob.ok_or_else(|| Refusal::new(403, "AuthenticationFailed"))?;
    let disposition = format!(
        "attachment; filename=\"{}\"",
        blob.file_name.replace('"', "")
    );
    let headers = [
        (CONTENT_TYPE, blob.content_type),
        (CONTENT_DISPOSITION, disposition),
    ];
    let size = blob.content.len() as u64;
    let asked = range.and_then(|TypedHeader(range)| range.satisfiable_ranges(size).next());
    let Some((from, to)) = asked else {
        return Ok((headers, blob.content).into_response());
    };
    let unsatisfiable = || Refusal::new(416, "InvalidRange");
    // As Azure's Blob Storage: from a byte on, not so many at the end.
    let Bound::Included(from) = from else {
        return Err(unsatisfiable());
    };
    if from >= size {
        return Err(unsatisfiable());
    }
    let to = match to {
        Bound::Included(to) => to + 1,
        Bound::Excluded(to) => to,
        Bound::Unbounded => size,
    };
    let content_range = ContentRange::bytes(from..to, size).map_err(|_| unsatisfiable())?;
    let part = blob.content.slice(from as usize..to as usize);
    let status = StatusCode::PARTIAL_CONTENT;
    Ok((status, headers, TypedHeader(content_range), part).into_response())
}

pub(super) async fn download(
    State(app): Shared,
    Path((owner, repo, tag, file)): Path<(String, String, String, String)>,
) -> Answer {
    app.with(|world, _| {
        let repo = world.repo(&name(&owner, &repo))?;
        let mut published = repo
            .releases
            .iter()
            .filter(|r| !r.draft && r.tag_name == tag);
        let mut assets = published
            .next()
            .into_iter()
            .flat_map(|release| &release.assets);
        let asset = assets
            .find(|asset| asset.name == file && asset.state == "uploaded")
            .ok_or_else(Refusal::not_found)?;
        let kind = [(CONTENT_TYPE, asset.content_type.clone())];
        Ok((kind, asset.content.clone()).into_response())
    })
}

pub(super) async fn release(State(app): Shared, Path((owner, repo, tag)): Under<String>) -> Answer {
    app.with(|world, _| {
        let html = world.render.html();
        let repo = world.repo(&name(&owner, &repo))?;
        let mut releases = repo
            .releases
            .iter()
            .filter(|release| release.html_tag() == tag);
        let release = releases.next().ok_or_else(Refusal::not_found)?;
        let items: String = release
            .assets
            .iter()
            .map(|asset| {
                let url = format!(
                    "{html}/{}/releases/download/{tag}/{}",
                    repo.name, asset.name
                );
                let (name, size) = (escape(&asset.name), asset.content.len());
                format!(
                    "<li><a href=\"{}\">{name}</a> {size} bytes</li>\n",
                    escape(&url)
                )
            })
            .collect();
        let state = if release.draft { "draft" } else { "published" };
        let title = if release.name.is_empty() {
            &release.tag_name
        } else {
            &release.name
        };
        let notes = escape(&release.body);
        page(
            title,
            &format!("<p>{state}</p>\n<pre>{notes}</pre>\n<ul>\n{items}</ul>\n"),
        )
    })
}

pub(super) async fn run(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    app.with(|world, _| {
        let repo = world.repo(&name(&owner, &repo))?;
        let run = repo.run(id).ok_or_else(Refusal::not_found)?;
        let conclusion = run.conclusion().unwrap_or_default();
        page(
            &run.origin.display_title,
            &format!("<p>{} {conclusion}</p>\n", run.status()),
        )
    })
}

pub(super) async fn repository(
    State(app): Shared,
    Path((owner, repo)): Path<(String, String)>,
) -> Answer {
    app.with(|world, _| {
        let repo = world.repo(&name(&owner, &repo))?;
        page(
            &repo.name,
            &format!("<p>{} at {}</p>\n", repo.default_branch, repo.head()),
        )
    })
}

fn page(title: &str, content: &str) -> Answer {
    let title = escape(title);
    let head = format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n");
    Ok(Html(format!("{head}<h1>{title}</h1>\n{content}")).into_response())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
