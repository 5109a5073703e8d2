//! What GitHub does with every call, whatever its route: count it, check the
//! token, answer conditional requests, tell the rate limit. And the faults.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, USER_AGENT,
};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::model::app::Caller;
use crate::model::archive::sha256;
use crate::model::refusal::Refusal;
use crate::server::{App, Cutter};
use crate::settings::{Call, FaultKind};
use crate::view;

/// Requests an hour, as a personal access token has them.
const LIMIT: u64 = 5000;

/// What GitHub says of a secondary limit.
const SECONDARY_LIMIT: &str =
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";

/// Tells the upload's route what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It breaks off.
    BreakOff,
    /// The asset gets another name.
    Rename,
    /// The asset gets no digest.
    Undigested {
        /// And another last byte.
        altered: bool,
    },
}

/// Wraps every route.
pub(crate) async fn handle(
    State(app): State<Arc<App>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    mut request: Request,
    next: Next,
) -> Response {
    let time = app.now();
    let method = request.method().to_string();
    let path = request.uri().path().to_string();
    let query = request.uri().query().unwrap_or_default().to_string();
    let template = template(&request);
    let of_rest = ["/repos/", "/user", "/app"];
    let of_rest = of_rest.iter().any(|start| path.starts_with(start));
    let records = app.with(|world, _| {
        let calls = &mut world.calls;
        *calls.entry(format!("{method} {template}")).or_default() += 1;
        world.record && of_rest
    });

    let call = (token(&request), method.clone(), path.clone());
    let public = path.starts_with("/_html/") || path.starts_with("/_blob/");
    let caller = authorize(&app, &request, &template);
    let known = caller.as_ref().ok().cloned();
    request
        .extensions_mut()
        .insert(known.unwrap_or(Caller::Nobody));
    let (mut response, lost) = match caller {
        Err(refusal) if !public => (unheard(request, refusal).await, false),
        _ => match foreseen(&app, &call).await {
            Some(FaultKind::Status(status, headers)) => {
                let refused = refuse(status, "Simulated fault", headers);
                (unheard(request, refused).await, false)
            }
            Some(FaultKind::SecondaryLimit(seconds)) => {
                let wait = seconds.map(|s| vec![("retry-after".into(), s.to_string())]);
                let refused = refuse(403, SECONDARY_LIMIT, wait);
                (unheard(request, refused).await, false)
            }
            Some(FaultKind::Silence { carried_out: false }) => std::future::pending().await,
            Some(FaultKind::StarterAsset) if !path.starts_with("/uploads/") => {
                let refused = Refusal::new(502, "Server Error");
                (unheard(request, refused).await, false)
            }
            fault if records => record(&app, &template, request, next, fault).await,
            fault => carry_out(&app, request, next, fault).await,
        },
    };
    if lost {
        cutter.cut();
    }
    let status = if lost { 0 } else { response.status().as_u16() };
    let used = app.with(|world, _| {
        world.requests.push(view::Request {
            time,
            method,
            path,
            query,
            status,
        });
        world.requests.len() as u64
    });
    if !public {
        rate_limit(&mut response, used, time);
    }
    date(&mut response, time);
    response
}

/// The route as GitHub's documentation writes it.
fn template(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    let template = matched
        .map_or("(no route)", MatchedPath::as_str)
        .replace("{*", "{");
    template
        .strip_prefix("/uploads")
        .unwrap_or(&template)
        .to_string()
}

fn authorize(app: &App, request: &Request, template: &str) -> Result<Caller, Refusal> {
    if !request.headers().contains_key(USER_AGENT) {
        let message = "Request forbidden by administrative rules. \
                       Please make sure your request has a User-Agent header.";
        return Err(Refusal::new(403, message));
    }
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let (scheme, token) = given
        .and_then(|value| value.split_once(' '))
        .unwrap_or_default();
    // Of what anybody may read in a public repository, what verifying a release takes.
    let open = [
        "/releases/assets/",
        "/releases/latest",
        "/releases/tags/",
        "/commits/",
    ];
    let open = open.iter().any(|part| request.uri().path().contains(part));
    let known = ["bearer", "token"].contains(&scheme.to_lowercase().as_str());
    let (method, path) = (request.method().as_str(), request.uri().path());
    match app.with(|world, now| world.caller(token, now)) {
        Ok(caller) if known => caller.may(method, template, path).map(|()| caller),
        _ if given.is_none() && method == Method::GET && open => Ok(Caller::Nobody),
        _ if given.is_none() => Err(Refusal::new(401, "Requires authentication")),
        Err(refusal) if known => Err(refusal),
        _ => Err(Refusal::new(401, "Bad credentials")),
    }
}

