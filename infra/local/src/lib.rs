//! The local cloud: ministack in a Python environment below `target/`, without
//! Docker and without an AWS account. The demo and the tests share it: prepare,
//! start, deploy the stack into an account, call, stop.

mod account;
mod cloud;
mod group;
mod prepare;
mod template;

/// What the stack is called where there is one.
pub const STACK: &str = "commons";

/// The account of who signs nothing, as GitHub: only its webhooks find their way.
pub const ACCOUNT: &str = "000000000000";

pub use account::{Account, Service, Stack, Transitions};
pub use cloud::{LocalCloud, Options, http_client};
pub use prepare::{
    FUNCTIONS, Missing, Profile, Progress, Toolchain, build, check_prerequisites, ensure_venv,
    target,
};
pub use template::{defaults, waits};

/// Why the local cloud did not do what was asked; one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    /// What was done, and what came of it.
    pub(crate) fn of(what: &str, error: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {error}"))
    }
}
