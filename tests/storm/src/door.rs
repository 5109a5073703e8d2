//! The door: GitHub's webhooks over HTTP, as API Gateway hands them to the function.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpRequestContext};
use aws_lambda_events::encodings::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use commons_webhook::Door;

/// Answers one delivery.
pub(crate) async fn handle(
    State(door): State<Door>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut context = ApiGatewayV2httpRequestContext::default();
    context.http.method = method;
    context.http.path = Some(uri.path().to_owned());
    let mut request = ApiGatewayV2httpRequest::default();
    request.request_context = context;
    request.headers = headers;
    request.body = Some(body);
    let answer = commons_webhook::handle(&door, request).await;
    let status = u16::try_from(answer.status_code).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    let body = match answer.body {
        Some(Body::Text(text)) => text,
        _ => String::new(),
    };
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body).into_response()
}
