//! Follows the states of one execution.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use commons_domain::clock::Clock as _;
use serde_json::{Value, json};

use crate::asl::{
    Catcher, Choice, Fail, Failure, Machine, Path, Place, Resource, Retrier, State, Step, Task,
    Template, Wait, WaitTime,
};
use crate::executions::{Execution, Status, Wake};
use crate::functions;
use crate::history::History;
use crate::machine::StateMachine;
use crate::map_run;

/// Why an execution does not go on from a state.
pub(crate) enum Over {
    /// The state failed.
    Failed(Failure),
    /// The execution was ended while it waited.
    Ended,
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What a state gives, and the state that follows, if any.
type Left<'a> = (Option<&'a str>, Value);

/// Follows the states to the end.
pub(crate) fn run<'a>(
    step_functions: &'a Arc<StateMachine>,
    execution: &'a Arc<Execution>,
    machine: &'a Machine,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    // In a box: the children of a Map are run from within.
    Box::pin(async move {
        let run = Run {
            step_functions,
            execution,
        };
        let (status, failure) = match run.states(machine).await {
            Ok(()) => (Status::Succeeded, None),
            Err(Over::Failed(failure)) => (Status::Failed, Some(failure)),
            Err(Over::Ended) => return,
        };
        step_functions.end(execution, status, failure);
    })
}

/// A run of an execution.
pub(crate) struct Run<'a> {
    pub(crate) step_functions: &'a Arc<StateMachine>,
    pub(crate) execution: &'a Arc<Execution>,
}

impl Run<'_> {
    async fn states(&self, machine: &Machine) -> Result<(), Over> {
        let mut name = machine.start_at.as_str();
        let mut payload = self.execution.input.clone();
        loop {
            let state = &machine.states[name];
            let kind = state.kind();
            self.step(|history| history.entered(kind, &payload))?;
            let (next, output) = self.state(name, state, payload).await?;
            self.step(|history| history.exited(kind, &output))?;
            let Some(next) = next else { return Ok(()) };
            (name, payload) = (next, output);
        }
    }

    /// Writes to the history, which AWS does not let grow without end.
    fn step(&self, write: impl FnOnce(&mut History)) -> Result<(), Failure> {
        let mut outgrown = None;
        self.execution.record(|history| {
            write(history);
            outgrown = history.outgrown();
        });
        outgrown.map_or(Ok(()), Err)
    }

    async fn state<'s>(
        &self,
        name: &str,
        state: &'s State,
        input: Value,
    ) -> Result<Left<'s>, Over> {
        match state {
            State::Task(task) => match self.task(name, task, &input).await {
                Ok(result) => left(&task.step, task.result_path.as_ref(), input, result),
                Err(over) => caught(&task.catch, input, over),
            },
            State::Map(map) => match map_run::run(self, name, map, &input).await {
                Ok(outputs) => left(&map.step, map.result_path.as_ref(), input, outputs),
                Err(over) => caught(&map.catch, input, over),
            },
            State::Choice(choice) => Ok((Some(self.choose(choice, &input)?), input)),
            State::Wait(wait) => {
                self.wait(name, wait, &input).await?;
                Ok((next(&wait.step), input))
            }
            State::Pass(pass) => {
                let output = self.fill(pass.result.as_ref(), &input, None)?;
                Ok((next(&pass.step), output))
            }
            State::Succeed(_) => Ok((None, input)),
            State::Fail(fail) => Err(failed(fail, &input)),
        }
    }

    fn choose<'s>(&self, choice: &'s Choice, input: &Value) -> Result<&'s str, Failure> {
        let place = Place {
            input,
            context: &Value::Null,
        };
        for rule in &choice.choices {
            if rule.holds(place)? {
                return Ok(&rule.next);
            }
        }
        Ok(&choice.default)
    }

    async fn wait(&self, name: &str, wait: &Wait, input: &Value) -> Result<(), Over> {
        let seconds = match &wait.time {
            WaitTime::Seconds(seconds) => *seconds,
            WaitTime::SecondsPath(path) => {
                let place = Place {
                    input,
                    context: &Value::Null,
                };
                let seconds = path.find(place).and_then(Value::as_u64);
                let none = || Failure::runtime(format!("{path} is no number of seconds"));
                seconds.ok_or_else(none)?
            }
        };
        self.sleep(name, "waiting", Duration::from_secs(seconds))
            .await
    }

    async fn sleep(&self, name: &str, what: &'static str, time: Duration) -> Result<(), Over> {
        let clock = &self.step_functions.clock;
        let until = clock.now() + time;
        let woken = self.execution.park(clock, (name, what), Some(until), drop);
        match woken.await {
            Wake::Ended => Err(Over::Ended),
            Wake::Time | Wake::Answer(_) => Ok(()),
        }
    }

    /// Fills a template in; the input where there is none.
    pub(crate) fn fill(
        &self,
        template: Option<&Template>,
        input: &Value,
        token: Option<&str>,
    ) -> Result<Value, Failure> {
        let Some(template) = template else {
            return Ok(input.clone());
        };
        let mut context = json!({
            "Execution": {"Id": self.execution.arn, "Input": self.execution.input},
        });
        if let Some(token) = token {
            context["Task"] = json!({ "Token": token });
        }
        let context = &context;
        template.fill(Place { input, context })
    }

    /// Does a task, again where that is due.
    async fn task(&self, name: &str, task: &Task, input: &Value) -> Result<Value, Over> {
        let mut used = vec![0; task.retry.len()];
        loop {
            let failure = match self.attempt(name, task, input).await {
                Err(Over::Failed(failure)) => failure,
                done => return done,
            };
            let Some(chosen) = Retrier::choose(&task.retry, &used, &failure) else {
                return Err(failure.into());
            };
            let delay = task.retry[chosen].delay(used[chosen], self.share(name, &used));
            used[chosen] += 1;
            self.sleep(name, "waiting to try again", delay).await?;
            self.execution.record(|history| history.transitions += 1);
        }
    }

    /// A share from 0 to 1, by chance, but the same in every run.
    fn share(&self, name: &str, used: &[u32]) -> f64 {
        let mut hasher = DefaultHasher::new();
        (&self.execution.arn, name, used).hash(&mut hasher);
        (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
    }

    async fn attempt(&self, name: &str, task: &Task, input: &Value) -> Result<Value, Over> {
        let clock = &self.step_functions.clock;
        let until = task.timeout_seconds;
        let until = until.map(|seconds| clock.now() + Duration::from_secs(seconds));
        match &task.resource {
            Resource::Function(function) => {
                let payload = self.fill(task.parameters.as_ref(), input, None)?;
                let (function, machine) = (function.clone(), Arc::clone(self.step_functions));
                let called = self
                    .execution
                    .park(clock, (name, "running"), until, |waker| {
                        // A function runs on when its execution is ended.
                        clock.spawn(async move {
                            let answer = functions::call(&machine, &function, payload).await;
                            waker.wake(Wake::Answer(answer));
                        });
                    });
                self.over(called.await, "LambdaFunction", &["Scheduled", "Started"])
            }
            Resource::UpdateItemAndToken => {
                let executions = &self.step_functions.executions;
                let token = executions.token();
                let parameters = self.fill(task.parameters.as_ref(), input, Some(&token))?;
                let machine = Arc::clone(self.step_functions);
                let what = (name, "waiting for its token");
                let answered = self.execution.park(clock, what, until, |waker| {
                    executions.open(&token, waker.clone());
                    clock.spawn(async move {
                        let turn = machine.seats.turn().await;
                        let updated = functions::update_item(&machine.dynamo, parameters).await;
                        drop(turn);
                        if let Err(failure) = updated {
                            waker.wake(Wake::Answer(Err(failure)));
                        }
                    });
                });
                let woken = answered.await;
                executions.close(&token);
                if matches!(woken, Wake::Time) {
                    self.execution.record(|history| {
                        *history.ran_out.entry(name.to_owned()).or_default() += 1;
                    });
                }
                let began: &[&str] = match woken {
                    Wake::Answer(Err(_)) => &["Scheduled", "Started"],
                    _ => &["Scheduled", "Started", "Submitted"],
                };
                self.over(woken, "Task", began)
            }
        }
    }

    /// What a try comes to, with its events.
    fn over(&self, woken: Wake, kind: &str, began: &[&str]) -> Result<Value, Over> {
        let (end, result) = match woken {
            Wake::Answer(Ok(result)) => ("Succeeded", Ok(result)),
            Wake::Answer(Err(failure)) => ("Failed", Err(failure.into())),
            Wake::Time => ("TimedOut", Err(Failure::timeout().into())),
            Wake::Ended => return Err(Over::Ended),
        };
        self.execution.record(|history| {
            for event in began.iter().chain([&end]) {
                history.event(format!("{kind}{event}"));
            }
        });
        result
    }
}