/// The answer of a fault.
fn refuse(status: u16, message: &str, headers: Option<Vec<(String, String)>>) -> Response {
    let mut response = Refusal::new(status, message).into_response();
    for (name, value) in headers.unwrap_or_default() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The answer to a call whose route never sees it, when all of the call was read: who is
/// answered while still sending may find the connection closed, and no answer.
async fn unheard(request: Request, refusal: impl IntoResponse) -> Response {
    let mut sent = request.into_body().into_data_stream();
    while let Some(Ok(_)) = sent.next().await {}
    refusal.into_response()
}

/// Carries a call of the API out, and keeps what was sent and answered.
async fn record(
    app: &App,
    route: &str,
    request: Request,
    next: Next,
    fault: Option<FaultKind>,
) -> (Response, bool) {
    let time = app.now();
    let unreadable = || (Refusal::new(400, "Unreadable").into_response(), false);
    let (parts, body) = request.into_parts();
    let Ok(sent) = axum::body::to_bytes(body, usize::MAX).await else {
        return unreadable();
    };
    let query = parts.uri.query().unwrap_or_default();
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    let parameters = names.filter(|n| !n.is_empty()).map(str::to_owned).collect();
    let method = parts.method.to_string();
    let request = Request::from_parts(parts, Body::from(sent.clone()));
    let (response, lost) = carry_out(app, request, next, fault).await;
    let (parts, body) = response.into_parts();
    let json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str()
            .is_ok_and(|kind| kind.starts_with("application/json"))
    });
    let Ok(answered) = axum::body::to_bytes(body, usize::MAX).await else {
        return unreadable();
    };
    let exchange = view::Exchange {
        time,
        method,
        route: route.to_owned(),
        parameters,
        request: serde_json::from_slice(&sent).ok(),
        status: parts.status.as_u16(),
        response: json
            .then(|| serde_json::from_slice(&answered).ok())
            .flatten(),
    };
    app.with(|world, _| world.exchanges.push(exchange));
    (Response::from_parts(parts, Body::from(answered)), lost)
}

/// Runs the route, with what a fault makes of it; tells whether the answer is lost.
async fn carry_out(
    app: &App,
    mut request: Request,
    next: Next,
    fault: Option<FaultKind>,
) -> (Response, bool) {
    let (mut lost, mut half, mut silence) = (false, None, false);
    let mut delay = Duration::ZERO;
    match fault {
        Some(FaultKind::StarterAsset) => {
            request.extensions_mut().insert(Mishap::BreakOff);
        }
        Some(FaultKind::RenamedAsset) => {
            request.extensions_mut().insert(Mishap::Rename);
        }
        Some(FaultKind::UndigestedAsset { altered }) => {
            request
                .extensions_mut()
                .insert(Mishap::Undigested { altered });
        }
        Some(FaultKind::LostAnswer) => lost = true,
        Some(FaultKind::CutShort) => half = Some(Half::AsIfAll),
        Some(FaultKind::BrokenOff) => half = Some(Half::BrokenOff),
        Some(FaultKind::Delay(seconds)) => {
            delay = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        }
        Some(FaultKind::Deferred(status, after)) => {
            return (defer(app, request, next, status, after).await, false);
        }
        Some(FaultKind::Silence { .. }) => silence = true,
        Some(FaultKind::Status(..) | FaultKind::SecondaryLimit(_)) | None => {}
    }
    let conditional =
        (request.method() == Method::GET).then(|| request.headers().get(IF_NONE_MATCH).cloned());
    // A task of its own: it goes on when the caller hangs up.
    let task = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        next.run(request).await
    });
    let response = match task.await {
        Ok(response) => response,
        Err(_) => Refusal::new(500, "Server Error").into_response(),
    };
    if silence {
        return std::future::pending().await;
    }
    match (half, conditional) {
        (Some(half), _) => (first_half(response, half).await, lost),
        (None, Some(known)) => (with_etag(response, known).await, lost),
        (None, None) => (response, lost),
    }
}

/// Answers at once; the call is carried out later, or never.
async fn defer(
    app: &App,
    request: Request,
    next: Next,
    status: u16,
    after: Option<f64>,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(sent) = axum::body::to_bytes(body, usize::MAX).await else {
        return Refusal::new(400, "Unreadable").into_response();
    };
    if let Some(seconds) = after {
        let delay = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let request = Request::from_parts(parts, Body::from(sent));
        let carried_out = async move {
            let _answered_before = next.run(request).await;
        };
        app.at(app.now() + delay, Box::pin(carried_out));
    }
    match StatusCode::from_u16(status) {
        Ok(status) if status.is_success() => status.into_response(),
        _ => refuse(status, "Server Error", None),
    }
}

/// How an answer ends in its middle.
#[derive(Debug, Clone, Copy)]
enum Half {
    /// It does not show.
    AsIfAll,
    /// The connection closes.
    BrokenOff,
}

