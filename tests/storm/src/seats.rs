//! Who calls. Every call of a function sits in a seat, which has clients and a token of
//! its own: by these each call to AWS or GitHub is known for whose it is, counted, and
//! meets what the weather has for it.
//!
//! One call of a function runs at a time, and gives its turn up while it waits by the
//! clock or ends: in which order calls come to the world outside depends on the plan of a
//! storm, not on the machine's threads. What meets in the middle of a call is what stands
//! still there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use commons_domain::clock::{Clock, Sleep};
use commons_github::{Reading, Source};
use commons_runtime::Stage;
use github_simulator::{Call, FaultKind, Foreseen, Simulator, WebhookFaultKind};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::clock::{Busy, VirtualClock};
use crate::weather::{Invocation, Planted, Strike, StrikeKind, Weather};

/// No answer of GitHub's is waited for longer.
const GITHUB_DEADLINE: Duration = Duration::from_secs(10);

/// Makes what a function works with, over a seat.
pub(crate) type Furnish = Box<dyn Fn(&Arc<Seat>) -> Stage + Send + Sync>;

/// All seats.
pub struct Seats {
    clock: VirtualClock,
    weather: Arc<dyn Weather>,
    turn: Arc<Semaphore>,
    furnish: OnceLock<(Weak<Simulator>, Furnish)>,
    free: Mutex<Vec<Arc<Furnished>>>,
    by_token: Mutex<HashMap<String, Arc<Seat>>>,
    calls: Mutex<HashMap<(String, String, String), u32>>,
}

/// A seat and what it is furnished with.
struct Furnished {
    seat: Arc<Seat>,
    stage: Stage,
}

/// Where a call of a function sits.
pub struct Seat {
    clock: VirtualClock,
    weather: Arc<dyn Weather>,
    /// What GitHub knows who sits here by.
    token: Mutex<String>,
    turns: Arc<Semaphore>,
    turn: Mutex<Option<OwnedSemaphorePermit>>,
    /// Held by who waits for the turn: several waits of one call need it once.
    taking: tokio::sync::Mutex<()>,
    sitting: Mutex<Option<Sitting>>,
}

/// The call that sits there.
struct Sitting {
    invocation: Invocation,
    strike: Option<Strike>,
    calls: u32,
    told: Option<oneshot::Sender<Told>>,
    /// What a zombie runs with: its caller has gone with its own.
    busy: Option<Busy>,
}

/// What the state machine hears before the function is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has died.
    Died,
    /// It is taken for dead.
    Missed,
}

/// What becomes of a call to the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is made.
    Pass,
    /// It is never made; who makes it is being killed.
    DieBefore,
    /// It is made; then who made it is to be killed, by [`Seat::die`].
    DieAfter,
    /// It is made, and nobody hears the answer.
    AnswerLost,
    /// It is refused.
    Refused,
    /// It is refused by GitHub, which knows another token since.
    TokenDies,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seats {
    /// None yet.
    pub(crate) fn new(clock: VirtualClock, weather: Arc<dyn Weather>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            weather,
            turn: Arc::new(Semaphore::new(1)),
            furnish: OnceLock::new(),
            free: Mutex::default(),
            by_token: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// Says once who lets them in, and how seats are furnished.
    pub(crate) fn furnish(&self, github: &Arc<Simulator>, furnish: Furnish) {
        let furnished = self.furnish.set((Arc::downgrade(github), furnish));
        assert!(furnished.is_ok(), "seats are furnished in one way");
    }

    /// What goes wrong.
    pub(crate) fn weather(&self) -> &Arc<dyn Weather> {
        &self.weather
    }

    /// Waits until no call of a function runs, and keeps others from running.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        turn.expect("turns are never closed")
    }

    /// Sits a call of a function down; what it is told before its end.
    pub(crate) fn sit(
        self: &Arc<Self>,
        function: &str,
        version: &str,
        component: &str,
    ) -> (Seated, oneshot::Receiver<Told>) {
        let key = (
            function.to_owned(),
            version.to_owned(),
            component.to_owned(),
        );
        let nth = {
            let mut calls = locked(&self.calls);
            let nth = calls.entry(key.clone()).or_default();
            *nth += 1;
            *nth
        };
        let (function, version, component) = key;
        let invocation = Invocation {
            function,
            version,
            component,
            nth,
        };
        let free = locked(&self.free).pop();
        let furnished = free.unwrap_or_else(|| self.another());
        let (told, hears) = oneshot::channel();
        *locked(&furnished.seat.sitting) = Some(Sitting {
            strike: self.weather.strike(&invocation),
            invocation,
            calls: 0,
            told: Some(told),
            busy: None,
        });
        let seats = Arc::clone(self);
        (Seated { seats, furnished }, hears)
    }

    fn another(&self) -> Arc<Furnished> {
        let (_, furnish) = self.furnished();
        let seat = Arc::new(Seat {
            clock: self.clock.clone(),
            weather: Arc::clone(&self.weather),
            token: Mutex::default(),
            turns: Arc::clone(&self.turn),
            turn: Mutex::default(),
            taking: tokio::sync::Mutex::default(),
            sitting: Mutex::default(),
        });
        self.give_token(&seat);
        let stage = furnish(&seat);
        Arc::new(Furnished { seat, stage })
    }

    fn furnished(&self) -> &(Weak<Simulator>, Furnish) {
        self.furnish.get().expect("seats are furnished by now")
    }

    /// Gives a seat a token of its own; the one that it had is revoked.
    fn give_token(&self, seat: &Arc<Seat>) {
        let token = {
            let mut by_token = locked(&self.by_token);
            let token = format!("{}-{}", crate::TOKEN, by_token.len());
            by_token.insert(token.clone(), Arc::clone(seat));
            token
        };
        let before = std::mem::replace(&mut *locked(&seat.token), token.clone());
        if let Some(github) = self.furnished().0.upgrade() {
            github.add_token(&token);
            github.revoke_token(&before);
        }
    }
}