fn next(step: &Step) -> Option<&str> {
    match step {
        Step::Next(name) => Some(name),
        Step::End => None,
    }
}

/// A state's output: its input with its result in it.
fn left<'s>(
    step: &'s Step,
    path: Option<&Path>,
    input: Value,
    result: Value,
) -> Result<Left<'s>, Over> {
    Ok((next(step), put(path, input, result)?))
}

/// Where a state's failure leads, with the failure put into its input.
fn caught(catchers: &[Catcher], input: Value, over: Over) -> Result<Left<'_>, Over> {
    let Over::Failed(failure) = over else {
        return Err(over);
    };
    let Some(catcher) = Catcher::choose(catchers, &failure) else {
        return Err(failure.into());
    };
    let output = put(catcher.result_path.as_ref(), input, failure.output())?;
    Ok((Some(&catcher.next), output))
}

fn put(path: Option<&Path>, input: Value, result: Value) -> Result<Value, Failure> {
    let Some(path) = path else { return Ok(input) };
    let in_the_way = || Failure::runtime(format!("nothing can be put at {path}"));
    path.put(input, result).ok_or_else(in_the_way)
}

fn failed(fail: &Fail, input: &Value) -> Over {
    let place = Place {
        input,
        context: &Value::Null,
    };
    let text = |path: &Path| {
        let text = path.find(place).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| Failure::runtime(format!("{path} is no text")))
    };
    match (text(&fail.error_path), text(&fail.cause_path)) {
        (Ok(error), Ok(cause)) => Failure { error, cause }.into(),
        (Err(failure), _) | (_, Err(failure)) => failure.into(),
    }
}
