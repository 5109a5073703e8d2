//! Releases, drafts included.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::json;

use super::page::paged;
use super::{Answer, By, Shared, Under, answer, empty, name, parse};
use crate::model::app::Caller;
use crate::model::refusal::Refusal;

/// Newest first; drafts are shown to who can push.
pub(super) async fn list(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let all = repo.releases.iter().rev();
        let shown: Vec<_> = all.filter(|r| !r.draft || caller.may_push()).collect();
        let items = shown.iter().map(|release| render.release(repo, release));
        paged(&render.api, &uri, None, shown.len(), items)
    })
}

pub(super) async fn create(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    put(&app, &caller, &name(&owner, &repo), None, &body)
}

pub(super) async fn update(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo, id)): Under<u64>,
    body: Bytes,
) -> Answer {
    put(&app, &caller, &name(&owner, &repo), Some(id), &body)
}

fn put(
    app: &crate::server::App,
    caller: &Caller,
    name: &str,
    id: Option<u64>,
    body: &[u8],
) -> Answer {
    let change = parse(body)?;
    app.with(|world, now| {
        let release = world.put_release(name, world.login_of(caller), id, change, now)?;
        let render = world.render.clone();
        let status = if id.is_none() { 201 } else { 200 };
        answer(status, render.release(world.repo(name)?, &release))
    })
}

pub(super) async fn get(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo, id)): Under<u64>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let release = repo
            .releases
            .iter()
            .find(|r| r.id == id && (!r.draft || caller.may_push()))
            .ok_or_else(Refusal::not_found)?;
        answer(200, render.release(repo, release))
    })
}

pub(super) async fn latest(
    State(app): Shared,
    Path((owner, repo)): Path<(String, String)>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let latest = repo.latest().ok_or_else(Refusal::not_found)?;
        answer(200, render.release(repo, latest))
    })
}

/// Published releases only.
pub(super) async fn by_tag(State(app): Shared, Path((owner, repo, tag)): Under<String>) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let mut published = repo.releases.iter().filter(|release| !release.draft);
        let release = published
            .find(|release| release.tag_name == tag)
            .ok_or_else(Refusal::not_found)?;
        answer(200, render.release(repo, release))
    })
}

/// The one query of the GraphQL API that is answered: `gh` asks beside the call above
/// whether the tag is a draft's.
pub(super) async fn draft_by_tag(State(app): Shared, body: Bytes) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Query {
        variables: Variables,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Variables {
        owner: String,
        name: String,
        tag_name: String,
    }
    let asked = parse::<Query>(&body)?.variables;
    app.with(|world, _| {
        let repo = world.repo(&name(&asked.owner, &asked.name))?;
        let mut releases = repo.releases.iter();
        let found = releases.find(|release| release.tag_name == asked.tag_name);
        let release = found.map(|r| json!({"databaseId": r.id, "isDraft": r.draft}));
        answer(200, json!({"data": {"repository": {"release": release}}}))
    })
}

/// The tag stays.
pub(super) async fn delete(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    let name = name(&owner, &repo);
    app.with(|world, now| {
        let repo = world.repo(&name)?;
        repo.release(id)?;
        repo.releases.retain(|release| release.id != id);
        world.remember(&name, id, now);
        empty(StatusCode::NO_CONTENT)
    })
}
