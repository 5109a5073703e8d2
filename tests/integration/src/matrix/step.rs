//! The stages as the state machine calls them, one after the other, until nothing is
//! left to do. Waits move the clock instead; they grow, so that long ones are over soon.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use commons_domain::build::BuildStatus;
use commons_domain::names::ReleaseKey;
use commons_runtime::{Stage, StageError};
use commons_webhook::{Door, SigningSecrets};
use serde_json::{Value, json};

use crate::clock::MovedClock;

/// More calls than any way to an end takes.
const MOST_CALLS: usize = 200;
/// How long a run is left alone, in real time, before the next look at it.
const LOOK: Duration = Duration::from_millis(10);

/// One call of a stage.
#[derive(Clone)]
pub enum Step {
    /// Plan, for this execution.
    Plan {
        /// Its ARN.
        execution: String,
        /// Its input.
        input: Value,
    },
    /// Dispatch.
    Dispatch(Child),
    /// Poll.
    Poll(Child),
    /// Collect.
    Collect(Child),
    /// Publish.
    Publish {
        /// The release.
        release: ReleaseKey,
        /// Of this owner.
        generation: u64,
    },
    /// Settle, with what the state machine, EventBridge or the schedule gives.
    Settle(Value),
    /// One delivery at the door.
    Deliver {
        /// As API Gateway hands it over.
        request: Value,
        /// What the door knows.
        secrets: Arc<SigningSecrets>,
    },
}

/// What carries one build.
#[derive(Debug, Clone)]
pub struct Child {
    /// The release.
    pub release: ReleaseKey,
    /// The component.
    pub component: String,
    /// The owner.
    pub generation: u64,
}

/// What follows a call.
pub enum Next {
    /// This, at once.
    Go(Step),
    /// This, after so many seconds.
    After(u64, Step),
    /// This, after the time that a run needs.
    Look(Step),
    /// Nothing.
    End,
}

impl Step {
    /// Calls the stage once.
    pub async fn once(self, stage: Stage) -> Result<Next, StageError> {
        match self {
            Self::Plan { execution, input } => {
                let input = commons_plan::Input { execution, input };
                Box::pin(commons_plan::handle(stage, input)).await?;
                Ok(Next::End)
            }
            Self::Dispatch(child) => child.dispatch(stage).await,
            Self::Poll(child) => child.poll(stage).await,
            Self::Collect(child) => child.collect(stage).await,
            Self::Publish {
                release,
                generation,
            } => {
                let input = commons_publish::Input {
                    release: release.clone(),
                    generation,
                };
                let again = Self::Publish {
                    release,
                    generation,
                };
                let answer = Box::pin(commons_publish::handle(stage, input)).await?;
                Ok(match answer.next {
                    commons_publish::Next::Published => Next::End,
                    commons_publish::Next::Again => Next::After(answer.wait_seconds, again),
                })
            }
            Self::Settle(input) => {
                let input = serde_json::from_value(input).expect("an input of Settle");
                Box::pin(commons_settle::handle(stage, input)).await?;
                Ok(Next::End)
            }
            Self::Deliver { request, secrets } => {
                let door = Door {
                    config: stage.config,
                    store: stage.store,
                    states: stage.states,
                    secrets,
                };
                let request: ApiGatewayV2httpRequest =
                    serde_json::from_value(request).expect("a request");
                let answer = Box::pin(commons_webhook::handle(&door, request)).await;
                match answer.status_code {
                    202 => Ok(Next::End),
                    // GitHub's log shows it, and somebody delivers it again.
                    503 => Err(StageError::Unavailable("503".into())),
                    other => Err(StageError::Internal(format!("the door says {other}"))),
                }
            }
        }
    }

    /// Calls the stage, and what follows, to the end; a call that could not see is made
    /// again.
    ///
    /// # Errors
    /// What a stage says that ends its execution.
    pub async fn to_the_end(self, stage: &Stage, clock: &MovedClock) -> Result<(), StageError> {
        let answer = self.clone().once(stage.clone()).await;
        self.on_from(answer, stage, clock).await
    }

