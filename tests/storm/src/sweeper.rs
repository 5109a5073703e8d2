//! The sweeper's schedule.

use std::sync::{Arc, Weak};
use std::time::Duration;

use commons_domain::clock::Clock as _;
use serde_json::json;

use crate::functions;
use crate::machine::StateMachine;

/// Why there is no schedule.
#[derive(Debug, thiserror::Error)]
#[error("no sweeper: {0}")]
pub(crate) struct NoSchedule(String);

/// Begins it. It ends with the machine.
pub(crate) fn begin(machine: &Arc<StateMachine>) -> Result<(), NoSchedule> {
    let defaults = local_cloud::defaults().map_err(|error| NoSchedule(error.to_string()))?;
    let minutes = defaults.get("SweepMinutes").copied();
    let minutes = minutes.ok_or_else(|| NoSchedule("the template has no SweepMinutes".into()))?;
    next(&Arc::downgrade(machine), Duration::from_secs(60 * minutes));
    Ok(())
}

/// A sweep when it is due, and so on. One that is late keeps no other from beginning.
fn next(machine: &Weak<StateMachine>, every: Duration) {
    let Some(now) = machine.upgrade() else { return };
    let machine = Weak::clone(machine);
    now.clock.ring_at(now.clock.now() + every, move |busy| {
        next(&machine, every);
        let Some(machine) = machine.upgrade() else {
            return;
        };
        tokio::spawn(async move {
            let swept = functions::call(&machine, "settle", json!({"kind": "sweep"})).await;
            if let Err(failure) = swept {
                tracing::warn!(error = failure.error, cause = failure.cause, "no sweep");
            }
            drop(busy);
        });
    });
}
