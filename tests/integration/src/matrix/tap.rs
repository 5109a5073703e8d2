//! What a stage says to the world outside goes through here, call by call: counted
//! under names of its own, and disturbed at the one call that is armed.
//!
//! One server stands before the local cloud and one before the simulator. Addresses of
//! the simulator in its answers (`upload_url`, redirects to files) are turned into the
//! tap's, so that transfers come through it too.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, LOCATION, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use github_simulator::{Acceptor, Cutter};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// One call of a stage: what it is, and the how-manieth of that kind it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Service, method or action, and what it is about; ids are left out.
    pub what: String,
    /// From 1.
    pub nth: usize,
}

impl Call {
    /// What may happen to it. To die before or after a call that only reads leaves the
    /// same world.
    pub fn disturbances(&self) -> impl Iterator<Item = Disturbance> {
        let mut words = self.what.split(' ').skip(1);
        let action = words.next().unwrap_or_default();
        let reads = ["GET", "HEAD", "Query"].contains(&action)
            || ["Get", "Describe", "List"]
                .iter()
                .any(|verb| action.starts_with(verb));
        let all = Disturbance::ALL.into_iter();
        all.filter(move |disturbance| !reads || *disturbance != Disturbance::DieAfter)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.nth)
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// It never leaves; the stage is killed.
    DieBefore,
    /// It is carried out; the stage is killed before it sees the answer.
    DieAfter,
    /// It is carried out; the connection ends without an answer.
    AnswerLost,
    /// It is carried out; the answer comes after another owner took the release over.
    AnswerLate,
}

impl Disturbance {
    const ALL: [Self; 4] = [
        Self::DieBefore,
        Self::DieAfter,
        Self::AnswerLost,
        Self::AnswerLate,
    ];
}

/// Stands between a stage and the world outside.
pub struct Tap {
    shared: Arc<Shared>,
    servers: [JoinHandle<()>; 2],
    /// The local cloud's address for the stage.
    pub aws: String,
    /// The simulator's address for the stage.
    pub github: String,
}

struct Shared {
    http: reqwest::Client,
    calls: Mutex<Vec<Call>>,
    armed: Mutex<Option<(Call, Disturbance)>>,
    struck: Notify,
    released: Notify,
    in_flight: AtomicUsize,
}

/// What one of the servers stands before.
#[derive(Clone)]
struct Side {
    shared: Arc<Shared>,
    target: String,
    /// Of the simulator's: the address that its answers name instead.
    named: Option<String>,
}

impl Tap {
    /// Before a local cloud and a simulator.
    pub async fn open(cloud: &str, simulator: &str) -> Tap {
        let shared = Arc::new(Shared {
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .expect("a client"),
            calls: Mutex::default(),
            armed: Mutex::default(),
            struck: Notify::new(),
            released: Notify::new(),
            in_flight: AtomicUsize::new(0),
        });
        let (aws, before_cloud) = serve(&shared, cloud, false).await;
        let (github, before_simulator) = serve(&shared, simulator, true).await;
        Tap {
            shared,
            servers: [before_cloud, before_simulator],
            aws,
            github,
        }
    }

    /// Every call so far, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.shared.calls).clone()
    }

    /// Disturbs this call when it comes.
    pub fn arm(&self, call: Call, disturbance: Disturbance) {
        *locked(&self.shared.armed) = Some((call, disturbance));
    }

    /// Whether the armed call has come.
    pub fn has_struck(&self) -> bool {
        locked(&self.shared.armed).is_none()
    }

    /// Waits until the armed call has come, and is done but for its answer.
    pub async fn struck(&self) {
        self.shared.struck.notified().await;
    }

    /// Lets the answer that is held back go.
    pub fn release(&self) {
        self.shared.released.notify_one();
    }

    /// Lets nothing through any more.
    pub fn close(&self) {
        for server in &self.servers {
            server.abort();
        }
    }

    /// Waits until nothing is carried out any more.
    pub async fn quiet(&self) {
        while self.shared.in_flight.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.close();
    }
}

async fn serve(shared: &Arc<Shared>, target: &str, names: bool) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let address = format!("http://{address}");
    let side = Side {
        shared: Arc::clone(shared),
        target: target.to_owned(),
        named: names.then(|| address.clone()),
    };
    let service = Router::new()
        .fallback(pass)
        .with_state(side)
        .into_make_service_with_connect_info::<Cutter>();
    let server = tokio::spawn(async move {
        axum::serve(Acceptor(listener), service)
            .await
            .expect("a server");
    });
    (address, server)
}