async fn first_half(response: Response, half: Half) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Refusal::new(500, "Server Error").into_response();
    };
    let first = body.slice(..body.len() / 2);
    parts.headers.remove(CONTENT_LENGTH);
    let body = match half {
        Half::AsIfAll => Body::from(first),
        Half::BrokenOff => {
            let length = HeaderValue::from(body.len() as u64);
            parts.headers.insert(CONTENT_LENGTH, length);
            let closes = stream::once(async {
                // What is written is sent first.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
            });
            Body::from_stream(stream::iter([Ok(first)]).chain(closes))
        }
    };
    Response::from_parts(parts, body)
}

/// What goes wrong with this call: what the weather says, else the next fault.
async fn foreseen(
    app: &App,
    (token, method, path): &(String, String, String),
) -> Option<FaultKind> {
    if let Some(weather) = app.weather() {
        let call = Call {
            token,
            method,
            path,
        };
        if let Some(kind) = weather.call(call).await {
            return Some(kind);
        }
    }
    take_fault(app, method, path)
}

/// The token that a call carries.
fn token(request: &Request) -> String {
    let given = request.headers().get(AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.split_once(' '));
    token.unwrap_or_default().1.to_owned()
}

/// The next fault for this call; used up by being taken.
fn take_fault(app: &App, method: &str, path: &str) -> Option<FaultKind> {
    let path = path.strip_prefix("/uploads").unwrap_or(path);
    let repo = path
        .strip_prefix("/repos/")
        .map(|rest| rest.splitn(3, '/').take(2).collect::<Vec<_>>().join("/"));
    app.with(|world, _| {
        let fault = world.faults.iter_mut().find(|fault| {
            let route = fault.route.strip_prefix("/uploads").unwrap_or(&fault.route);
            fault.times > 0
                && fault.method.eq_ignore_ascii_case(method)
                && matches(route, path)
                && fault
                    .repo
                    .as_ref()
                    .is_none_or(|name| repo.as_ref() == Some(name))
        })?;
        fault.times -= 1;
        Some(fault.kind.clone())
    })
}

/// Whether a path is of a template; only a last placeholder takes slashes, and
/// only where it stands for a path or a reference.
fn matches(template: &str, path: &str) -> bool {
    let mut path = path.split('/');
    let mut template = template.split('/').peekable();
    while let Some(part) = template.next() {
        let Some(segment) = path.next() else {
            return false;
        };
        if !part.starts_with('{') {
            if part != segment {
                return false;
            }
        } else if template.peek().is_none() {
            let name = part.trim_matches(['{', '}', '*']);
            let greedy = ["path", "ref", "tag", "branch", "basehead"].contains(&name);
            return greedy || path.next().is_none();
        }
    }
    path.next().is_none()
}

/// Adds an entity tag to small JSON, and answers 304 to who knows it.
async fn with_etag(response: Response, known: Option<HeaderValue>) -> Response {
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str()
            .is_ok_and(|kind| kind.starts_with("application/json"))
    });
    if response.status() != StatusCode::OK || !json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return Refusal::new(500, "Server Error").into_response();
    };
    let etag = format!("W/\"{}\"", &sha256(&body)["sha256:".len()..]);
    let body = if known.is_some_and(|known| known == etag.as_str()) {
        parts.status = StatusCode::NOT_MODIFIED;
        Body::empty()
    } else {
        Body::from(body)
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        parts.headers.insert(ETAG, etag);
    }
    Response::from_parts(parts, body)
}

/// The server would tell the machine's time.
fn date(response: &mut Response, now: Timestamp) {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = date.ok().and_then(|date| HeaderValue::try_from(date).ok()) {
        response.headers_mut().insert(DATE, date);
    }
}

/// Tells the limit; it is never reached here, a [`FaultKind::Status`] does that.
fn rate_limit(response: &mut Response, used: u64, now: Timestamp) {
    let used = used.min(LIMIT - 1);
    let reset = (now.as_second() / 3600 + 1) * 3600;
    for (name, value) in [
        ("x-ratelimit-limit", LIMIT.to_string()),
        ("x-ratelimit-remaining", (LIMIT - used).to_string()),
        ("x-ratelimit-used", used.to_string()),
        ("x-ratelimit-reset", reset.to_string()),
        ("x-ratelimit-resource", "core".into()),
        (
            "x-github-request-id",
            format!("51M:{used:X}:{:X}", now.as_microsecond()),
        ),
    ] {
        // What a fault set stays.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn templates_match_paths() {
        let runs = "/repos/{owner}/{repo}/actions/runs/{run_id}";
        assert!(matches(runs, "/repos/o/r/actions/runs/7"));
        assert!(!matches(runs, "/repos/o/r/actions/runs"));
        assert!(!matches(runs, "/repos/o/r/actions/runs/7/artifacts"));
        let contents = "/repos/{owner}/{repo}/contents/{path}";
        assert!(matches(
            contents,
            "/repos/o/r/contents/.github/workflows/build.yml"
        ));
        assert!(matches(
            "/repos/{o}/{r}/git/ref/{ref}",
            "/repos/o/r/git/ref/tags/v1"
        ));
        assert!(!matches("/repos/{owner}/{repo}", "/repos/o/r/releases"));
    }
}
