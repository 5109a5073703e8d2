//! Virtual time. It stands still while anything runs, and jumps to what is due next
//! when nothing does.
//!
//! Whatever runs holds a [`Busy`]. Who waits by the clock or for another gives it back
//! while it waits; who wakes it hands it a new one, so that time never jumps between
//! a cause and its effect. A stage must sleep in one place at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commons_domain::clock::{Clock, Sleep};
use github_simulator::Work;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

/// Who is due within this is woken together, as by a real timer's granularity.
const TOGETHER: Duration = Duration::from_millis(1);
/// What every look at the clock adds: no two show the same, so that records that are
/// named after their time are told apart.
const LOOK: Duration = Duration::from_nanos(1);

/// A clock that jumps. Cheap to clone.
#[derive(Clone)]
pub struct VirtualClock(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    quiet: Notify,
}

struct State {
    now: Timestamp,
    busy: usize,
    serial: u64,
    alarms: BTreeMap<Alarm, Ring>,
    /// Time has ended: nothing is counted any more.
    over: bool,
}

/// What is done at an instant, by somebody who runs from then on.
type Ring = Box<dyn FnOnce(Busy) + Send>;

/// Something that is due: when, and in which order it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm(Timestamp, u64);

/// Something runs; dropped when it is done.
pub struct Busy {
    clock: VirtualClock,
    /// Whether the drop counts.
    held: bool,
}

impl VirtualClock {
    /// Shows this time, and nothing runs.
    pub fn new(now: Timestamp) -> Self {
        let state = State {
            now,
            busy: 0,
            serial: 0,
            alarms: BTreeMap::new(),
            over: false,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            quiet: Notify::new(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something begins to run.
    pub fn busy(&self) -> Busy {
        self.state().busy += 1;
        self.counted()
    }

    fn counted(&self) -> Busy {
        Busy {
            clock: self.clone(),
            held: true,
        }
    }

    fn rest(&self) {
        let mut state = self.state();
        if state.over {
            return;
        }
        assert!(state.busy > 0, "whoever rests was counted as busy");
        state.busy -= 1;
        if state.busy == 0 {
            self.0.quiet.notify_one();
        }
    }

    /// Runs something in the background.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let busy = self.busy();
        tokio::spawn(async move {
            work.await;
            drop(busy);
        });
    }

    /// Does something when an instant has come.
    pub fn ring_at(&self, instant: Timestamp, ring: impl FnOnce(Busy) + Send + 'static) -> Alarm {
        let mut state = self.state();
        state.serial += 1;
        let alarm = Alarm(instant, state.serial);
        state.alarms.insert(alarm, Box::new(ring));
        alarm
    }

    /// Forgets an alarm that has not rung.
    pub fn cancel(&self, alarm: Alarm) {
        self.state().alarms.remove(&alarm);
    }

    /// Ends time: what is due never comes, and what still runs ends in any order.
    pub fn end(&self) {
        let alarms = {
            let mut state = self.state();
            state.over = true;
            std::mem::take(&mut state.alarms)
        };
        // Not while the state is held: they hold what looks at it.
        drop(alarms);
    }

    /// A place to wait, and what wakes who waits there.
    pub fn parking<T>(&self) -> (Waker<T>, Parked<T>) {
        let (sender, receiver) = oneshot::channel();
        let waker = Waker {
            clock: self.clone(),
            sender: Arc::new(Mutex::new(Some(sender))),
        };
        let parked = Parked {
            clock: self.clone(),
            receiver,
        };
        (waker, parked)
    }

    /// Ends when nothing runs.
    pub async fn quiet(&self) {
        loop {
            let quiet = self.0.quiet.notified();
            if self.state().busy == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// Jumps to what is due next, and starts it; false where nothing is. Call it when
    /// nothing runs.
    pub fn jump(&self) -> bool {
        let mut due = Vec::new();
        {
            let mut state = self.state();
            let Some(first) = state.alarms.keys().next() else {
                return false;
            };
            let until = first.0 + TOGETHER;
            while let Some(entry) = state.alarms.first_entry()
                && entry.key().0 <= until
            {
                let (Alarm(instant, _), ring) = entry.remove_entry();
                state.now = state.now.max(instant);
                state.busy += 1;
                due.push(ring);
            }
        }
        for ring in due {
            ring(self.counted());
        }
        true
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.held {
            self.clock.rest();
        }
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock")
            .field(&self.state().now)
            .finish()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let mut state = self.state();
        state.now += LOOK;
        state.now
    }

    fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Box::pin(async move {
            let (waker, parked) = self.parking();
            self.ring_at(self.now() + duration, move |busy| {
                waker.wake_as(busy, ());
            });
            parked.wait().await;
        })
    }
}

impl github_simulator::Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Clock::now(self)
    }

    fn at(&self, instant: Timestamp, work: Work) {
        if instant <= self.state().now {
            return self.spawn(work);
        }
        self.ring_at(instant, |busy| {
            tokio::spawn(async move {
                work.await;
                drop(busy);
            });
        });
    }
}

/// Wakes who waits, once. Cheap to clone.
pub struct Waker<T> {
    clock: VirtualClock,
    sender: Arc<Mutex<Option<Sender<T>>>>,
}

/// What wakes is handed over with what is run with from then on.
type Sender<T> = oneshot::Sender<(T, Busy)>;

impl<T> Clone for Waker<T> {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            sender: Arc::clone(&self.sender),
        }
    }
}

