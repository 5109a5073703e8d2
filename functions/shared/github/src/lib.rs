//! GitHub's REST API, as far as a release needs it, and webhook signatures.
//!
//! Reads have a deadline of 10 s and are tried up to three times where GitHub could
//! not be seen: they change nothing. Writes are tried once, since whether one that
//! was not answered has happened is for the caller to find out.

mod actions;
mod client;
mod disposition;
mod error;
mod releases;
mod repositories;
mod transfer;
mod types;
pub mod webhook;

pub use client::{Body, GitHub, Settings};
pub use error::Error;
pub use transfer::Download;
pub use types::{
    Artifact, Asset, Head, Job, NewRelease, Release, ReleaseUpdate, Repository, Run, Workflow,
};