/// A call of a function in its seat; dropped when it is over, or was killed.
pub(crate) struct Seated {
    seats: Arc<Seats>,
    furnished: Arc<Furnished>,
}

impl Seated {
    /// The seat.
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.furnished.seat
    }

    /// What the function works with.
    pub(crate) fn stage(&self) -> &Stage {
        &self.furnished.stage
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let seat = self.seat();
        *locked(&seat.turn) = None;
        *locked(&seat.sitting) = None;
        locked(&self.seats.free).push(Arc::clone(&self.furnished));
    }
}

impl std::fmt::Debug for Seats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seats").finish_non_exhaustive()
    }
}

/// What the simulator asks.
impl github_simulator::Weather for Seats {
    fn call<'a>(&'a self, call: Call<'a>) -> Foreseen<'a> {
        Box::pin(async move {
            let seat = locked(&self.by_token).get(call.token).cloned()?;
            let what = format!("GitHub {} {}", call.method, call.path);
            let verdict = seat.meet(&what, Some(GITHUB_DEADLINE)).await;
            match verdict {
                Verdict::Pass => {}
                Verdict::DieBefore => return Some(FaultKind::Silence { carried_out: false }),
                Verdict::DieAfter => {
                    // Killed when the call has been carried out.
                    let dying = Arc::clone(&seat);
                    self.clock.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        dying.die();
                    });
                    return Some(FaultKind::Silence { carried_out: true });
                }
                Verdict::AnswerLost => return Some(FaultKind::LostAnswer),
                Verdict::Refused => return Some(FaultKind::Status(503, None)),
                Verdict::TokenDies => {
                    self.give_token(&seat);
                    return Some(FaultKind::Status(401, None));
                }
            }
            let fault = self
                .weather
                .github(self.clock.now(), call.method, call.path)?;
            self.weather.happened(&format!("{fault:?} at {what}"));
            Some(fault)
        })
    }

    fn webhook(&self, event: &str, payload: &Value) -> Option<WebhookFaultKind> {
        let fault = self.weather.webhook(event, payload)?;
        self.weather
            .happened(&format!("{fault:?}: webhook {event}"));
        Some(fault)
    }
}

impl Seat {
    /// Waits for the turn, unless it is there.
    pub(crate) async fn take_turn(&self) {
        let _one_at_a_time = self.taking.lock().await;
        if locked(&self.turn).is_none() {
            let mine = Arc::clone(&self.turns).acquire_owned().await;
            *locked(&self.turn) = Some(mine.expect("turns are never closed"));
        }
    }

    async fn rest(&self, time: Duration) {
        *locked(&self.turn) = None;
        self.clock.sleep(time).await;
        self.take_turn().await;
    }

