//! One way into a stage, and what becomes of the world when a call of it is disturbed.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use commons_runtime::StageError;
use serde_json::json;

use super::{Call, Disturbance, Next, Place, Step, View, execute, tap};

/// How late an answer is at least.
const LATE: Duration = Duration::from_secs(30);
/// A stage that was held back is over by then.
const ZOMBIE: Duration = Duration::from_secs(60);

/// What happens while an answer is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meanwhile {
    /// A new execution takes the release over, and carries it to its end, which is the
    /// same whenever it comes.
    Release,
    /// A new execution takes the release over, and carries it to its end. What the stage
    /// had ended by then starts afresh, so that the end depends on when it comes.
    Afresh,
    /// A new execution plans the release. Its builds' runs go on.
    Plan,
    /// The same is asked for once more.
    Again,
}

/// One way into a stage.
pub struct Scenario {
    /// What it is, in a few words.
    pub name: &'static str,
    /// The world just before the stage is called, and the call.
    pub before: fn() -> Before,
    /// What happens while an answer is late.
    pub meanwhile: Meanwhile,
}

/// A world just before a stage is called, and the call.
pub type Before = Pin<Box<dyn Future<Output = (Place, Step)>>>;

/// What one scenario is without a disturbance.
pub struct Undisturbed {
    /// The calls that the stage makes.
    pub calls: Vec<Call>,
    /// The world at the end.
    pub end: View,
    /// The world at the end where another owner took the release over before the stage
    /// was called.
    pub taken_over: View,
}

impl Scenario {
    /// Runs it without a disturbance.
    ///
    /// # Panics
    /// If the stage does not come to its end, or a call passed by the tap.
    pub async fn undisturbed(&self) -> Undisturbed {
        let (place, step) = (self.before)().await;
        let earlier = place.world.github.requests().len();
        let answer = step.clone().once(place.through.clone()).await;
        place.tap.quiet().await;
        let calls = place.tap.calls();
        let received = place.world.github.requests().split_off(earlier);
        let received = received
            .iter()
            .map(|r| tap::at_github(&r.method, &r.path, Some(&r.query)));
        let tapped = calls.iter().map(|call| call.what.clone());
        assert_eq!(
            sorted(received),
            sorted(tapped.filter(|what| what.starts_with("GitHub "))),
            "{}: what GitHub received came through the tap",
            self.name
        );
        let on = step.on_from(answer, &place.world.stage, &place.clock);
        on.await
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let end = View::of(&place).await;

        let (place, step) = (self.before)().await;
        self.meanwhile(&place, &step).await;
        let taken_over = View::of(&place).await;
        Undisturbed {
            calls,
            end,
            taken_over,
        }
    }

    async fn meanwhile(&self, place: &Place, step: &Step) {
        let taker = place.world.execution("taker");
        let version = json!({"version": place.world.key().version().as_str()});
        let (stage, clock) = (&place.world.stage, &place.clock);
        match self.meanwhile {
            Meanwhile::Release | Meanwhile::Afresh => execute(&taker, &version, stage, clock).await,
            Meanwhile::Plan => {
                let plan = Step::Plan {
                    execution: taker,
                    input: version,
                };
                plan.to_the_end(stage, clock).await.expect("a plan");
            }
            Meanwhile::Again => {
                let again = step.clone().to_the_end(stage, clock).await;
                again.expect("the same once more");
            }
        }
    }

    /// Disturbs one call, and says how the world differs in the end.
    pub(crate) async fn case(
        &self,
        undisturbed: &Undisturbed,
        call: Call,
        disturbance: Disturbance,
    ) -> Result<(), String> {
        let (place, step) = (self.before)().await;
        let (stage, clock) = (&place.world.stage, &place.clock);
        // The intent was written, and the call that it announces was never made.
        let lost = disturbance == Disturbance::AnswerLost;
        let one_more = matches!(step, Step::Dispatch(_)) && !lost;
        place.tap.arm(call, disturbance);
        let disturbed = step.clone().once(place.through.clone());
        let expected = match disturbance {
            Disturbance::AnswerLate => {
                self.late(&place, &step, disturbed).await?;
                if [Meanwhile::Afresh, Meanwhile::Plan].contains(&self.meanwhile) {
                    return Ok(());
                }
                &undisturbed.taken_over
            }
            Disturbance::DieBefore | Disturbance::DieAfter => {
                tokio::select! {
                    _ = disturbed => return Err("it was never made".into()),
                    () = place.tap.struck() => {}
                }
                place.tap.quiet().await;
                let again = step.to_the_end(stage, clock).await;
                again.map_err(|error| format!("the next call ended with {error}"))?;
                &undisturbed.end
            }
            Disturbance::AnswerLost => {
                let answer = disturbed.await;
                if !place.tap.has_struck() {
                    return Err("it was never made".into());
                }
                let on = step.on_from(answer, stage, clock);
                on.await.map_err(|error| format!("it ended with {error}"))?;
                &undisturbed.end
            }
        };
        let seen = View::of(&place).await;
        let mut expected = expected.clone();
        if disturbance == Disturbance::AnswerLate {
            // What was left to build when the release was taken over.
            expected.plan = seen.plan.clone();
        }
        same(&expected, &seen, one_more)
    }

    /// Holds an answer back while something else happens; what the stage does then must
    /// change nothing any more.
    async fn late(
        &self,
        place: &Place,
        step: &Step,
        late: impl Future<Output = Result<Next, StageError>>,
    ) -> Result<(), String> {
        let taken_over = async {
            place.tap.struck().await;
            place.clock.advance(LATE);
            self.meanwhile(place, step).await;
            let before = View::of(place).await;
            place.tap.release();
            before
        };
        let both = async { tokio::join!(late, taken_over) };
        let both = tokio::time::timeout(ZOMBIE, both).await;
        let (ended, before) = both.map_err(|_| "it was never made, or comes to no end")?;
        place.tap.quiet().await;
        same(&before, &View::of(place).await, false).map_err(|found| {
            let ended = ended.map_or_else(|error| error.to_string(), |_| "well".into());
            format!("the late stage, which ended {ended}, changed {found}")
        })
    }
}

fn sorted(calls: impl Iterator<Item = String>) -> Vec<String> {
    let mut calls: Vec<String> = calls.collect();
    calls.sort();
    calls
}

/// Whether a world is as it should be; where it may be, one attempt more is counted.
fn same(expected: &View, seen: &View, one_more: bool) -> Result<(), String> {
    let mut found = expected.differences(seen);
    for (build, attempts) in &expected.attempts {
        let counted = seen.attempts.get(build);
        let right = counted.is_some_and(|counted| {
            attempts == counted || one_more && attempts.or_one_given_up(*counted)
        });
        if !right {
            found.push(format!("{build} counted {attempts:?}, and now {counted:?}"));
        }
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("; "))
    }
}