impl<T> Waker<T> {
    /// False where it was woken before, or waits no more.
    pub fn wake(&self, value: T) -> bool {
        self.wake_as(self.clock.busy(), value)
    }

    /// The same, by an alarm.
    pub fn wake_as(&self, busy: Busy, value: T) -> bool {
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        sender.is_some_and(|sender| sender.send((value, busy)).is_ok())
    }
}

/// A place to wait.
pub struct Parked<T> {
    clock: VirtualClock,
    receiver: oneshot::Receiver<(T, Busy)>,
}

/// While it is there, who holds a [`Busy`] is not counted.
struct Asleep<'a>(&'a VirtualClock);

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.state().busy += 1;
    }
}

impl<T> Parked<T> {
    /// Waits to be woken; for ever where nobody is left who could.
    pub async fn wait(self) -> T {
        self.clock.rest();
        let asleep = Asleep(&self.clock);
        match self.receiver.await {
            Ok((value, mut busy)) => {
                // What it was woken with is what it runs with again.
                busy.held = false;
                std::mem::forget(asleep);
                value
            }
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> VirtualClock {
        VirtualClock::new("2026-01-01T00:00:00Z".parse().unwrap())
    }

    /// Runs until nothing is due any more; how often time jumped.
    async fn run(clock: &VirtualClock) -> usize {
        let mut jumps = 0;
        loop {
            clock.quiet().await;
            if !clock.jump() {
                return jumps;
            }
            jumps += 1;
        }
    }

    fn second(clock: &VirtualClock) -> i64 {
        Clock::now(clock).as_second() % 86_400
    }

    #[tokio::test]
    async fn time_jumps_from_sleep_to_sleep() {
        let clock = clock();
        let (one, two) = (clock.clone(), clock.clone());
        clock.spawn(async move {
            one.sleep(Duration::from_secs(3600)).await;
            one.sleep(Duration::from_secs(10)).await;
        });
        clock.spawn(async move { two.sleep(Duration::from_secs(3600)).await });
        assert_eq!(run(&clock).await, 2);
        assert_eq!(second(&clock), 3610);
    }

    #[tokio::test]
    async fn time_stands_still_while_anything_runs() {
        let clock = clock();
        let (worker, sleeper) = (clock.clone(), clock.clone());
        clock.spawn(async move { sleeper.sleep(Duration::from_secs(60)).await });
        clock.spawn(async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert_eq!(second(&worker), 0);
        });
        run(&clock).await;
        assert_eq!(second(&clock), 60);
    }

    #[tokio::test]
    async fn who_is_woken_runs_before_time_jumps() {
        let clock = clock();
        let (waker, parked) = clock.parking();
        let (woken, other) = (clock.clone(), clock.clone());
        clock.spawn(async move {
            assert_eq!(parked.wait().await, "news");
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(second(&woken), 5);
        });
        clock.spawn(async move { other.sleep(Duration::from_secs(100)).await });
        let alarm = waker.clone();
        let at = Clock::now(&clock) + Duration::from_secs(5);
        clock.ring_at(at, move |busy| assert!(alarm.wake_as(busy, "news")));
        run(&clock).await;
        assert!(!waker.wake("old news"));
        assert_eq!(second(&clock), 100);
    }

    #[tokio::test]
    async fn an_alarm_that_is_cancelled_moves_nothing() {
        let clock = clock();
        let at = Clock::now(&clock) + Duration::from_secs(5);
        let alarm = clock.ring_at(at, |_| panic!("it rang"));
        clock.cancel(alarm);
        assert_eq!(run(&clock).await, 0);
    }

    #[tokio::test]
    async fn a_sleep_that_is_given_up_counts_as_running_again() {
        let clock = clock();
        let busy = clock.busy();
        {
            let mut sleep = clock.sleep(Duration::from_secs(5));
            let once = tokio::time::timeout(Duration::from_millis(5), &mut sleep).await;
            assert!(once.is_err());
        }
        assert_eq!(clock.state().busy, 1);
        drop(busy);
        run(&clock).await;
    }

    #[test]
    fn no_two_looks_show_the_same() {
        let clock = clock();
        assert!(Clock::now(&clock) < Clock::now(&clock));
    }
}
