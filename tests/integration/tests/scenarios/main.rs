//! The scenarios, each a module; on the built functions under the deployed
//! definition.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod apps;
mod canary;
mod documents;
mod door;
mod drift;
mod ends;
mod failure;
mod green;
mod matrix;
mod modes;
mod oracles;
mod rights;
mod roles;
mod stacks;
mod stages;
mod store;
mod tools;
mod verify;
