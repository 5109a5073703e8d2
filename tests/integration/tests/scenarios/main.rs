//! The scenarios, each a module; on the built functions under the deployed
//! definition.

mod door;
mod failure;
mod green;
mod stages;
mod store;
