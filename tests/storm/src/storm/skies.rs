//! The weather of a plan: every fault is decided by dice of its own, thrown over the
//! plan's seed and the fault's name, so that it does not matter what else goes wrong.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use fastrand::Rng;
use github_simulator::{Corrupt, FaultKind, Script, Simulator, WebhookFaultKind};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::odds::{self, dice, draw};
use super::plan::{OutageKind, Plan};
use crate::weather::{Invocation, Strike, StrikeKind, Weather};

/// A function seldom makes more calls.
const CALLS: u32 = 14;
/// No webhook and no run is later.
const LATE: f64 = 1500.0;
/// Where runs show no nonce none is later: the only run of our user that nobody has
/// claimed is then taken for the build's, whose ever it is.
const GIVEN_UP: f64 = 540.0;

/// As many files as a list of a state's size has.
const VAST: u32 = 70;

/// What goes wrong in a plan.
#[derive(Debug)]
pub struct Skies {
    plan: Arc<Plan>,
    beginning: Timestamp,
    /// A release's seconds per second of the clock.
    speed: f64,
    github: OnceLock<Weak<Simulator>>,
    counts: Mutex<HashMap<String, u32>>,
    /// The names of what was drawn.
    drawn: Mutex<BTreeSet<String>>,
    happened: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Skies {
    /// Of a plan whose time begins there.
    pub fn new(plan: Arc<Plan>, beginning: Timestamp) -> Self {
        Self::faster(plan, beginning, 1.0)
    }

    /// The same by a clock of which a second is so many of a release's.
    pub fn faster(plan: Arc<Plan>, beginning: Timestamp, speed: f64) -> Self {
        Self {
            plan,
            beginning,
            speed,
            github: OnceLock::new(),
            counts: Mutex::default(),
            drawn: Mutex::default(),
            happened: Mutex::default(),
        }
    }

    /// Over this simulator: what its runs do is decided here.
    pub fn over(&self, github: &Arc<Simulator>) {
        // A second time is the same simulator.
        let _ = self.github.set(Arc::downgrade(github));
    }

    /// Every fault that happened, in order.
    pub fn log(&self) -> Vec<String> {
        locked(&self.happened).clone()
    }

    /// The names of all faults that were drawn: those that a smaller plan may leave out.
    pub fn drawn(&self) -> BTreeSet<String> {
        locked(&self.drawn).clone()
    }

    /// Dice over a fault's name.
    pub fn dice(&self, name: &str) -> Rng {
        dice(self.plan.seed, name)
    }

    /// Whether a fault that was drawn may happen.
    pub fn may(&self, name: &str) -> bool {
        let may = self.plan.only.as_ref().is_none_or(|o| o.contains(name));
        if may {
            locked(&self.drawn).insert(name.to_owned());
        }
        may
    }

    /// The how-manieth of its kind something is, from 1.
    fn count(&self, what: &str) -> u32 {
        let mut counts = locked(&self.counts);
        let count = counts.entry(what.to_owned()).or_default();
        *count += 1;
        *count
    }

    fn outage(&self, now: Timestamp, method: &str) -> Option<FaultKind> {
        let at = now.duration_since(self.beginning).as_secs_f64() * self.speed;
        let (index, outage) = self.plan.outages.iter().enumerate().find(|(_, outage)| {
            let within = (outage.from..outage.from + outage.lasts).contains(&at);
            within && (!outage.writes || method != "GET")
        })?;
        if !self.may(&format!("outage {index}")) {
            return None;
        }
        Some(match outage.kind {
            OutageKind::Away(status) => FaultKind::Status(status, None),
            OutageKind::Secondary(wait) => {
                let real = |wait: u64| (wait as f64 / self.speed).ceil() as u64;
                FaultKind::SecondaryLimit(wait.map(real))
            }
            OutageKind::TooMany(wait) => {
                let wait = ((wait as f64 / self.speed).ceil()) as u64;
                let wait = ("retry-after".to_owned(), wait.to_string());
                FaultKind::Status(429, Some(vec![wait]))
            }
            OutageKind::Primary => {
                let end = (outage.from + outage.lasts) / self.speed;
                let reset = self.beginning + SignedDuration::from_secs(end as i64 + 1);
                let told = [
                    ("x-ratelimit-remaining", "0".to_owned()),
                    ("x-ratelimit-reset", reset.as_second().to_string()),
                ];
                let told = told.map(|(name, value)| (name.to_owned(), value));
                FaultKind::Status(403, Some(told.into()))
            }
        })
    }

    /// What becomes of a run: its script is changed before it is dispatched.
    fn run(&self, repository: &str) -> Option<FaultKind> {
        let nth = self.count(&format!("run of {repository}"));
        let name = format!("run {nth} of {repository}");
        let github = self.github.get().and_then(Weak::upgrade)?;
        let plain = self.plan.repositories();
        let component = self.plan.component_in(repository)?;
        let latest = if component.shows_nonce {
            LATE
        } else {
            GIVEN_UP
        };
        let mut script = plain.into_iter().find(|r| r.name == repository)?.script;
        let mut dice = self.dice(&name);
        // No two runs take the same time.
        script.run_seconds *= 0.7 + 0.6 * dice.f64();
        let deferred = match self.may_fate(&name, &mut dice) {
            Some(fate) => {
                self.happened(&format!("{}: {name}", fate.what));
                fated(fate, &mut script, latest, &mut dice)
            }
            None => None,
        };
        github.script(repository, script);
        deferred
    }

    fn may_fate(&self, name: &str, dice: &mut Rng) -> Option<odds::Odds> {
        let fate = FATES[draw(dice, &FATES)?];
        self.may(name).then_some(fate)
    }

    fn upload(&self, path: &str) -> Option<FaultKind> {
        let name = format!("upload {} to {path}", self.count(path));
        let mut dice = self.dice(&name);
        let all = [
            odds::UPLOAD_STARTER,
            odds::UPLOAD_LATE,
            odds::UPLOAD_RENAMED,
        ];
        let which = draw(&mut dice, &all)?;
        self.may(&name).then(|| match which {
            0 => FaultKind::StarterAsset,
            1 => FaultKind::Deferred(502, Some(dice.f64() * 30.0)),
            _ => FaultKind::RenamedAsset,
        })
    }

    /// The draft is made, or changed, and published.
    fn release(&self, method: &str, path: &str) -> Option<FaultKind> {
        let what = format!("write {method} {path}");
        let name = format!("{what} ({})", self.count(&what));
        let done = odds::chance(&mut self.dice(&name), odds::DONE_AS_502) && self.may(&name);
        done.then_some(FaultKind::Deferred(502, Some(0.0)))
    }

    fn call(&self, method: &str, path: &str) -> Option<FaultKind> {
        let what = format!("{method} {path}");
        let name = format!("{what} ({})", self.count(&what));
        let mut dice = self.dice(&name);
        let which = draw(&mut dice, &[odds::CALL_FAILS, odds::CALL_LIMITED])?;
        self.may(&name).then(|| match which {
            0 => FaultKind::Status(dice.choice([500, 502, 503]).unwrap_or(503), None),
            _ if dice.bool() => FaultKind::SecondaryLimit(dice.bool().then(|| dice.u64(1..90))),
            _ => {
                let wait = ("retry-after".to_owned(), dice.u64(1..90).to_string());
                FaultKind::Status(429, Some(vec![wait]))
            }
        })
    }
}

const FATES: [odds::Odds; 11] = [
    odds::RUN_FAILS_ONCE,
    odds::RUN_NEVER,
    odds::RUN_LATE,
    odds::RUN_EXPIRED,
    odds::RUN_STUBBORN,
    odds::RUN_FAILS,
    odds::RUN_CANCELLED,
    odds::RUN_ODD,
    odds::RUN_HOSTILE,
    odds::RUN_CORRUPT,
    odds::RUN_VAST,
];

/// Writes a fate into a script; what happens to the dispatch itself.
fn fated(fate: odds::Odds, script: &mut Script, latest: f64, dice: &mut Rng) -> Option<FaultKind> {
    let conclusions = |of: &[&str]| of.iter().map(|c| (*c).to_owned()).collect();
    let of = |choice: &[&str], dice: &mut Rng| choice[dice.usize(0..choice.len())].to_owned();
    match fate {
        odds::RUN_FAILS_ONCE => {
            let first = of(&["failure", "timed_out"], dice);
            script.conclusions = vec![first, "success".into()];
            // A job of several had succeeded.
            script.failed_artifacts = script.artifacts.iter().take(1).cloned().collect();
        }
        odds::RUN_NEVER => return Some(FaultKind::Deferred(204, None)),
        odds::RUN_LATE => {
            return Some(FaultKind::Deferred(204, Some(dice.f64() * latest)));
        }
        odds::RUN_EXPIRED => {
            script.artifacts.iter_mut().for_each(|a| a.expired = true);
        }
        odds::RUN_STUBBORN => script.ignores_cancel = true,
        odds::RUN_FAILS => script.conclusions = conclusions(&["failure"]),
        odds::RUN_CANCELLED => script.conclusions = conclusions(&["cancelled"]),
        odds::RUN_ODD => {
            let odd = of(&["startup_failure", "neutral", "skipped"], dice);
            script.conclusions = vec![odd];
        }
        odds::RUN_HOSTILE => {
            let path = of(
                &[
                    "../../hostile",
                    "/etc/hostile",
                    "a/../../hostile",
                    "a\\..\\..\\hostile",
                ],
                dice,
            );
            for artifact in &mut script.artifacts {
                artifact.files.push((path.clone(), b"HOSTILE".to_vec()));
            }
        }
        odds::RUN_VAST => {
            let deep = format!("{}/", "deep".repeat(60)).repeat(15);
            // One is enough.
            if let Some(artifact) = script.artifacts.first_mut() {
                for n in 0..VAST {
                    let file = format!("{n}-of-{}", artifact.name);
                    let built = format!("what is built as {file}").into_bytes();
                    artifact.files.push((format!("{deep}{file}"), built));
                }
            }
        }
        _ => {
            let corrupt = [Corrupt::WrongDigest, Corrupt::Truncated, Corrupt::Inside];
            let corrupt = dice.choice(corrupt);
            script
                .artifacts
                .iter_mut()
                .for_each(|a| a.corrupt = corrupt);
        }
    }
    None
}

impl Weather for Skies {
    fn strike(&self, invocation: &Invocation) -> Option<Strike> {
        let name = format!("strike at {invocation}");
        let mut dice = self.dice(&name);
        let all = [
            odds::KILLED_BEFORE,
            odds::KILLED_AFTER,
            odds::ANSWER_LOST,
            odds::REFUSED,
            odds::SLOW,
            odds::ZOMBIE,
            odds::TOKEN_DIES,
        ];
        let which = draw(&mut dice, &all)?;
        let kind = match which {
            0 => StrikeKind::DieBefore,
            1 => StrikeKind::DieAfter,
            2 => StrikeKind::AnswerLost,
            3 => StrikeKind::Refused(dice.u32(1..=6)),
            4 => StrikeKind::Slow(dice.f64().powi(2) * 60.0),
            6 => StrikeKind::TokenDies,
            // Nobody takes the door for dead while GitHub waits for it.
            _ if invocation.function.starts_with("webhook") => StrikeKind::DieAfter,
            _ => StrikeKind::Zombie(900.0_f64.powf(dice.f64())),
        };
        let call = dice.u32(1..=CALLS);
        self.may(&name).then_some(Strike { call, kind })
    }

