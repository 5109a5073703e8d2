//! GitHub's REST API, as far as a release needs it, and webhook signatures.
//!
//! Reads have a deadline of 10 s and are tried up to three times where GitHub could
//! not be seen: they change nothing. Writes are tried once, since whether one that
//! was not answered has happened is for the caller to find out. What authorises calls is
//! a token, or an App whose tokens are minted for a stage; after a 401 GitHub has done
//! nothing, and a call is made once more where there is another token.

mod actions;
mod app;
mod asset;
mod auth;
mod client;
mod compare;
mod disposition;
mod error;
pub mod permissions;
mod releases;
mod repositories;
mod transfer;
mod types;
pub mod webhook;

pub use auth::{APP_FIELDS, Reading, Source};
pub use client::{Body, GitHub, Settings};
pub use error::Error;
pub use permissions::Work;
pub use releases::{LARGEST_ASSET, MOST_ASSETS};
pub use transfer::Download;
pub use types::{
    Artifact, Asset, ComparedCommit, Comparison, Head, Job, NewRelease, Release, ReleaseUpdate,
    Repository, Run, Workflow,
};
