//! What a write or a read may come back with.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use commons_domain::names::ReleaseKey;

/// Why the table did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The release has another owner, or has ended.
    #[error(
        "{release} is no longer this execution's: it had generation {held}, {stored} is stored; \
         who wants it built starts it again, and redrives nothing"
    )]
    LeaseLost {
        /// The release.
        release: ReleaseKey,
        /// The generation that was held.
        held: u64,
        /// The generation that is stored.
        stored: u64,
    },
    /// The item moved on between the read and the write: read it again.
    #[error("{what} changed while it was being written")]
    Stale {
        /// Which item.
        what: String,
    },
    /// There is no such item.
    #[error("{what} is not in the table")]
    Missing {
        /// Which item.
        what: String,
    },
    /// An item that cannot be read as what it should be.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// Which item.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// AWS could not be asked, or refused to answer now.
    #[error("{action} failed: {code}: {message}")]
    Unavailable {
        /// Which call.
        action: &'static str,
        /// AWS's error code.
        code: String,
        /// AWS's message.
        message: String,
    },
}

impl StoreError {
    /// From what kept an item or a request from being written or read as what it should be.
    pub(crate) fn malformed(what: &str, error: &impl std::fmt::Display) -> Self {
        Self::Malformed {
            what: what.to_owned(),
            why: error.to_string(),
        }
    }

    /// From an SDK's error, kept as its code and message; without an answer, what kept it
    /// away.
    pub(crate) fn of<E, R>(action: &'static str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().unwrap_or("no answer").to_owned();
        let message = error.message().map_or_else(|| causes(error), str::to_owned);
        Self::Unavailable {
            action,
            code,
            message,
        }
    }
}

/// An error and what caused it, as `dispatch failure: …: Connection refused`.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let sentences: Vec<String> = causes.map(ToString::to_string).collect();
    sentences.join(": ")
}