    /// Whoever sits here is killed.
    pub(crate) fn die(&self) {
        self.tell(Told::Died);
    }

    fn tell(&self, what: Told) {
        let told = locked(&self.sitting).as_mut().and_then(|s| s.told.take());
        if let Some(told) = told {
            // An error means that nobody waits for it: a zombie dies unheard.
            let _ = told.send(what);
        }
    }

    /// A call to the world outside; `within`: the caller waits no longer for its answer.
    pub(crate) async fn meet(&self, what: &str, within: Option<Duration>) -> Verdict {
        let Some(kind) = self.struck(what, within.is_some()) else {
            return Verdict::Pass;
        };
        match kind {
            StrikeKind::DieBefore => {
                self.die();
                Verdict::DieBefore
            }
            StrikeKind::DieAfter => Verdict::DieAfter,
            StrikeKind::AnswerLost => Verdict::AnswerLost,
            StrikeKind::Refused(_) => Verdict::Refused,
            StrikeKind::TokenDies => Verdict::TokenDies,
            StrikeKind::Slow(seconds) => {
                let time = Duration::from_secs_f64(seconds);
                self.rest(within.map_or(time, |within| time.min(within)))
                    .await;
                match within {
                    Some(within) if time >= within => Verdict::AnswerLost,
                    _ => Verdict::Pass,
                }
            }
            StrikeKind::Zombie(seconds) => {
                if let Some(sitting) = locked(&self.sitting).as_mut() {
                    sitting.busy = Some(self.clock.busy());
                }
                self.tell(Told::Missed);
                self.rest(Duration::from_secs_f64(seconds)).await;
                Verdict::Pass
            }
        }
    }

    /// The bug that is planted into who sits here, for a request to AWS.
    pub(crate) fn planted(&self, what: &str, body: &str) -> Option<Planted> {
        let invocation = locked(&self.sitting).as_ref()?.invocation.clone();
        let planted = self.weather.planted(&invocation, what, body)?;
        self.weather
            .happened(&format!("a bug in {invocation}: {what}"));
        Some(planted)
    }

    /// Counts a call; what happens at it.
    fn struck(&self, what: &str, github: bool) -> Option<StrikeKind> {
        let mut sitting = locked(&self.sitting);
        let sitting = sitting.as_mut()?;
        sitting.calls += 1;
        let strike = sitting.strike.as_mut()?;
        if !self.weather.hits(strike, sitting.calls, what) {
            return None;
        }
        // A request to GitHub does not outlive its deadline: a zombie is made elsewhere.
        let elsewhere = match strike.kind {
            StrikeKind::Zombie(_) => github || is_of_several(what),
            StrikeKind::Slow(_) => is_of_several(what),
            StrikeKind::TokenDies => !github,
            _ => false,
        };
        if elsewhere {
            return None;
        }
        let kind = strike.kind;
        match &mut strike.kind {
            StrikeKind::Refused(left) if *left > 1 => *left -= 1,
            _ => sitting.strike = None,
        }
        let (invocation, call) = (&sitting.invocation, sitting.calls);
        self.weather
            .happened(&format!("{kind:?} at call {call} of {invocation}: {what}"));
        Some(kind)
    }
}

/// Whether a call is one of several that Publish has on their way at a time, between whose
/// beginnings it sleeps: what stood still there would sleep in a second place, and hold the
/// turn meanwhile.
fn is_of_several(what: &str) -> bool {
    let is_file = what.starts_with("S3 GET ") && !what.ends_with(".json");
    is_file || what.starts_with("GitHub POST /uploads/")
}

/// The token of who sits there.
#[derive(Clone)]
pub(crate) struct SeatToken(pub(crate) Arc<Seat>);

impl std::fmt::Debug for SeatToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeatToken")
    }
}

impl Source for SeatToken {
    fn read(&self) -> Reading<'_> {
        let token = locked(&self.0.token).clone();
        Box::pin(async { Ok(token.into()) })
    }
}

/// The clock of who sits there: a wait gives the turn up.
#[derive(Clone)]
pub(crate) struct SeatClock(pub(crate) Arc<Seat>);

impl std::fmt::Debug for SeatClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.clock.fmt(f)
    }
}

impl Clock for SeatClock {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(self.0.rest(duration))
    }
}