async fn pass(
    State(side): State<Side>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    // The caller was killed in the middle of what it sent.
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::default();
    };
    let shared = Arc::clone(&side.shared);
    let disturbance = shared.disturbance(&side, &parts, &body);
    if disturbance == Some(Disturbance::DieBefore) {
        shared.struck.notify_one();
        return std::future::pending().await;
    }
    // A task of its own: it goes on when the caller is gone.
    shared.in_flight.fetch_add(1, Ordering::SeqCst);
    let forwarding = tokio::spawn(async move {
        let answer = side.forward(parts, body).await;
        side.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    let answer = forwarding.await.expect("an answer");
    match disturbance {
        None | Some(Disturbance::DieBefore) => {}
        Some(Disturbance::DieAfter) => {
            shared.struck.notify_one();
            return std::future::pending().await;
        }
        Some(Disturbance::AnswerLost) => cutter.cut(),
        Some(Disturbance::AnswerLate) => {
            shared.struck.notify_one();
            shared.released.notified().await;
        }
    }
    answer
}

impl Shared {
    /// Counts a call, and says what happens to it.
    fn disturbance(&self, side: &Side, parts: &Parts, body: &Bytes) -> Option<Disturbance> {
        let what = side.name(parts, body);
        let mut calls = locked(&self.calls);
        let nth = 1 + calls.iter().filter(|call| call.what == what).count();
        let call = Call { what, nth };
        calls.push(call.clone());
        let mut armed = locked(&self.armed);
        let (_, disturbance) = armed.take_if(|(awaited, _)| *awaited == call)?;
        Some(disturbance)
    }
}

impl Side {
    async fn forward(&self, parts: Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers;
        for of_connection in [HOST, CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH, EXPECT] {
            headers.remove(of_connection);
        }
        let answer = self
            .shared
            .http
            .request(parts.method, format!("{}{path}", self.target))
            .headers(headers)
            .body(body)
            .send()
            .await
            .expect("an answer from behind the tap");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.expect("the whole answer");
        self.renamed(status, headers, body)
    }

    /// The answer, where the simulator's addresses are the tap's; the simulator has two
    /// hosts, and files are at the other one.
    fn renamed(&self, status: StatusCode, mut headers: HeaderMap, mut body: Bytes) -> Response {
        if let Some(named) = &self.named {
            let (from, to) = (port_of(&self.target), port_of(named));
            let json = headers
                .get(CONTENT_TYPE)
                .and_then(|kind| kind.to_str().ok());
            if json.is_some_and(|kind| kind.starts_with("application/json")) {
                let text = std::str::from_utf8(&body).expect("JSON is UTF-8");
                body = text.replace(&from, &to).into();
            }
            if let Some(location) = headers.get_mut(LOCATION) {
                let address = location.to_str().expect("an address").replace(&from, &to);
                *location = HeaderValue::try_from(address).expect("an address");
            }
        }
        for of_connection in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            headers.remove(of_connection);
        }
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// What a call is, in words that are the same in every world.
    fn name(&self, parts: &Parts, body: &Bytes) -> String {
        let (method, path) = (&parts.method, parts.uri.path());
        if self.named.is_some() {
            return at_github(method.as_str(), path, parts.uri.query());
        }
        let target = parts.headers.get("x-amz-target");
        let Some(target) = target.and_then(|target| target.to_str().ok()) else {
            // The bucket's name is the account's.
            let key = path.splitn(3, '/').nth(2).unwrap_or_default();
            return without_ids(&format!("S3 {method} {key}"));
        };
        let (service, action) = target.split_once('.').unwrap_or_default();
        if service.starts_with("DynamoDB") {
            let body = serde_json::from_slice(body).unwrap_or_default();
            without_ids(&format!("DynamoDB {action} {}", item(&body)))
        } else {
            format!("StepFunctions {action}")
        }
    }
}

/// A call of GitHub. Of the query an upload's counts, which names the asset.
pub(crate) fn at_github(method: &str, path: &str, query: Option<&str>) -> String {
    let asset = query.filter(|_| path.starts_with("/uploads/"));
    let query = asset.map(|query| format!("?{query}")).unwrap_or_default();
    without_ids(&format!("GitHub {method} {path}{query}"))
}

/// The port of an address, as it stands before a path.
fn port_of(address: &str) -> String {
    let port = address.rsplit(':').next().unwrap_or_default();
    format!(":{port}/")
}

/// The key of the item that a call of DynamoDB is about.
fn item(body: &Value) -> String {
    let places = [
        "/Key",
        "/Item",
        "/TransactItems/0/Update/Key",
        "/TransactItems/0/Put/Item",
    ];
    let found = places.iter().find_map(|place| body.pointer(place));
    let text = |name: &str| found.and_then(|key| key[name]["S"].as_str());
    match (text("pk"), text("sk")) {
        // An event's key holds its time.
        (Some(pk), Some(sk)) if sk.starts_with("event#") => {
            let about = sk.rsplit('#').next().unwrap_or_default();
            format!("{pk} an event of {about}")
        }
        (Some(pk), Some(sk)) => format!("{pk} {sk}"),
        _ => "the release".into(),
    }
}

/// Runs of many digits or hexadecimal digits differ from world to world.
fn without_ids(text: &str) -> String {
    let mut named = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_hexdigit())
                .len();
        let (word, after) = rest.split_at(run.max(first.len_utf8()));
        let id = word.len() >= 16 || word.len() >= 6 && word.bytes().all(|b| b.is_ascii_digit());
        named.push_str(if id { "{id}" } else { word });
        rest = after;
    }
    named
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_left_out_and_words_stay() {
        let path = "GitHub GET /repos/a/deadbeef-app/actions/runs/18000000003";
        let named = "GitHub GET /repos/a/deadbeef-app/actions/runs/{id}";
        assert_eq!(super::without_ids(path), named);
        assert_eq!(
            super::without_ids("/_blob/0123456789abcdef0123"),
            "/_blob/{id}"
        );
        assert_eq!(super::without_ids("1.crate é 12345"), "1.crate é 12345");
    }
}
