//! What a simulator is started with, the faults it is told to commit, and why
//! it could not do what it was asked.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::{Clock, SystemClock};

/// How a simulator listens, whom it trusts and how fast its time goes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The port on 127.0.0.1, or any free one.
    pub port: Option<u16>,
    /// The bearer token every API call must carry; another one is answered 401.
    pub token: String,
    /// The account that the token belongs to: the actor of its runs.
    pub login: String,
    /// Simulated seconds per real second; what scripts say is simulated.
    pub speed: f64,
    /// Where webhooks go, and the secret that signs them.
    pub webhook: Option<(String, String)>,
    /// What time it is, the machine's unless told otherwise.
    pub clock: Arc<dyn Clock>,
    /// Whether every call of the API and every webhook is kept with what was said.
    pub record: bool,
    /// What goes wrong beside the faults, asked at every call and webhook.
    pub weather: Option<Arc<dyn Weather>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: None,
            token: "simulated-token".into(),
            login: "release-bot".into(),
            speed: 60.0,
            webhook: None,
            clock: Arc::new(SystemClock),
            record: false,
            weather: None,
        }
    }
}

/// What decides call by call what goes wrong; it may wait before it says so.
pub trait Weather: Debug + Send + Sync {
    /// What happens to a call of the API that is authorised; none: it is carried out.
    fn call<'a>(&'a self, call: Call<'a>) -> Foreseen<'a>;

    /// What happens to a webhook.
    fn webhook(&self, event: &str, payload: &Value) -> Option<WebhookFaultKind>;
}

/// What a [`Weather`] says.
pub type Foreseen<'a> = Pin<Box<dyn Future<Output = Option<FaultKind>> + Send + 'a>>;

/// A call, as a [`Weather`] sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The token that it carries; nothing for what needs none.
    pub token: &'a str,
    /// `GET`, `POST`, …
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
}

/// Something that goes wrong for the next few matching calls.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `GET`, `POST`, …
    pub method: String,
    /// The route's template as GitHub's documentation writes it, for example
    /// `/repos/{owner}/{repo}/dispatches`; the names in braces do not matter.
    pub route: String,
    /// Only calls for this `owner/name`.
    pub repo: Option<String>,
    /// How many calls are hit.
    pub times: u32,
    /// What happens to them.
    pub kind: FaultKind,
}

/// What happens to a call that a fault hits.
#[derive(Debug, Clone)]
pub enum FaultKind {
    /// Answered with this status and these headers; the call has no effect.
    Status(u16, Option<Vec<(String, String)>>),
    /// The call takes effect, then the connection closes without an answer.
    LostAnswer,
    /// Held back for so many real seconds, then carried out even if the caller
    /// has gone.
    Delay(f64),
    /// Answered with this status at once, and carried out so many seconds of the clock
    /// later, or never: a dispatch that is accepted though nothing runs, a 502 for what is done.
    Deferred(u16, Option<f64>),
    /// Answered as a secondary limit, with so many seconds to wait if GitHub says how
    /// many; the call has no effect.
    SecondaryLimit(Option<u64>),
    /// Carried out or not; the caller hears nothing any more.
    Silence {
        /// Whether it takes effect.
        carried_out: bool,
    },
    /// Carried out, but only the first half of the answer is served, as if that were all.
    CutShort,
    /// Carried out, but the connection closes after the first half of the answer.
    BrokenOff,
    /// An upload that is answered 502 and leaves an empty asset in state
    /// `starter` behind. On other routes the same as `Status(502, None)`.
    StarterAsset,
    /// An upload whose asset gets a name that no rule foresees: `.` for each `-`.
    RenamedAsset,
    /// An upload whose asset has no digest, as on servers that know none.
    UndigestedAsset {
        /// Whether its last byte is another than was sent.
        altered: bool,
    },
}

/// Something that goes wrong for the next few matching webhooks.
#[derive(Debug, Clone)]
pub struct WebhookFault {
    /// `workflow_run`, `create`, …
    pub event: String,
    /// Only webhooks of this `owner/name`.
    pub repo: Option<String>,
    /// How many are hit.
    pub times: u32,
    /// What happens to them.
    pub kind: WebhookFaultKind,
}

/// What happens to a webhook that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WebhookFaultKind {
    /// It does not arrive.
    Lost,
    /// It arrives so many seconds of the clock later.
    Late(f64),
    /// It arrives twice, as the same delivery.
    Doubled,
}

/// Why the simulator could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or no socket could be opened.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] std::io::Error),
    /// No webhook receiver was set.
    #[error("no webhook receiver is set")]
    NoWebhook,
    /// It was lost on its way.
    #[error("the webhook was lost on its way")]
    WebhookLost,
    /// The webhook's receiver did not answer.
    #[error("the webhook's receiver did not answer")]
    Webhook(#[source] reqwest::Error),
}
