//! GitHub as collecting sees it: a run's artifacts, where their bytes are, and the bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::pack::Archive;
use crate::usage;

/// One artifact of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artifact {
    /// Its id.
    pub id: u64,
    /// The run that made it.
    pub run: u64,
    /// Its bytes.
    pub archive: Archive,
}

/// What was asked of a source.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds of CPU.
    pub cpu: f64,
    /// Bytes that were sent, by artifact.
    pub sent: BTreeMap<u64, u64>,
}

struct Source {
    address: String,
    artifacts: Vec<Artifact>,
    sent: BTreeMap<u64, AtomicU64>,
}

type Shared = State<Arc<Source>>;

/// Serves these artifacts.
pub async fn serve(
    listener: TcpListener,
    address: String,
    artifacts: Vec<Artifact>,
) -> std::io::Result<()> {
    let sent = artifacts.iter().map(|a| (a.id, AtomicU64::new(0)));
    let source = Arc::new(Source {
        address,
        sent: sent.collect(),
        artifacts,
    });
    let actions = "/repos/{owner}/{repo}/actions";
    let app = Router::new()
        .route(&format!("{actions}/runs/{{run}}/artifacts"), get(list))
        .route(&format!("{actions}/artifacts/{{id}}/zip"), get(redirect))
        .route("/blob/{id}", get(blob))
        .route("/stats", get(stats))
        .with_state(source);
    axum::serve(listener, app).await
}

async fn list(
    State(source): Shared,
    Path((_, _, run)): Path<(String, String, u64)>,
) -> Json<Value> {
    let of_run = source.artifacts.iter().filter(|a| a.run == run);
    let artifacts: Vec<Value> = of_run
        .map(|artifact| {
            json!({
                "id": artifact.id,
                "name": format!("artifact-{}", artifact.id),
                "size_in_bytes": artifact.archive.size,
                "expired": false,
                "created_at": "2026-01-01T00:00:00Z",
                "expires_at": "2126-01-01T00:00:00Z",
                "digest": format!("sha256:{}", artifact.archive.sha256),
            })
        })
        .collect();
    Json(json!({"total_count": artifacts.len(), "artifacts": artifacts}))
}

async fn redirect(
    State(source): Shared,
    Path((_, _, id)): Path<(String, String, u64)>,
) -> Response {
    let location = format!("{}/blob/{id}", source.address);
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

async fn blob(State(source): Shared, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(artifact) = source.artifacts.iter().find(|a| a.id == id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let archive = artifact.archive.clone();
    let size = archive.size;
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    let begin = from.unwrap_or(0);
    if begin >= size {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let (to, pieces) = mpsc::channel::<std::io::Result<Bytes>>(2);
    // A thread reads the disk's pages for as long as somebody takes them.
    tokio::task::spawn_blocking(move || {
        let pieces = match archive.pieces(begin) {
            Ok(pieces) => pieces,
            Err(error) => {
                let _nobody = to.blocking_send(Err(error));
                return;
            }
        };
        for piece in pieces {
            if to.blocking_send(piece.map(Bytes::from)).is_err() {
                return;
            }
        }
    });
    let body = stream::unfold((pieces, source), move |(mut pieces, source)| async move {
        let piece = pieces.recv().await?;
        if let (Ok(bytes), Some(sent)) = (&piece, source.sent.get(&id)) {
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Some((piece, (pieces, source)))
    });
    let headers = [
        (CONTENT_TYPE, "application/zip".to_owned()),
        (CONTENT_LENGTH, (size - begin).to_string()),
    ];
    let body = Body::from_stream(body);
    if from.is_some() {
        let range = format!("bytes {begin}-{}/{size}", size - 1);
        let part = StatusCode::PARTIAL_CONTENT;
        (part, headers, [(CONTENT_RANGE, range)], body).into_response()
    } else {
        (headers, body).into_response()
    }
}

async fn stats(State(source): Shared) -> Json<Stats> {
    let sent = source.sent.iter();
    Json(Stats {
        cpu: usage::cpu(),
        sent: sent
            .map(|(id, bytes)| (*id, bytes.load(Ordering::Relaxed)))
            .collect(),
    })
}
