//! When builds were dispatched.

use jiff::{SignedDuration, Timestamp};

use crate::{Run, Say, Seen, What};

/// A run that has not appeared by then is given up; in a release's own time.
const GIVEN_UP: f64 = 600.0;

/// When a dispatch is given up.
fn given_up_at(seen: &Seen, run: &Run) -> Timestamp {
    let wait = (GIVEN_UP / seen.speed * 1000.0) as i64;
    asked_at(run) + SignedDuration::from_millis(wait)
}

pub(crate) fn judge(seen: &Seen, say: Say<'_>) {
    let mut started = seen.started();
    started.sort_by_key(|(_, _, run)| asked_at(run));
    for (index, (version, component, run)) in started.iter().enumerate() {
        let what = || format!("{component} of {version}, run {}", run.id);
        let earlier: Vec<&Run> = started[..index]
            .iter()
            .filter(|(v, c, _)| v == version && c == component)
            .map(|(_, _, run)| *run)
            .collect();
        for before in &earlier {
            if is_on_its_way(seen, before, asked_at(run)) {
                let why = format!("{} while run {} was on its way", what(), before.id);
                say(What::DoubleDispatches, why);
            }
            if is_green(seen, before, asked_at(run))
                && !seen
                    .asked_again
                    .contains(&((*version).to_owned(), (*component).to_owned()))
            {
                let why = format!("{} after run {} was green", what(), before.id);
                say(What::RebuiltGreen, why);
            }
        }
        let asked = seen.asked.get(*version).and_then(|all| all.get(*component));
        for required in asked.map(|a| a.requires.as_slice()).unwrap_or_default() {
            let green = started.iter().any(|(v, c, other)| {
                let at = other.green_at();
                v == version && c == required && at.is_some_and(|at| at <= asked_at(run))
            });
            if !green {
                say(
                    What::EarlyDispatches,
                    format!("{} before {required} was green", what()),
                );
            }
        }
    }
}

/// When a dispatch was made: its run may have come about later.
fn asked_at(run: &Run) -> Timestamp {
    run.asked_at.unwrap_or(run.created_at)
}

/// Whether a dispatch that was made before was still waited for: its run had not ended,
/// nobody had asked for its end, and it could still appear.
fn is_on_its_way(seen: &Seen, before: &Run, now: Timestamp) -> bool {
    let over = before.over_at().is_some_and(|over| over <= now);
    let cancelled = seen.cancelled_at(before).is_some_and(|at| at <= now);
    let late = before.created_at > given_up_at(seen, before);
    let given_up = late || before.created_at > now && now > given_up_at(seen, before);
    !over && !cancelled && !given_up
}

/// Whether a run was green, and what it built could be had and verified: else its build
/// has failed after all. One whose end was asked for, or that came too late, is no build's.
fn is_green(seen: &Seen, before: &Run, now: Timestamp) -> bool {
    let green = before.green_at().is_some_and(|at| at <= now);
    let usable = before.artifacts.iter().all(crate::Artifact::is_usable);
    let late = before.created_at > given_up_at(seen, before);
    green && usable && !late && seen.cancelled_at(before).is_none()
}
