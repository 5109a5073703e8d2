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

use crate::seats::{Seat, Verdict};

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
                Verdict::Pass => behind.call(request).await,
                Verdict::DieBefore => std::future::pending().await,
                Verdict::DieAfter => {
                    let _nobody_hears_it = behind.call(request).await;
                    seat.die();
                    std::future::pending().await
                }
                Verdict::AnswerLost => {
                    let _nobody_hears_it = behind.call(request).await;
                    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    Err(ConnectorError::io(lost.into()))
                }
                Verdict::Refused => Ok(overloaded()),
            }
        })
    }
}

fn overloaded() -> HttpResponse {
    let status = StatusCode::try_from(500).expect("a status");
    HttpResponse::new(status, SdkBody::from(OVERLOADED))
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
