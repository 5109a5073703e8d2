//! What an App asks as itself, by its JWT.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{get, post};
use std::sync::Arc;

use super::page::paged;
use super::{Answer, Shared, answer, name, parse};
use crate::model::app::Narrowing;
use crate::model::refusal::Refusal;
use crate::server::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/app", get(app))
        .route("/app/installations", get(list))
        .route("/app/installations/{installation_id}", get(installation))
        .route(
            "/app/installations/{installation_id}/access_tokens",
            post(access_tokens),
        )
        .route("/repos/{owner}/{repo}/installation", get(of_repository))
}

async fn app(State(app): Shared) -> Answer {
    app.with(|world, _| answer(200, world.render.app(world.app()?)))
}

async fn list(State(app): Shared, uri: Uri) -> Answer {
    app.with(|world, _| {
        let (render, app) = (&world.render, world.app()?);
        let items = app.installations.iter();
        let items = items.map(|installation| render.installation(app, installation));
        paged(&render.api, &uri, None, app.installations.len(), items)
    })
}

async fn installation(State(app): Shared, Path(id): Path<u64>) -> Answer {
    app.with(|world, _| {
        let app = world.app()?;
        answer(200, world.render.installation(app, app.installation(id)?))
    })
}

async fn of_repository(State(app): Shared, Path((owner, repo)): Path<(String, String)>) -> Answer {
    app.with(|world, _| {
        let full = name(&owner, &repo);
        world.repo(&full)?;
        let app = world.app()?;
        let mut all = app.installations.iter();
        let found = all.find(|installation| installation.covers(&full));
        let found = found.ok_or_else(Refusal::not_found)?;
        answer(200, world.render.installation(app, found))
    })
}

async fn access_tokens(State(app): Shared, Path(id): Path<u64>, body: Bytes) -> Answer {
    let asked: Narrowing = match &body[..] {
        [] => Narrowing::default(),
        body => parse(body)?,
    };
    app.with(|world, now| {
        let (installation, minted) = world.mint(id, asked, now)?;
        let render = world.render.clone();
        let mut repositories = Vec::new();
        for short in minted.repositories.iter().flatten() {
            let repo = world.repo(&name(&installation.owner, short))?;
            repositories.push(render.repository(repo));
        }
        answer(201, render.access_token(&minted, repositories))
    })
}
