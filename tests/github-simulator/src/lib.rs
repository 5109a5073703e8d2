//! A faithful, fault-injecting GitHub.
//!
//! [`Simulator::start`] serves the part of GitHub's REST API that a release
//! needs: contents, refs, dispatches, runs, artifacts, releases, uploads and
//! signed webhooks, to a user's token or to an App's. Answers have GitHub's shapes and its surprises: dispatches
//! without a run id, renamed assets, artifact ids that do not grow, redirects that
//! refuse the token.
//!
//! What happens in a run is a [`Script`]; what goes wrong is a [`Fault`]. Calls
//! are counted under the templates of GitHub's documentation, for example
//! `POST /repos/{owner}/{repo}/dispatches`, `GET /repos/{owner}/{repo}/actions/runs/{run_id}`
//! or, for uploads, `POST /repos/{owner}/{repo}/releases/{release_id}/assets`.
//!
//! The state (`model`) is apart from the routes and takes the time as a value;
//! `server` holds the sockets and asks the [`Clock`].

mod app;
mod clock;
mod fixture;
mod input;
mod middleware;
mod model;
mod render;
mod routes;
mod server;
mod settings;
mod simulator;
mod view;
mod webhook;

pub use app::{App, Installation};
pub use clock::{Clock, Work};
pub use fixture::fixture_repositories;
pub use input::{
    Artifact, Corrupt, ForeignRelease, Raw, Repository, Script, Storage, Trigger, Workflow,
};
pub use server::{Acceptor, Cutter};
pub use settings::{
    Call, Error, Fault, FaultKind, Foreseen, Settings, Weather, WebhookFault, WebhookFaultKind,
};
pub use simulator::Simulator;
pub use view::{
    ArtifactView, AssetView, AttemptView, Delivery, Exchange, Moment, ReleaseView, Request,
    RunView, TokenView,
};
pub use webhook::signature;
