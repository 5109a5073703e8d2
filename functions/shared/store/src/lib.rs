//! The `build_runs` table: releases, builds, claims and locks, and the wake-ups of
//! executions that wait on them.
//!
//! Every change of a status is one transaction: the item, conditioned on the
//! status, attempt and generation that were read, and its audit event. A write
//! whose condition fails changed nothing; the caller learns whether its release
//! has another owner ([`StoreError::LeaseLost`]) or the item moved on
//! ([`StoreError::Stale`]).

mod budget;
mod builds;
mod error;
mod events;
mod item;
mod locks;
mod releases;
mod wake;

use std::sync::Arc;

use commons_domain::clock::Clock;

pub use builds::WRITERS;
pub use error::StoreError;
pub use locks::{Claim, Claimed};

/// The table and, for parked tokens, Step Functions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    dynamo: aws_sdk_dynamodb::Client,
    states: aws_sdk_sfn::Client,
    table: String,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Over the table of this name.
    pub fn new(
        dynamo: aws_sdk_dynamodb::Client,
        states: aws_sdk_sfn::Client,
        table: impl Into<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            dynamo,
            states,
            table: table.into(),
            clock,
        }
    }
}
