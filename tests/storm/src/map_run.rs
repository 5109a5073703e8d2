//! A distributed Map: a child execution per item, so many at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use commons_domain::clock::Clock as _;
use serde_json::Value;

use crate::asl::{Failure, Machine, Map};
use crate::clock::Waker;
use crate::executions::{Execution, Wake};
use crate::interpreter::{self, Over, Run};
use crate::machine::StateMachine;

/// The children that are not over.
struct MapRun {
    step_functions: Arc<StateMachine>,
    machine: Arc<Machine>,
    children: Mutex<Children>,
    over: Waker<Wake>,
}

struct Children {
    waiting: VecDeque<Arc<Execution>>,
    running: usize,
}

/// Runs the children of a Map to their ends, however they end. The outputs are not
/// kept: the definition discards them.
pub(crate) async fn run(
    run: &Run<'_>,
    name: &str,
    map: &Map,
    input: &Value,
) -> Result<Value, Over> {
    let items = items(run, map, input).await?;
    let clock = &run.step_functions.clock;
    run.execution.record(|history| {
        history.event("MapStateStarted");
        history.event("MapRunStarted");
    });
    let parent = &run.execution.arn;
    let child = |(index, item): (usize, Value)| {
        let (before, name) = parent.rsplit_once(':').unwrap_or_default();
        let arn = format!("{before}/{}:{name}-{index}", map.label);
        let child = Execution::new(arn, item, true, clock.now());
        run.step_functions.executions.add(&child);
        child
    };
    let waiting: VecDeque<_> = items.into_iter().enumerate().map(child).collect();
    if !waiting.is_empty() {
        let woken = run
            .execution
            .park(clock, (name, "running its children"), None, |over| {
                let map_run = Arc::new(MapRun {
                    step_functions: Arc::clone(run.step_functions),
                    machine: Arc::clone(&map.machine),
                    children: Mutex::new(Children {
                        waiting,
                        running: 0,
                    }),
                    over,
                });
                for _ in 0..map.max_concurrency {
                    if !map_run.start_next() {
                        break;
                    }
                }
            });
        if let Wake::Ended = woken.await {
            return Err(Over::Ended);
        }
    }
    run.execution.record(|history| {
        history.event("MapRunSucceeded");
        history.event("MapStateSucceeded");
    });
    Ok(Value::Null)
}

/// The items, from the bucket.
async fn items(run: &Run<'_>, map: &Map, input: &Value) -> Result<Vec<Value>, Failure> {
    let failed = |why: String| Failure {
        error: "States.ItemReaderFailed".into(),
        cause: why,
    };
    let stage = &run.step_functions.stage;
    let reader = run.fill(Some(&map.items), input, None)?;
    if reader["Bucket"] != stage.config.bucket.as_str() {
        return Err(failed(format!("there is no bucket {}", reader["Bucket"])));
    }
    let key = reader["Key"].as_str().unwrap_or_default();
    let bytes = stage.objects.get_bytes(key).await;
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

impl MapRun {
    fn children(&self) -> std::sync::MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the next child; false where there is none.
    fn start_next(self: &Arc<Self>) -> bool {
        let child = {
            let mut children = self.children();
            let Some(child) = children.waiting.pop_front() else {
                return false;
            };
            children.running += 1;
            child
        };
        let this = Arc::clone(self);
        self.step_functions.clock.spawn(async move {
            interpreter::run(&this.step_functions, &child, &this.machine).await;
            this.children().running -= 1;
            if !this.start_next() && this.children().running == 0 {
                this.over.wake(Wake::Answer(Ok(Value::Null)));
            }
        });
        true
    }
}
