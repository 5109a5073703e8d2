//! EventBridge: an execution that did not end by itself is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commons_domain::clock::Clock as _;
use serde_json::{Value, json};

use crate::executions::{Execution, Status};
use crate::functions;
use crate::machine::StateMachine;

/// Lambda tries an event that its function fails on again, after these waits:
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>.
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];

/// Events on their way.
#[derive(Debug, Default)]
pub struct Events(AtomicUsize);

impl Events {
    /// Whether one is on its way.
    pub fn are_pending(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }

    /// An execution of the machine changed its status: the template's rule `Ended`.
    pub fn status_changed(
        &self,
        machine: &Arc<StateMachine>,
        execution: &Execution,
        status: Status,
    ) {
        let ruled = [Status::Aborted, Status::TimedOut, Status::Failed];
        if !ruled.contains(&status) {
            return;
        }
        let weather = machine.seats.weather();
        if weather.event_is_lost(&execution.name) {
            weather.happened(&format!("the event of {} was lost", execution.name));
            return;
        }
        let event = json!({
            "source": "aws.states",
            "detail-type": "Step Functions Execution Status Change",
            "detail": {
                "executionArn": execution.arn,
                "stateMachineArn": machine.arn,
                "name": execution.name,
                "status": status.as_str(),
                "input": execution.input.to_string(),
                "output": null,
            },
        });
        self.0.fetch_add(1, Ordering::SeqCst);
        let clock = machine.clock.clone();
        let machine = Arc::clone(machine);
        clock.spawn(async move {
            deliver(&machine, event).await;
            machine.events.0.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn deliver(machine: &Arc<StateMachine>, event: Value) {
    let mut waits = RETRIES.into_iter();
    loop {
        let settled = functions::call(machine, "settle", event.clone()).await;
        let Err(failure) = settled else { return };
        tracing::warn!(
            error = failure.error,
            cause = failure.cause,
            "an event was not settled"
        );
        let Some(wait) = waits.next() else { return };
        machine.clock.sleep(wait).await;
    }
}