    /// What follows this step's answer, to the end.
    ///
    /// # Errors
    /// What a stage says that ends its execution.
    pub async fn on_from(
        self,
        mut answer: Result<Next, StageError>,
        stage: &Stage,
        clock: &MovedClock,
    ) -> Result<(), StageError> {
        let mut step = self;
        let mut waits = 0;
        for _ in 0..MOST_CALLS {
            let next = match answer {
                Ok(next) => next,
                Err(StageError::Unavailable(_)) => Next::After(1, step),
                // Another owner has what is left.
                Err(StageError::LeaseLost(_)) => return Ok(()),
                Err(error) => return Err(error),
            };
            let longer = 2_u32.saturating_pow(waits);
            step = match next {
                Next::Go(step) => {
                    waits = 0;
                    step
                }
                Next::After(seconds, step) => {
                    waits += 1;
                    clock.advance(Duration::from_secs(seconds) * longer);
                    step
                }
                Next::Look(step) => {
                    waits += 1;
                    tokio::time::sleep(LOOK).await;
                    clock.advance(LOOK * longer);
                    step
                }
                Next::End => return Ok(()),
            };
            answer = step.clone().once(stage.clone()).await;
        }
        Err(StageError::Internal("it comes to no end".into()))
    }
}

impl Child {
    async fn dispatch(self, stage: Stage) -> Result<Next, StageError> {
        use commons_dispatch::{Input, Next as Answer, handle};
        let input = Input {
            release: self.release.clone(),
            component: self.component.clone(),
            generation: self.generation,
            child: None,
        };
        let answer = Box::pin(handle(stage, input)).await?;
        Ok(match answer.next {
            Answer::AwaitRun => Next::Go(Step::Poll(self)),
            Answer::Busy => Next::After(answer.wait_seconds, Step::Dispatch(self)),
            Answer::Green => Next::Go(Step::Collect(self)),
            // It is parked on a token, or over.
            Answer::AwaitDependencies | Answer::Over => Next::End,
        })
    }

    async fn poll(self, stage: Stage) -> Result<Next, StageError> {
        use commons_poll::{Input, Next as Answer, handle};
        let input = Input {
            release: self.release.clone(),
            component: self.component.clone(),
            generation: self.generation,
        };
        let answer = Box::pin(handle(stage, input)).await?;
        Ok(match answer.next {
            Answer::Soon | Answer::Normal | Answer::Long | Answer::Busy => {
                Next::Look(Step::Poll(self))
            }
            Answer::Retry => Next::After(answer.wait_seconds, Step::Dispatch(self)),
            Answer::Green => Next::Go(Step::Collect(self)),
            Answer::Over => Next::End,
        })
    }

    async fn collect(self, stage: Stage) -> Result<Next, StageError> {
        use commons_collect::{Input, Next as Answer, handle};
        let input = Input {
            release: self.release.clone(),
            component: self.component.clone(),
            generation: self.generation,
        };
        let answer = Box::pin(handle(stage, input)).await?;
        Ok(match answer.next {
            Answer::Built | Answer::Over => Next::End,
            Answer::Again => Next::After(answer.wait_seconds, Step::Collect(self)),
            Answer::Retry => Next::After(answer.wait_seconds, Step::Dispatch(self)),
        })
    }
}

/// A whole execution of the state machine, whose builds come one after the other.
///
/// # Panics
/// If it comes to an end that is none.
pub async fn execute(execution: &str, input: &Value, stage: &Stage, clock: &MovedClock) {
    let ended = execution_of(execution, input, stage, clock).await;
    let Err(error) = ended else {
        return;
    };
    let settle = json!({
        "kind": "release",
        "execution": execution,
        "input": input,
        "error": {"Error": error.name(), "Cause": error.to_string()},
    });
    let settled = Step::Settle(settle).to_the_end(stage, clock).await;
    settled.expect("a settled release");
}

async fn execution_of(
    execution: &str,
    input: &Value,
    stage: &Stage,
    clock: &MovedClock,
) -> Result<(), StageError> {
    let plan = Step::Plan {
        execution: execution.to_owned(),
        input: input.clone(),
    };
    plan.to_the_end(stage, clock).await?;
    let version = input["version"].as_str().expect("a version");
    let key = format!("{}/{version}", stage.config.release_repository);
    let release = ReleaseKey::new(&key).expect("a release");
    let own = stage.store.release(&release).await?.expect("the release");
    for _ in 0..MOST_CALLS {
        let builds = stage.store.builds(&release).await?;
        let green = |name: &String| {
            let named = builds.iter().find(|build| build.component == *name);
            named.is_some_and(|build| build.status.is_green())
        };
        // A build that requires nothing, or whose dependencies are green.
        let next = builds.iter().find(|build| {
            let over = build.status == BuildStatus::Collected || build.status.is_failed();
            !over && build.requires.iter().all(green)
        });
        let Some(build) = next else {
            break;
        };
        let child = Child {
            release: release.clone(),
            component: build.component.clone(),
            generation: own.generation,
        };
        Step::Dispatch(child).to_the_end(stage, clock).await?;
    }
    let publish = Step::Publish {
        release,
        generation: own.generation,
    };
    publish.to_the_end(stage, clock).await
}
