//! What fails verification, and what the bucket may come back with.

use commons_domain::names::Sha256;

/// Something that was built is not what it should be. Never published.
#[derive(Debug, thiserror::Error)]
pub enum Verification {
    /// The bytes are not those that GitHub announced.
    #[error("artifact {artifact} has the digest {got}, but GitHub announced {announced}")]
    DigestMismatch {
        /// The artifact's name.
        artifact: String,
        /// GitHub's digest.
        announced: Sha256,
        /// The digest of what came.
        got: Sha256,
    },
    /// An archive that cannot be unpacked, or must not be.
    #[error("artifact {artifact}: {why}")]
    BadArchive {
        /// The artifact's name.
        artifact: String,
        /// What is wrong, with the entry's name.
        why: String,
    },
    /// Fewer or more bytes than were announced.
    #[error("artifact {artifact} was cut short: {got} of {announced} bytes came")]
    Truncated {
        /// The artifact's name.
        artifact: String,
        /// Announced bytes.
        announced: u64,
        /// Received bytes.
        got: u64,
    },
    /// A file of another length than GitHub announced, though it knows no digest.
    #[error("artifact {artifact} has {got} bytes, but GitHub announced {announced}")]
    LengthMismatch {
        /// The artifact's name.
        artifact: String,
        /// Announced bytes.
        announced: u64,
        /// Received bytes.
        got: u64,
    },
    /// A file of sums says another of a file that is there.
    #[error("{sums} says that {name} has the SHA-256 {said}, but it has {got}")]
    SumMismatch {
        /// The file of sums.
        sums: String,
        /// What it names.
        name: String,
        /// The sum that it says.
        said: Sha256,
        /// The sum of what is there.
        got: Sha256,
    },
    /// `SHA256SUMS` names a file that is not there.
    #[error("{sums} names {name}, which is not there")]
    SumWithoutFile {
        /// The file of sums.
        sums: String,
        /// What it names.
        name: String,
    },
    /// Two different files of one name.
    #[error("{first} and {second} are both named {name}, with different contents")]
    NameClash {
        /// The asset's name.
        name: String,
        /// Where one is from.
        first: String,
        /// Where the other is from.
        second: String,
    },
    /// Of what was built nothing is what is declared.
    #[error("{component} declares the artifacts {globs}, which match none of: {looked_in}")]
    MissingArtifact {
        /// The component.
        component: String,
        /// What is declared.
        globs: String,
        /// The names of the run's artifacts.
        looked_in: String,
    },
    /// A declared binary is not among what was built.
    #[error("{component} declares the binary {binary}, which is in none of: {looked_in}")]
    MissingBinary {
        /// The component.
        component: String,
        /// The binary.
        binary: String,
        /// The files that were looked at.
        looked_in: String,
    },
    /// GitHub has deleted the artifact.
    #[error("ArtifactExpired: artifact {artifact} has expired{}", at.map(|at| format!(" on {at}")).unwrap_or_default())]
    Expired {
        /// The artifact's name.
        artifact: String,
        /// When.
        at: Option<jiff::Timestamp>,
    },
}

/// The bucket did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{action} of {key} failed: {why}")]
pub struct StoreError {
    /// Which call.
    pub action: &'static str,
    /// Which object.
    pub key: String,
    /// What happened.
    pub why: String,
}
