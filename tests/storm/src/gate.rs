//! AWS's clients of a seat: every request passes here on its way out.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

use crate::seats::{Seat, Verdict};
use crate::weather::Planted;

/// What AWS says when it is overloaded, in DynamoDB's and Step Functions' protocol.
const OVERLOADED: &str = r#"{"__type":"com.amazonaws#InternalServerError","message":"overloaded"}"#;

/// A client whose requests meet the weather of a seat.
#[derive(Clone)]
pub(crate) struct Gate {
    behind: SharedHttpClient,
    seat: Arc<Seat>,
}

/// The same, for the settings of one operation.
struct GateConnector {
    behind: SharedHttpConnector,
    seat: Arc<Seat>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl std::fmt::Debug for GateConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GateConnector")
    }
}

impl Gate {
    /// Before a client.
    pub(crate) fn new(behind: SharedHttpClient, seat: &Arc<Seat>) -> Self {
        let seat = Arc::clone(seat);
        Self { behind, seat }
    }
}

impl HttpClient for Gate {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(GateConnector {
            behind: self.behind.http_connector(settings, components),
            seat: Arc::clone(&self.seat),
        })
    }
}

impl HttpConnector for GateConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (behind, seat) = (self.behind.clone(), Arc::clone(&self.seat));
        HttpConnectorFuture::new(async move {
            let what = name(&request);
            match seat.meet(&what, None).await {
                // AWS knows nothing of tokens for GitHub.
                Verdict::Pass | Verdict::TokenDies => send(&behind, &seat, &what, request).await,
                Verdict::DieBefore => std::future::pending().await,
                Verdict::DieAfter => {
                    let _nobody_hears_it = send(&behind, &seat, &what, request).await;
                    seat.die();
                    std::future::pending().await
                }
                Verdict::AnswerLost => {
                    let _nobody_hears_it = send(&behind, &seat, &what, request).await;
                    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    Err(ConnectorError::io(lost.into()))
                }
                Verdict::Refused => Ok(overloaded()),
            }
        })
    }
}

/// Sends a request as it is, or as a planted bug has it.
async fn send(
    behind: &SharedHttpConnector,
    seat: &Seat,
    what: &str,
    mut request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    let body = request.body().bytes().unwrap_or_default();
    let body = String::from_utf8_lossy(body).into_owned();
    match seat.planted(what, &body) {
        None => behind.call(request).await,
        Some(Planted::Sent(other)) => {
            replace(&mut request, other);
            behind.call(request).await
        }
        Some(Planted::Answered(answer)) => Ok(said(200, answer)),
        Some(Planted::Misread(misread)) => {
            let (status, mut answer) = answered(behind, request).await?;
            misread(&mut answer);
            Ok(said(status, answer.to_string()))
        }
        Some(Planted::Metered(other, look)) => {
            replace(&mut request, other);
            let (status, answer) = answered(behind, request).await?;
            look(&answer);
            Ok(said(status, answer.to_string()))
        }
    }
}

fn replace(request: &mut HttpRequest, body: String) {
    let length = body.len().to_string();
    request.headers_mut().insert("content-length", length);
    *request.body_mut() = SdkBody::from(body);
}

/// The status and the JSON of an answer.
async fn answered(
    behind: &SharedHttpConnector,
    request: HttpRequest,
) -> Result<(u16, Value), ConnectorError> {
    let response = behind.call(request).await?;
    let status = response.status().as_u16();
    let body = ByteStream::new(response.into_body()).collect().await;
    let body = body.map_err(|error| ConnectorError::io(error.into()))?;
    let answer = serde_json::from_slice(&body.into_bytes()).unwrap_or_default();
    Ok((status, answer))
}

fn said(status: u16, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).expect("a status");
    HttpResponse::new(status, SdkBody::from(body))
}

fn overloaded() -> HttpResponse {
    said(500, OVERLOADED.to_owned())
}

/// The action, or for S3 method and path.
fn name(request: &HttpRequest) -> String {
    match request.headers().get("x-amz-target") {
        Some(target) => target.to_owned(),
        None => {
            let path = request.uri().split('?').next().unwrap_or_default();
            let path = path.splitn(5, '/').nth(4).unwrap_or_default();
            format!("S3 {} {path}", request.method())
        }
    }
}
