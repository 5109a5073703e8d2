//! With which odds things go wrong: one table, which `storm --odds` prints.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use fastrand::Rng;

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Odds {
    /// What.
    pub what: &'static str,
    /// To each of what.
    pub each: &'static str,
    /// How often.
    pub percent: f64,
}

macro_rules! odds {
    ($($name:ident = $percent:literal % $each:literal: $what:literal;)*) => {
        $(#[doc = $what] pub const $name: Odds = Odds { what: $what, each: $each, percent: $percent };)*
        /// All of them.
        pub const ALL: &[Odds] = &[$($name),*];
    };
}

odds! {
    KILLED_BEFORE = 3.0 % "call of a function": "killed before one of its calls to AWS or GitHub";
    KILLED_AFTER = 4.0 % "call of a function": "killed after such a call, before its answer";
    ANSWER_LOST = 2.0 % "call of a function": "such a call carried out, its answer lost";
    REFUSED = 2.0 % "call of a function": "one to six such calls in a row answered 5xx";
    SLOW = 2.0 % "call of a function": "stands still before such a call, for up to a minute";
    ZOMBIE = 3.0 % "call of a function": "taken for dead, goes on beside its retry within 15 minutes";
    TOKEN_DIES = 1.0 % "call of a function": "its token is revoked at such a call to GitHub, there is another";
    EVENT_LOST = 10.0 % "end of an execution": "its event is lost; the sweeper finds it";
    HOOK_LOST = 10.0 % "webhook": "lost";
    HOOK_DOUBLED = 6.0 % "webhook": "delivered twice";
    HOOK_LATE = 10.0 % "webhook": "delivered up to 25 minutes late, and so out of order";
    CALL_FAILS = 0.5 % "call to GitHub": "answered 500, 502 or 503";
    CALL_LIMITED = 0.2 % "call to GitHub": "answered 403 or 429 as a secondary limit";
    OUTAGE = 30.0 % "release": "GitHub is away or limits, for up to 12 minutes";
    DONE_AS_502 = 2.0 % "write of a release": "carried out, and answered 502";
    UPLOAD_STARTER = 2.0 % "upload": "answered 502, leaves a starter";
    UPLOAD_LATE = 1.0 % "upload": "answered 502, and carried out later";
    UPLOAD_RENAMED = 1.0 % "upload": "the asset gets another name";
    RUN_FAILS_ONCE = 6.0 % "run": "fails or times out, and succeeds when it is run again";
    RUN_NEVER = 3.0 % "run": "its dispatch is accepted, and nothing runs";
    RUN_LATE = 3.0 % "run": "appears up to 25 minutes late";
    RUN_EXPIRED = 1.0 % "run": "its artifacts have expired when they are collected";
    RUN_STUBBORN = 2.0 % "run": "does not end when it is cancelled";
    RUN_FAILS = 0.5 % "run": "fails every time";
    RUN_CANCELLED = 0.3 % "run": "a person cancels it";
    RUN_ODD = 0.2 % "run": "ends as startup_failure, neutral or skipped";
    RUN_HOSTILE = 0.4 % "run": "uploads an archive that leads out of its folder";
    RUN_CORRUPT = 0.4 % "run": "its archive is cut short, changed or has another digest";
    RUN_VAST = 0.3 % "run": "uploads 70 files so deep in folders that their list outgrows a state";
    LONG = 1.0 % "component": "its runs take 2 to 12 hours";
    UNTOLD = 3.0 % "repository": "no webhook tells of its runs";
    INDEX_STANDS = 25.0 % "repository": "from some time on filtered lists of its runs are stale";
    IMMUTABLE = 20.0 % "plan": "what is published can never be changed";
    STRANGER = 30.0 % "build": "a stranger dispatches the same event to the repository";
    NAMESAKE = 10.0 % "stranger": "has our own token's user";
    MOVED = 2.0 % "build": "the repository's branch moves";
    ABORTED = 12.0 % "release": "a person stops its execution";
    RESUMED = 75.0 % "release that did not arrive": "started again within 15 minutes";
    BY_NAME = 10.0 % "release started again": "with a component asked for by name";
    SECOND = 15.0 % "release": "a second execution is started while it runs";
    BY_TAG = 60.0 % "release": "started by a tag's webhook";
    DRAFT = 5.0 % "release": "stops at its draft";
}

/// Dice for one question: the same for a seed and a question in every run.
pub fn dice(seed: u64, question: &str) -> Rng {
    let mut hasher = DefaultHasher::new();
    (seed, question).hash(&mut hasher);
    Rng::with_seed(hasher.finish())
}

/// A draw of one of several odds, or of none.
pub fn draw(dice: &mut Rng, odds: &[Odds]) -> Option<usize> {
    let mut left = dice.f64() * 100.0;
    odds.iter().position(|odds| {
        left -= odds.percent;
        left < 0.0
    })
}

/// Whether something happens.
pub fn chance(dice: &mut Rng, odds: Odds) -> bool {
    draw(dice, &[odds]).is_some()
}

/// The table, as text.
pub fn table() -> String {
    let lines = ALL.iter().map(|odds| {
        format!(
            "{:>5} % of each {}: {}\n",
            odds.percent, odds.each, odds.what
        )
    });
    lines.collect()
}