    fn github(&self, now: Timestamp, method: &str, path: &str) -> Option<FaultKind> {
        if let Some(outage) = self.outage(now, method) {
            return Some(outage);
        }
        if let Some(fault) = self.call(method, path) {
            return Some(fault);
        }
        let of_rest = path.strip_prefix("/uploads").unwrap_or(path);
        let mut words = of_rest
            .strip_prefix("/repos/")
            .unwrap_or_default()
            .split('/');
        let repository = [words.next(), words.next()].map(Option::unwrap_or_default);
        match method {
            "POST" if path.ends_with("/dispatches") => self.run(&repository.join("/")),
            "POST" if path.ends_with("/assets") => self.upload(path),
            "POST" | "PATCH" if path.contains("/releases") => self.release(method, path),
            _ => None,
        }
    }

    fn webhook(&self, event: &str, payload: &Value) -> Option<WebhookFaultKind> {
        let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
        let repository = text("/repository/full_name").unwrap_or_default();
        let untold = format!("webhooks of {repository}");
        let is_untold = odds::chance(&mut self.dice(&untold), odds::UNTOLD);
        if event == "workflow_run" && is_untold && self.may(&untold) {
            return Some(WebhookFaultKind::Lost);
        }
        let what = format!(
            "webhook {event} {} of {repository}",
            text("/action").unwrap_or_default(),
        );
        let name = format!("{what} ({})", self.count(&what));
        let mut dice = self.dice(&name);
        let all = [odds::HOOK_LOST, odds::HOOK_DOUBLED, odds::HOOK_LATE];
        let which = draw(&mut dice, &all)?;
        self.may(&name).then(|| match which {
            0 => WebhookFaultKind::Lost,
            1 => WebhookFaultKind::Doubled,
            _ => WebhookFaultKind::Late(dice.f64().powi(3) * LATE),
        })
    }

    fn event_is_lost(&self, execution: &str) -> bool {
        let name = format!("event of {execution}");
        odds::chance(&mut self.dice(&name), odds::EVENT_LOST) && self.may(&name)
    }

    fn happened(&self, what: &str) {
        locked(&self.happened).push(what.to_owned());
    }
}
