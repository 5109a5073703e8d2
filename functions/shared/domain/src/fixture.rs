//! A build to test with.

use jiff::Timestamp;

use crate::build::{Build, Planned};
use crate::manifest::Manifest;
use crate::names::{ReleaseKey, RepoName};

/// Component `a` of the release v0.1.0 of `o/a`, with these fields more in the manifest,
/// pinned at `p` and dispatched in this second with this nonce.
pub fn dispatched(fields: &str, nonce: &str, second: i64) -> Build {
    let manifest = format!("[versions]\na = {{ version = \"0.1.0\"{fields} }}");
    let manifest = Manifest::parse(&manifest).unwrap();
    let planned = Planned {
        spec: manifest.components()["a"].clone(),
        repository: RepoName::new("o/a").unwrap(),
        pin: "p".into(),
        git_ref: "main".into(),
        workflow_path: ".github/workflows/build.yml".into(),
        shows_nonce: false,
    };
    let key = ReleaseKey::new("o/a/v0.1.0").unwrap();
    let at = Timestamp::from_second(second).unwrap();
    Build::new(key, planned, 1, [].into(), at).intent(nonce.into(), at, at)
}
