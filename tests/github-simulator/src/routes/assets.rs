//! The files of releases.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;

use super::blob::blob_url;
use super::page::{paged, parameter};
use super::{Answer, By, Shared, Under, answer, empty, name};
use crate::middleware::Mishap;
use crate::model::Blob;
use crate::model::refusal::Refusal;
use crate::model::release::Upload;

/// Files must be smaller
/// ([GitHub: storage and bandwidth quotas](https://docs.github.com/en/repositories/releasing-projects-on-github/about-releases#storage-and-bandwidth-quotas)).
const MAX_SIZE: u64 = 2 << 30;

pub(super) async fn list(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
    uri: Uri,
) -> Answer {
    app.with(|world, _| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let release = repo
            .releases
            .iter()
            .find(|r| r.id == id)
            .ok_or_else(Refusal::not_found)?;
        let items = release
            .assets
            .iter()
            .map(|asset| render.asset(repo, release, asset));
        paged(&render.api, &uri, None, release.assets.len(), items)
    })
}

/// Takes a file as it is. Lengths are checked before the body is read.
pub(super) async fn upload(
    State(app): Shared,
    Extension(caller): By,
    Path((owner, repository, id)): Under<u64>,
    uri: Uri,
    request: axum::extract::Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let Some(length) = header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()) else {
        return Err(Refusal::new(400, "Bad Content-Length"));
    };
    let Some(content_type) = header(CONTENT_TYPE).map(String::from) else {
        return Err(Refusal::new(400, "Content-Type is missing"));
    };
    if length == 0 {
        return Err(Refusal::invalid("ReleaseAsset", "custom", "size"));
    }
    if length >= MAX_SIZE {
        let message = format!("size must be less than or equal to {MAX_SIZE}");
        return Err(Refusal::custom("ReleaseAsset", Some("size"), &message));
    }
    let mishap = parts.extensions.get::<Mishap>();
    let broken = mishap == Some(&Mishap::BreakOff);
    let mut given = parameter(&uri, "name").unwrap_or_default();
    if mishap == Some(&Mishap::Rename) {
        given = given.replace('-', ".");
    }
    if given.is_empty() {
        return Err(Refusal::invalid("ReleaseAsset", "missing_field", "name"));
    }
    let mut content: Bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|_| Refusal::new(400, "The body ended too soon"))?;
    let digest = !matches!(mishap, Some(Mishap::Undigested { .. }));
    if mishap == Some(&Mishap::Undigested { altered: true }) {
        let mut other = content.to_vec();
        if let Some(last) = other.last_mut() {
            *last = !*last;
        }
        content = other.into();
    }
    app.with(|world, now| {
        let upload = Upload {
            id: world.next_id(),
            uploader: world.login_of(&caller),
            name: given,
            label: parameter(&uri, "label").unwrap_or_default(),
            content_type,
            content,
            broken,
            digest,
        };
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repository))?;
        let asset = repo.release(id)?.add_asset(upload, now)?;
        let release = repo.release(id)?.clone();
        let rendered = render.asset(repo, &release, &asset);
        world.remember(&name(&owner, &repository), id, now);
        if broken {
            return Err(Refusal::new(502, "Server Error"));
        }
        answer(201, rendered)
    })
}

/// JSON, or with `Accept: application/octet-stream` the way to the bytes.
pub(super) async fn get(
    State(app): Shared,
    Path((owner, repo, id)): Under<u64>,
    headers: HeaderMap,
) -> Answer {
    let bytes = headers
        .get(ACCEPT)
        .is_some_and(|kind| kind == "application/octet-stream");
    let known = headers.contains_key(AUTHORIZATION);
    app.with(|world, now| {
        let render = world.render.clone();
        let repo = world.repo(&name(&owner, &repo))?;
        let mut all = repo
            .releases
            .iter()
            .flat_map(|r| r.assets.iter().map(move |a| (r, a)));
        let (release, asset) = all
            .find(|(release, a)| a.id == id && (known || !release.draft))
            .ok_or_else(Refusal::not_found)?;
        if !bytes {
            return answer(200, render.asset(repo, release, asset));
        }
        let blob = Blob::of_asset(asset);
        let key = world.put_blob(blob, now);
        let location = [(LOCATION, blob_url(&render.api, &key))];
        Ok((StatusCode::FOUND, location).into_response())
    })
}

pub(super) async fn delete(State(app): Shared, Path((owner, repo, id)): Under<u64>) -> Answer {
    let name = name(&owner, &repo);
    app.with(|world, now| {
        let repo = world.repo(&name)?;
        let owns = |release: &&mut crate::model::release::Release| {
            release.assets.iter().any(|asset| asset.id == id)
        };
        let release = repo
            .releases
            .iter_mut()
            .find(owns)
            .ok_or_else(Refusal::not_found)?;
        if release.immutable {
            let message = "Cannot delete assets of an immutable release.";
            return Err(Refusal::new(422, message));
        }
        release.assets.retain(|asset| asset.id != id);
        let of = release.id;
        world.remember(&name, of, now);
        empty(StatusCode::NO_CONTENT)
    })
}
