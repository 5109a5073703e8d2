//! The scenarios, each a module; on the built functions under the deployed
//! definition.

#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot unwrap fails the test"
)]

mod door;
mod failure;
mod green;
mod stages;
mod store;
