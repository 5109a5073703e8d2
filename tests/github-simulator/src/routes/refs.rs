//! Branches and tags, annotated or not.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::{Answer, By, Shared, Under, answer, name, parse};
use crate::model::refusal::Refusal;

pub(super) async fn tag(State(app): Shared, Path((owner, repo, tag)): Under<String>) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        answer(200, render.tag(repo, &tag).ok_or_else(Refusal::not_found)?)
    })
}

pub(super) async fn branch(
    State(app): Shared,
    Path((owner, repo, branch)): Under<String>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        if branch != repo.default_branch {
            return Err(Refusal::not_found());
        }
        answer(
            200,
            render.reference(repo, &format!("refs/heads/{branch}"), "commit", repo.head()),
        )
    })
}

/// Tags a commit. There are no branches but the default one.
pub(super) async fn create(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repo)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    #[derive(Deserialize)]
    struct New {
        r#ref: String,
        sha: String,
    }
    let New { r#ref, sha } = parse(&body)?;
    let name = name(&owner, &repo);
    app.with(|world, _| {
        let Some(tag) = r#ref.strip_prefix("refs/tags/") else {
            let message = if r#ref.starts_with("refs/heads/") {
                "The simulator makes no branches"
            } else {
                "Reference name must start with 'refs/' and have at least two slashes"
            };
            return Err(Refusal::new(422, message));
        };
        let actor = world.login_of(&caller);
        world.tag_commit(&name, tag, &sha, &actor)?;
        let render = world.render.clone();
        let made = render.tag(world.repo(&name)?, tag);
        answer(201, made.ok_or_else(Refusal::not_found)?)
    })
}

/// The object of an annotated tag.
pub(super) async fn tag_object(
    State(app): Shared,
    Path((owner, repo, sha)): Under<String>,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let mut annotated = repo.annotated.iter();
        let found = annotated.find(|(_, object)| object.sha == sha);
        let (tag, object) = found.ok_or_else(Refusal::not_found)?;
        answer(200, render.tag_object(repo, tag, object))
    })
}
