//! The door: GitHub's webhooks over HTTP, as API Gateway hands them to the function.

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpRequestContext};
use aws_lambda_events::encodings::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use commons_webhook::Door;
use serde_json::Value;

use crate::functions::until_told;
use crate::seats::Seats;

/// What is behind the address.
#[derive(Clone)]
pub(crate) struct Behind {
    /// The function's own; its clients are the seat's.
    pub(crate) door: Door,
    /// Where it sits.
    pub(crate) seats: Arc<Seats>,
}

/// Answers one delivery.
pub(crate) async fn handle(
    State(behind): State<Behind>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let event = headers.get("x-github-event").and_then(|e| e.to_str().ok());
    let function = format!("webhook {}", event.unwrap_or_default());
    let about = about(&body);
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http.method = method;
    context.http.path = Some(uri.path().to_owned());
    let mut request = ApiGatewayV2httpRequest::default();
    request.request_context = context;
    request.headers = headers;
    request.body = Some(body);
    let Behind { door, seats } = behind;
    let (seated, told) = seats.sit(&function, "", &about);
    seated.seat().take_turn().await;
    let working = tokio::spawn(async move {
        let door = Door {
            store: seated.stage().store.clone(),
            states: seated.stage().states.clone(),
            ..door
        };
        let answer = commons_webhook::handle(&door, request).await;
        drop(seated);
        answer
    });
    let Ok(answer) = until_told(working, told).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = u16::try_from(answer.status_code).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let body = match answer.body {
        Some(Body::Text(text)) => text,
        _ => String::new(),
    };
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
}

/// The repository that a delivery is about.
fn about(body: &str) -> String {
    let payload: Value = serde_json::from_str(body).unwrap_or_default();
    let name = payload.pointer("/repository/full_name");
    name.and_then(Value::as_str).unwrap_or_default().to_owned()
}
