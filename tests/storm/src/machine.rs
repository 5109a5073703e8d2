//! Step Functions: starts executions, and ends them.

use std::sync::Arc;
use std::time::Duration;

use commons_domain::clock::Clock as _;
use commons_runtime::Stage;
use serde_json::Value;

use crate::asl::{Definition, Failure};
use crate::clock::VirtualClock;
use crate::events::Events;
use crate::executions::{Execution, Executions, Status};
use crate::interpreter;
use crate::seats::Seats;

/// The deployed state machine, and what its functions work with.
pub struct StateMachine {
    /// Its ARN.
    pub arn: String,
    /// What it follows.
    pub definition: Definition,
    /// The time.
    pub clock: VirtualClock,
    /// What the functions work with, where nothing goes wrong: for who looks on.
    pub stage: Stage,
    /// Where calls of functions sit.
    pub seats: Arc<Seats>,
    /// For the definition's own calls.
    pub dynamo: aws_sdk_dynamodb::Client,
    /// What it runs and ran.
    pub executions: Executions,
    /// What follows the end of an execution.
    pub events: Events,
}

/// An execution of this name was started with another input, or has ended.
#[derive(Debug)]
pub struct NameTaken;

impl StateMachine {
    /// Starts a release; its execution. As at AWS a second start of the same name and
    /// input is the first one's, while that runs.
    pub fn start(self: &Arc<Self>, name: &str, input: Value) -> Result<Arc<Execution>, NameTaken> {
        let arn = self.arn.replace(":stateMachine:", ":execution:");
        let arn = format!("{arn}:{name}");
        if let Some(known) = self.executions.get(&arn) {
            let same = known.status() == Status::Running && known.input == input;
            return if same { Ok(known) } else { Err(NameTaken) };
        }
        let now = self.clock.now();
        let execution = Execution::new(arn, input, false, now);
        self.executions.add(&execution);
        let time_out = self.definition.timeout_seconds.map(|seconds| {
            let (this, late) = (Arc::clone(self), Arc::clone(&execution));
            let at = now + Duration::from_secs(seconds);
            self.clock
                .ring_at(at, move |_busy| this.end(&late, Status::TimedOut, None))
        });
        let (this, started) = (Arc::clone(self), Arc::clone(&execution));
        self.clock.spawn(async move {
            interpreter::run(&this, &started, &this.definition.machine).await;
            if let Some(alarm) = time_out {
                this.clock.cancel(alarm);
            }
        });
        Ok(execution)
    }

    /// Ends an execution, unless it has ended. Its children go on: a Map Run may outlive
    /// its parent, and this is the harder case.
    pub fn end(self: &Arc<Self>, execution: &Execution, status: Status, failure: Option<Failure>) {
        let ended = execution.end(status, failure, self.clock.now());
        if ended && !execution.child {
            self.events.status_changed(self, execution, status);
        }
    }
}
