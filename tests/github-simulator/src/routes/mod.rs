//! The REST API's routes, by subject.

mod actions;
mod apps;
mod assets;
mod blob;
mod page;
mod public;
mod refs;
mod releases;
mod repos;
mod runs;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router, middleware};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::middleware::handle;
use crate::model::app::Caller;
use crate::model::refusal::Refusal;
use crate::server::App;

/// What a route answers.
type Answer = Result<Response, Refusal>;
/// How routes reach the state.
type Shared = axum::extract::State<Arc<App>>;
/// `{owner}/{repo}`, and one more part of the path.
type Under<T> = axum::extract::Path<(String, String, T)>;
/// Who calls.
type By = axum::Extension<Caller>;

/// All routes, behind what every call goes through.
pub(crate) fn router(app: Arc<App>) -> Router {
    let unknown = || async { Refusal::not_found() };
    Router::new()
        .route("/user", get(repos::user))
        .route("/graphql", post(releases::draft_by_tag))
        .merge(apps::routes())
        .merge(repository())
        .route(
            "/uploads/repos/{owner}/{repo}/releases/{release_id}/assets",
            post(assets::upload),
        )
        .route("/_blob/{key}", get(blob::blob))
        .route("/_html/{owner}/{repo}", get(public::repository))
        .route(
            "/_html/{owner}/{repo}/actions/runs/{run_id}",
            get(public::run),
        )
        .route(
            "/_html/{owner}/{repo}/releases/tag/{*tag}",
            get(public::release),
        )
        .route(
            "/_html/{owner}/{repo}/releases/download/{tag}/{name}",
            get(public::download),
        )
        .fallback(any(unknown))
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), handle))
        .with_state(app)
}

fn repository() -> Router<Arc<App>> {
    let at = |path: &str| format!("/repos/{{owner}}/{{repo}}{path}");
    Router::new()
        .route(&at(""), get(repos::repository))
        .route(&at("/contents"), get(repos::root))
        .route(&at("/contents/{*path}"), get(repos::contents))
        .route(&at("/git/ref/tags/{*tag}"), get(refs::tag))
        .route(&at("/git/ref/heads/{*branch}"), get(refs::branch))
        .route(&at("/git/refs"), post(refs::create))
        .route(&at("/git/tags/{tag_sha}"), get(refs::tag_object))
        .route(&at("/commits/{*ref}"), get(repos::commit))
        .route(&at("/compare/{*basehead}"), get(repos::compare))
        .route(&at("/immutable-releases"), get(repos::immutable_releases))
        .route(&at("/dispatches"), post(actions::repository_dispatch))
        .route(&at("/actions/workflows"), get(actions::workflows))
        .route(
            &at("/actions/workflows/{workflow_id}"),
            get(actions::workflow),
        )
        .route(
            &at("/actions/workflows/{workflow_id}/dispatches"),
            post(actions::workflow_dispatch),
        )
        .route(&at("/actions/runs"), get(runs::list))
        .route(&at("/actions/runs/{run_id}"), get(runs::get))
        .route(&at("/actions/runs/{run_id}/jobs"), get(runs::jobs))
        .route(
            &at("/actions/runs/{run_id}/pending_deployments"),
            get(runs::pending_deployments),
        )
        .route(&at("/actions/runs/{run_id}/rerun"), post(runs::rerun))
        .route(
            &at("/actions/runs/{run_id}/rerun-failed-jobs"),
            post(runs::rerun_failed_jobs),
        )
        .route(&at("/actions/runs/{run_id}/cancel"), post(runs::cancel))
        .route(
            &at("/actions/runs/{run_id}/force-cancel"),
            post(runs::force_cancel),
        )
        .route(
            &at("/actions/runs/{run_id}/artifacts"),
            get(runs::artifacts),
        )
        .route(&at("/actions/artifacts/{artifact_id}"), get(runs::artifact))
        .route(
            &at("/actions/artifacts/{artifact_id}/zip"),
            get(runs::download),
        )
        .route(&at("/releases"), get(releases::list).post(releases::create))
        .route(&at("/releases/latest"), get(releases::latest))
        .route(&at("/releases/tags/{*tag}"), get(releases::by_tag))
        .route(
            &at("/releases/assets/{asset_id}"),
            get(assets::get).delete(assets::delete),
        )
        .route(
            &at("/releases/{release_id}"),
            get(releases::get)
                .patch(releases::update)
                .delete(releases::delete),
        )
        .route(&at("/releases/{release_id}/assets"), get(assets::list))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body())).into_response()
    }
}

/// JSON with a status.
fn answer(status: u16, body: Value) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(CONTENT_TYPE, "application/json; charset=utf-8")];
    Ok((status, kind, body.to_string()).into_response())
}

/// 204, or another status that needs no words.
fn empty(status: StatusCode) -> Answer {
    Ok(status.into_response())
}

/// A body as GitHub reads it: whatever the Content-Type says.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Refusal::new(422, format!("Invalid request.\n\n{error}"))
        }
        _ => Refusal::new(400, "Problems parsing JSON"),
    })
}

/// `owner/name` of a path.
fn name(owner: &str, repo: &str) -> String {
    format!("{owner}/{repo}")
}
