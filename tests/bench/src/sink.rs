//! S3 as collecting sees it, that keeps small records and throws everything else away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_LENGTH, ETAG};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::usage;

const SUM: &str = "x-amz-checksum-sha256";

/// What was sent to a sink.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stats {
    /// Seconds of CPU.
    pub cpu: f64,
    /// Bytes of objects and parts.
    pub received: u64,
    /// The keys of the records that are kept.
    pub records: Vec<String>,
}

#[derive(Default)]
struct Kept {
    /// By key; nothing of those that are no records.
    objects: BTreeMap<String, Option<Bytes>>,
    /// By their ids: the sums of parts, by number.
    uploads: BTreeMap<u64, BTreeMap<u32, Vec<u8>>>,
    began: u64,
    received: u64,
}

type Sink = Arc<Mutex<Kept>>;

#[derive(Deserialize)]
struct Asked {
    uploads: Option<String>,
    #[serde(rename = "uploadId")]
    upload: Option<u64>,
    #[serde(rename = "partNumber")]
    part: Option<u32>,
    #[serde(default)]
    prefix: String,
}

/// Takes objects.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let app = Router::new()
        .route("/stats", get(stats))
        .fallback(answer)
        .with_state(Sink::default());
    axum::serve(listener, app).await
}

fn kept(sink: &Sink) -> MutexGuard<'_, Kept> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn stats(State(sink): State<Sink>) -> Json<Stats> {
    let kept = kept(&sink);
    let records = kept.objects.iter().filter(|(_, bytes)| bytes.is_some());
    Json(Stats {
        cpu: usage::cpu(),
        received: kept.received,
        records: records.map(|(key, _)| key.clone()).collect(),
    })
}

