//! A stage's errors. Their names are an API: the state machine's Catch and Retry
//! name them.

use commons_store::StoreError;
use lambda_runtime::Diagnostic;

use crate::FindError;

/// Why a stage did not do its work; `Display` is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The release has another owner; this one stops.
    #[error("{0}")]
    LeaseLost(String),
    /// Another execution owns the release and runs: this one steps aside.
    #[error("{0}")]
    LeaseHeld(String),
    /// The release is published: there is nothing to do.
    #[error("{0}")]
    AlreadyPublished(String),
    /// What was asked for cannot be done as it is: input, manifest, repository.
    #[error("{0}")]
    Refused(String),
    /// A build is not complete, so nothing is published.
    #[error("{0}")]
    NotComplete(String),
    /// What was uploaded is not what was collected.
    #[error("{0}")]
    VerificationFailed(String),
    /// GitHub or AWS could not be seen: try again.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing could be seen for too long: everything stays as it is, for who resumes.
    #[error("{0}")]
    Blind(String),
    /// A defect of ours.
    #[error("{0}")]
    Internal(String),
}

impl StageError {
    /// The name that the state machine knows.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeaseLost(_) => "LeaseLost",
            Self::LeaseHeld(_) => "LeaseHeld",
            Self::AlreadyPublished(_) => "AlreadyPublished",
            Self::Refused(_) => "Refused",
            Self::NotComplete(_) => "NotComplete",
            Self::VerificationFailed(_) => "VerificationFailed",
            Self::Unavailable(_) => "Unavailable",
            Self::Blind(_) => "Blind",
            Self::Internal(_) => "Internal",
        }
    }
}

/// What a state's payload may hold of an error, in bytes; it stays under 4 KiB in all.
const LONGEST_MESSAGE: usize = 2_000;

impl From<StageError> for Diagnostic {
    fn from(error: StageError) -> Self {
        let mut error_message = error.to_string();
        if error_message.len() > LONGEST_MESSAGE {
            error_message.truncate(error_message.floor_char_boundary(LONGEST_MESSAGE));
            error_message.push('…');
        }
        Self {
            error_type: error.name().to_owned(),
            error_message,
        }
    }
}

impl From<StoreError> for StageError {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::LeaseLost { .. } => Self::LeaseLost(text),
            // Read again: the next try sees what changed.
            StoreError::Stale { .. } | StoreError::Unavailable { .. } => Self::Unavailable(text),
            StoreError::Missing { .. } | StoreError::Malformed { .. } => Self::Internal(text),
        }
    }
}

impl From<FindError> for StageError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Store(error) => error.into(),
            FindError::GitHub(error) if error.is_cannot_see() => {
                Self::Unavailable(error.to_string())
            }
            FindError::GitHub(error) => Self::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let error = StageError::Refused("é".repeat(3_000));
        let diagnostic = Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "Refused");
        assert_eq!(diagnostic.error_message, "é".repeat(1_000) + "…");
    }
}
