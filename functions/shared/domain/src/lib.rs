//! The decisions of a release: what is built in which order, who may act, which
//! run belongs to which build, when to try again, what a release says of itself.
//!
//! Nothing here does I/O: clocks, ids and what was read are passed in, so every
//! rule can be tested, and explored, as a value.

pub mod after_publish;
pub mod attempts;
pub mod budget;
pub mod build;
pub mod clock;
pub mod dispatch;
pub mod documents;
#[cfg(test)]
mod fixture;
pub mod graph;
pub mod lease;
pub mod lock;
pub mod manifest;
pub mod matching;
pub mod names;
pub mod notes;
pub mod release;
pub mod request;
pub mod run;
pub mod signature;
pub mod sums;
pub mod timeline;
pub mod times;
pub mod wake;