async fn answer(
    State(sink): State<Sink>,
    method: Method,
    uri: Uri,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let key = path.split_once('/').map_or("", |(_, key)| key).to_owned();
    match (method, asked.upload) {
        (Method::GET, None) if key.is_empty() => list(&sink, &asked.prefix),
        (Method::GET, None) => object(&sink, &key),
        (Method::DELETE, None) => {
            kept(&sink).objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        (Method::PUT, None) => put(&sink, key, &headers, body).await,
        (Method::POST, None) if asked.uploads.is_some() => begin(&sink, &key),
        (Method::PUT, Some(id)) => part(&sink, id, asked.part, &headers, body).await,
        (Method::POST, Some(id)) => complete(&sink, id, key),
        (Method::DELETE, Some(id)) => match kept(&sink).uploads.remove(&id) {
            Some(_) => StatusCode::NO_CONTENT.into_response(),
            None => refuse(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    (status, body).into_response()
}

fn list(sink: &Sink, prefix: &str) -> Response {
    let kept = kept(sink);
    let keys = kept.objects.keys().filter(|key| key.starts_with(prefix));
    let keys: String = keys
        .map(|key| format!("<Contents><Key>{key}</Key></Contents>"))
        .collect();
    let truncated = "<IsTruncated>false</IsTruncated>";
    format!("<ListBucketResult>{truncated}{keys}</ListBucketResult>").into_response()
}

fn object(sink: &Sink, key: &str) -> Response {
    match kept(sink).objects.get(key) {
        Some(Some(record)) => record.clone().into_response(),
        _ => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

/// Takes all bytes; those that `keep` wants are given back.
async fn take(sink: &Sink, headers: &HeaderMap, body: Body, keep: bool) -> Result<Bytes, Response> {
    let broken = |code| refuse(StatusCode::BAD_REQUEST, code);
    let mut stream = body.into_data_stream();
    let (mut got, mut all) = (0, Vec::new());
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(|_| broken("IncompleteBody"))?;
        got += bytes.len() as u64;
        if keep {
            all.extend_from_slice(&bytes);
        }
    }
    let announced = headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    if announced != Some(got) {
        return Err(broken("IncompleteBody"));
    }
    kept(sink).received += got;
    Ok(all.into())
}

async fn put(sink: &Sink, key: String, headers: &HeaderMap, body: Body) -> Response {
    let is_record = key.ends_with(".json");
    match take(sink, headers, body, is_record).await {
        Ok(bytes) => {
            let bytes = is_record.then_some(bytes);
            kept(sink).objects.insert(key, bytes);
            [(ETAG, "\"one\"")].into_response()
        }
        Err(refusal) => refusal,
    }
}

fn begin(sink: &Sink, key: &str) -> Response {
    let mut kept = kept(sink);
    kept.began += 1;
    let id = kept.began;
    kept.uploads.insert(id, BTreeMap::new());
    let begun = format!("<Key>{key}</Key><UploadId>{id}</UploadId>");
    format!("<InitiateMultipartUploadResult>{begun}</InitiateMultipartUploadResult>")
        .into_response()
}

async fn part(
    sink: &Sink,
    id: u64,
    number: Option<u32>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let said = headers.get(SUM);
    let sum = said.and_then(|sum| STANDARD.decode(sum.as_bytes()).ok());
    let (Some(number), Some(said), Some(sum)) = (number, said, sum) else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequest");
    };
    if let Err(refusal) = take(sink, headers, body, false).await {
        return refusal;
    }
    let Some(()) = kept(sink).uploads.get_mut(&id).map(|parts| {
        parts.insert(number, sum);
    }) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    let headers = [(ETAG.as_str(), format!("\"{number}\""))];
    (headers, [(SUM, said.clone())]).into_response()
}

/// The checksum of an object of parts is the sum of their sums, and how many.
fn complete(sink: &Sink, id: u64, key: String) -> Response {
    let mut kept = kept(sink);
    let Some(parts) = kept.uploads.remove(&id) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    let sum = Sha256::digest(parts.values().flatten().copied().collect::<Vec<u8>>());
    let sum = format!("{}-{}", STANDARD.encode(sum), parts.len());
    let body = format!(
        "<CompleteMultipartUploadResult><Key>{key}</Key><ETag>\"{id}\"</ETag>\
         <ChecksumSHA256>{sum}</ChecksumSHA256></CompleteMultipartUploadResult>"
    );
    kept.objects.insert(key, None);
    body.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws;
    use commons_artifacts::Upload;
    use commons_artifacts::intake::PART;
    use commons_domain::names::Sha256 as Sum;

    async fn start() -> (commons_artifacts::Store, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener));
        (aws::store(&address), address)
    }

    async fn stats(address: &str) -> Stats {
        let http = local_cloud::http_client().unwrap();
        let answer = http.get(format!("{address}/stats")).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// The collector itself holds the answer against the sums of the parts.
    #[tokio::test]
    async fn an_object_of_parts_is_confirmed_as_s3_does() {
        let (store, address) = start().await;
        let mut upload = Upload::new(&store, "large".into());
        for part in [vec![1; PART], vec![2; PART], vec![3; 7]] {
            let sum = Sum::of(&part);
            upload.part(part.into(), sum).await.unwrap();
        }
        upload.finish().await.unwrap();
        let mut given_up = Upload::new(&store, "given up".into());
        for part in [vec![1; PART], vec![2; PART]] {
            let sum = Sum::of(&part);
            given_up.part(part.into(), sum).await.unwrap();
        }
        given_up.abort().await.unwrap();
        assert!(stats(&address).await.received >= 2 * PART as u64 + 7);
        assert!(store.get_bytes("large").await.is_err(), "it is kept");
    }

    #[tokio::test]
    async fn records_are_kept_until_they_are_deleted() {
        let (store, address) = start().await;
        assert_eq!(store.get_json::<u64>("a/1.json").await.unwrap(), None);
        store.put_json("a/1.json", &7_u64).await.unwrap();
        store.put_json("b/1.json", &8_u64).await.unwrap();
        assert_eq!(store.get_json::<u64>("a/1.json").await.unwrap(), Some(7));
        assert_eq!(stats(&address).await.records, ["a/1.json", "b/1.json"]);
        store.delete_all("a/").await.unwrap();
        assert_eq!(stats(&address).await.records, ["b/1.json"]);
    }
}
