//! Workflows and what starts them.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::paged;
use super::{Answer, By, Shared, Under, answer, empty, name, parse};
use crate::model::refusal::Refusal;

#[derive(Deserialize)]
struct RepositoryDispatch {
    event_type: String,
    #[serde(default = "no_keys")]
    client_payload: Value,
}

fn no_keys() -> Value {
    json!({})
}

/// 204, whether a workflow listens or not: no run id.
pub(super) async fn repository_dispatch(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let asked: RepositoryDispatch = parse(&body)?;
    app.with(|world, now| {
        let actor = world.login_of(&caller);
        let RepositoryDispatch {
            event_type,
            client_payload,
        } = asked;
        let name = name(&owner, &repo);
        world.repository_dispatch(&name, &actor, &event_type, client_payload, now)
    })?;
    empty(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct WorkflowDispatch {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default = "no_keys")]
    inputs: Value,
    #[serde(default)]
    return_run_details: bool,
}

pub(super) async fn workflow_dispatch(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo, workflow)): Under<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let asked: WorkflowDispatch = parse(&body)?;
    // The newer API version always tells the run.
    let newer = headers
        .get("x-github-api-version")
        .is_some_and(|version| version.as_bytes() >= b"2026-03-10".as_slice());
    let name = name(&owner, &repo);
    app.with(|world, now| {
        let (actor, inputs) = (world.login_of(&caller), asked.inputs);
        let id = world.workflow_dispatch(&name, actor, &workflow, &asked.reference, inputs, now)?;
        if !asked.return_run_details && !newer {
            return empty(StatusCode::NO_CONTENT);
        }
        let render = world.render.clone();
        let repo = world.repo(&name)?;
        answer(
            200,
            json!({
                "workflow_run_id": id,
                "run_url": render.run_url(repo, id),
                "html_url": format!("{}/{}/actions/runs/{id}", render.html(), repo.name),
            }),
        )
    })
}

pub(super) async fn workflows(
    State(app): Shared,
    Path((owner, repo)): Path<(String, String)>,
    uri: Uri,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let items = repo
            .workflows
            .iter()
            .map(|workflow| render.workflow(repo, workflow));
        paged(
            &render.api,
            &uri,
            Some("workflows"),
            repo.workflows.len(),
            items,
        )
    })
}

pub(super) async fn workflow(
    State(app): Shared,
    Path((owner, repo, workflow)): Under<String>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let workflow = repo.workflow(&workflow).ok_or_else(Refusal::not_found)?;
        answer(200, render.workflow(repo, workflow))
    })
}
