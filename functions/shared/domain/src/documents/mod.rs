//! What a release carries beside the files that were built: who built them from what, and
//! what proves it. Each document is a function of what stands in the table, so that
//! whoever writes it again writes the same bytes.

pub mod dsse;
mod manifest;
mod provenance;
mod versions;

pub use manifest::{Artifact, Asset, Component, Manifest, ReleaseManifest};
pub use provenance::statements;
pub use versions::resolved;

/// Who built what from what: a [`ReleaseManifest`].
pub const RELEASE_MANIFEST: &str = "release-manifest.json";
/// In-toto statements with SLSA provenance, each signed, a line each; where no component has
/// files there is none.
pub const PROVENANCE: &str = "provenance.intoto.jsonl";
/// The manifest with the commit of every component.
pub const VERSIONS: &str = "versions.toml";
/// The sums of every other asset but its own signature.
pub const SUMS: &str = "SHA256SUMS";
/// The signature of [`SUMS`]: ECDSA with P-256 and SHA-256, DER.
pub const SIGNATURE: &str = "SHA256SUMS.sig";

/// Whether a release has a document of this name, which no component may build then.
pub fn is_document(name: &str) -> bool {
    [RELEASE_MANIFEST, PROVENANCE, VERSIONS, SUMS, SIGNATURE].contains(&name)
}

/// How many documents a release has at most.
pub fn count(signed: bool) -> usize {
    if signed { 5 } else { 3 }
}

/// The document that is uploaded last: where it is, the release was whole.
pub fn last(signed: bool) -> &'static str {
    if signed { SIGNATURE } else { SUMS }
}
