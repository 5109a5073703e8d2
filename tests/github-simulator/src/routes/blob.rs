//! The short-lived addresses that downloads are redirected to, and what serves bytes
//! there: GitHub's storage, or one that does it otherwise.

use std::convert::Infallible;
use std::io;
use std::ops::Bound;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::{ContentRange, Range};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Answer, Shared};
use crate::input::Storage;
use crate::model::refusal::Refusal;

/// What comes without an end comes in pieces of this size.
const PIECE: usize = 64 * 1024;
/// The time between two bytes of a slow storage.
const SLOW: Duration = Duration::from_millis(20);

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
    let mut response = match blob.storage {
        Storage::Ranges | Storage::Elsewhere(_) => ranged(range, blob.content)?,
        Storage::NoRanges => blob.content.into_response(),
        Storage::NoLength => {
            let all = stream::iter([Ok::<_, Infallible>(blob.content)]);
            Body::from_stream(all).into_response()
        }
        Storage::Endless => endless(blob.content),
        Storage::Longer(more) => longer(range, blob.content, more)?,
        Storage::Slow | Storage::SlowOnce => slow(blob.content),
    };
    let set = [
        (CONTENT_TYPE, blob.content_type),
        (CONTENT_DISPOSITION, blob.disposition),
    ];
    for (name, value) in set {
        response.headers_mut().remove(&name);
        // By bytes: what is no ASCII goes as it is.
        if let Some(Ok(value)) = value.map(|value| HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The bytes that are asked for, or all.
fn ranged(range: Option<TypedHeader<Range>>, content: Bytes) -> Answer {
    let Some((from, to)) = asked(range, content.len() as u64)? else {
        return Ok(content.into_response());
    };
    let content_range = ContentRange::bytes(from..to, content.len() as u64);
    let content_range = content_range.map_err(|_| unsatisfiable())?;
    let part = content.slice(from as usize..to as usize);
    Ok((
        StatusCode::PARTIAL_CONTENT,
        TypedHeader(content_range),
        part,
    )
        .into_response())
}

fn unsatisfiable() -> Refusal {
    Refusal::new(416, "InvalidRange")
}

/// The range that is asked for of a whole. As Azure's Blob Storage: from a byte on, not so
/// many at the end.
fn asked(range: Option<TypedHeader<Range>>, size: u64) -> Result<Option<(u64, u64)>, Refusal> {
    let range = range.and_then(|TypedHeader(range)| range.satisfiable_ranges(size).next());
    let Some((from, to)) = range else {
        return Ok(None);
    };
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
    Ok(Some((from, to)))
}

fn endless(content: Bytes) -> Response {
    let others = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[0; PIECE])));
    let all = stream::iter([Ok(content)]).chain(others);
    Body::from_stream(all).into_response()
}

fn longer(range: Option<TypedHeader<Range>>, content: Bytes, more: u64) -> Answer {
    let size = content.len() as u64 + more;
    let asked = asked(range, size)?;
    let (from, to) = asked.unwrap_or((0, size));
    let part = content.slice((from as usize).min(content.len())..);
    let mut response = endless(part);
    if asked.is_some() {
        let content_range = ContentRange::bytes(from..to, size).map_err(|_| unsatisfiable())?;
        response = (
            StatusCode::PARTIAL_CONTENT,
            TypedHeader(content_range),
            response,
        )
            .into_response();
    }
    Ok(response)
}

fn slow(content: Bytes) -> Response {
    let length = [(CONTENT_LENGTH, content.len().to_string())];
    let bytes = stream::unfold(content, |mut left| async {
        if left.is_empty() {
            return None;
        }
        tokio::time::sleep(SLOW).await;
        Some((Ok::<_, io::Error>(left.split_to(1)), left))
    });
    (length, Body::from_stream(bytes)).into_response()
}
