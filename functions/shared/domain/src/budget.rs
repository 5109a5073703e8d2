//! How much may be written to GitHub. It limits what an installation creates, about 80
//! requests a minute and 500 an hour, with a second between them
//! ([GitHub: rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api),
//! secondary limits; best practices); so the releases that are under way share one budget.
//!
//! Cancelling a run creates nothing: it is not counted, and waits for nothing.
//!
//! Fair: a tenth of each limit is kept for releases that have written less than an equal
//! share, so that one which begins need not wait for the hour of another; and of those
//! that wait, who has written least is first.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::ReleaseKey;
use crate::times::Speed;

/// Who was told when to come back is waited for so long after that; real time.
const COMES_BACK: Duration = Duration::from_secs(5);

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Writes in any minute.
    pub per_minute: usize,
    /// Writes in any hour.
    pub per_hour: usize,
    /// A minute, in real time.
    pub minute: Duration,
    /// An hour, in real time.
    pub hour: Duration,
    /// Between two of Publish's writes, in real time.
    pub apart: Duration,
}

impl Limits {
    /// As many in a minute and an hour, Publish's this many seconds apart; of simulated time.
    pub fn new(per_minute: usize, per_hour: usize, seconds_apart: u64, speed: Speed) -> Self {
        let real = |seconds| speed.real(Duration::from_secs(seconds));
        Self {
            per_minute,
            per_hour,
            minute: real(60),
            hour: real(3600),
            apart: real(seconds_apart),
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// A dispatch or a re-run: it counts, and waits for no second.
    Dispatch,
    /// A release or an asset: these stand apart from each other.
    Content,
}

/// The answer to who wants to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The write is counted, and may begin at this time, which is near.
    At(Timestamp),
    /// Nothing is counted; ask again then.
    AskAt(Timestamp),
}

/// What was written in the last hour, and who waits to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Grows with each change: who writes over another's has not read it.
    #[serde(default)]
    pub version: u64,
    /// When each release wrote, in milliseconds since 1970, oldest first.
    #[serde(default)]
    written: BTreeMap<ReleaseKey, Vec<i64>>,
    /// Until when each release that was sent away is waited for, likewise.
    #[serde(default)]
    waiting: BTreeMap<ReleaseKey, i64>,
    /// When the last of Publish's writes begins, likewise.
    #[serde(default)]
    content_at: i64,
}

impl Budget {
    /// Answers a release that wants to write, and what the budget is then. Where nothing
    /// changes it is the same, its version too.
    pub fn ask(
        &self,
        release: &ReleaseKey,
        write: Write,
        now: Timestamp,
        limits: &Limits,
    ) -> (Self, Answer) {
        let now = now.as_millisecond();
        let mut next = self.clone();
        next.forget(now - millis(limits.hour), now);
        let mut free_at = next.free_at(release, limits.per_minute, millis(limits.minute), now);
        free_at = free_at.max(next.free_at(release, limits.per_hour, millis(limits.hour), now));
        if free_at <= now
            && let Some(first) = next.goes_first(release)
        {
            free_at = first;
        }
        let begins = match write {
            Write::Dispatch => now,
            Write::Content => now.max(next.content_at + millis(limits.apart)),
        };
        let answer = if free_at > now {
            let until = free_at + millis(limits.minute + COMES_BACK);
            next.waiting.entry(release.clone()).or_insert(until);
            Answer::AskAt(time(free_at))
        } else {
            next.waiting.remove(release);
            next.written
                .entry(release.clone())
                .or_default()
                .push(begins);
            if write == Write::Content {
                next.content_at = begins;
            }
            Answer::At(time(begins))
        };
        if matches!(answer, Answer::AskAt(_)) && self.waiting.contains_key(release) {
            return (self.clone(), answer);
        }
        next.version += 1;
        (next, answer)
    }

    fn forget(&mut self, before: i64, now: i64) {
        for times in self.written.values_mut() {
            times.retain(|at| *at > before);
        }
        self.written.retain(|_, times| !times.is_empty());
        self.waiting.retain(|_, until| *until > now);
    }

    /// When this release may write by one limit: `most` in each `window`.
    fn free_at(&self, release: &ReleaseKey, most: usize, window: i64, now: i64) -> i64 {
        let since = now - window;
        let mut recent: Vec<i64> = Vec::new();
        let (mut ours, mut releases) = (0, 1);
        for (who, times) in &self.written {
            let before = recent.len();
            recent.extend(times.iter().filter(|at| **at > since));
            let count = recent.len() - before;
            if who == release {
                ours = count;
            } else if count > 0 || self.waiting.contains_key(who) {
                releases += 1;
            }
        }
        // One more than there are: who begins has a share too.
        let share = most / (releases + 1);
        let kept = if ours < share { 0 } else { most / 10 };
        let most = most.saturating_sub(kept).max(1);
        if recent.len() < most {
            return now;
        }
        recent.sort_unstable();
        recent[recent.len() - most] + window
    }

    /// Until when a release waits that has written less than this one, and comes first.
    fn goes_first(&self, release: &ReleaseKey) -> Option<i64> {
        let count = |who: &ReleaseKey| self.written.get(who).map_or(0, Vec::len);
        let mine = count(release);
        let less = self.waiting.iter().filter(|(who, _)| count(who) < mine);
        less.map(|(_, until)| *until).min()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
