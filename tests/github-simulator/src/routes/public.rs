//! What needs no token: pages for people, and published files.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{Html, IntoResponse as _};

use super::blob::blob_url;
use super::{Answer, Shared, Under, name};
use crate::model::Blob;
use crate::model::refusal::Refusal;

/// Sends whoever asks to the bytes of a published file, on another host.
pub(super) async fn download(
    State(app): Shared,
    Path((owner, repo, tag, file)): Path<(String, String, String, String)>,
) -> Answer {
    app.with(|world, now| {
        let render = world.render.clone();
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
        let blob = Blob::of_asset(asset);
        let location = blob_url(&render.api, &world.put_blob(blob, now));
        Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
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
