//! The audit of a release: its events, and their story as text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build::Build;
use crate::release::Release;

/// What `what` says of an event of the release itself.
pub const RELEASE: &str = "release";

/// One change of a build or of its release, or one deed at GitHub that changed neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was written.
    pub at: Timestamp,
    /// The component, or [`RELEASE`].
    pub what: String,
    /// The status before; empty where there was none.
    pub from: String,
    /// The status after it.
    pub to: String,
    /// The owner that it was written for.
    pub generation: u64,
    /// One sentence.
    pub reason: String,
    /// The execution that owns the release, in its own events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

impl Event {
    /// A build became what it is after `before`.
    pub fn of_build(before: Option<&Build>, after: &Build, reason: &str, at: Timestamp) -> Self {
        Self {
            at,
            what: after.component.clone(),
            from: before.map_or("", |build| build.status.as_str()).into(),
            to: after.status.as_str().into(),
            generation: after.generation,
            reason: reason.into(),
            owner: None,
        }
    }

    /// A release became what it is after `before`.
    pub fn of_release(
        before: Option<&Release>,
        after: &Release,
        reason: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            at,
            what: RELEASE.into(),
            from: before.map_or("", |release| release.status.as_str()).into(),
            to: after.status.as_str().into(),
            generation: after.generation,
            reason: reason.into(),
            owner: after.lease.clone(),
        }
    }
}

/// Events, oldest first, as text for people: a line per event with its time in UTC, the
/// time since the first, component, statuses and reason; a line before the first event of
/// each generation, with its owner. What an earlier generation wrote later says so.
pub fn render(events: &[Event]) -> String {
    let Some(first) = events.first() else {
        return String::new();
    };
    let cells: Vec<[String; 3]> = events
        .iter()
        .map(|event| {
            let seconds = event.at.as_second() - first.at.as_second();
            [since(seconds), event.what.clone(), statuses(event)]
        })
        .collect();
    let [offset, what, change] = [0, 1, 2].map(|column| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    });
    let mut text = String::new();
    let mut generation = 0;
    for (event, [since, name, statuses]) in events.iter().zip(&cells) {
        if event.generation > generation {
            generation = event.generation;
            text.push_str(&headline(events, generation));
        }
        let mut line = format!(
            "{:.0}  {since:>offset$}  {name:what$}  {statuses:change$}  {}",
            event.at,
            one_line(&event.reason)
        );
        if event.generation < generation {
            line.push_str(&format!(" (generation {})", event.generation));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn headline(events: &[Event], generation: u64) -> String {
    let mut of_it = events.iter().filter(|event| event.generation == generation);
    match of_it.find_map(|event| event.owner.as_deref()) {
        Some(owner) => format!("generation {generation}: owner {}\n", one_line(owner)),
        None => format!("generation {generation}\n"),
    }
}

/// `+12m 03s`, with hours before it where there are some.
fn since(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("+{hours}h {minutes:02}m {seconds:02}s")
    } else {
        format!("+{minutes}m {seconds:02}s")
    }
}

/// `queued → in_progress`; one status where it stays.
fn statuses(event: &Event) -> String {
    if event.from == event.to {
        event.to.clone()
    } else {
        format!("{} → {}", event.from, event.to).trim_start().into()
    }
}

/// What other programs said must not break a line, nor steer a terminal.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, what: &str, change: (&str, &str), generation: u64, why: &str) -> Event {
        Event {
            at: Timestamp::from_millisecond(1_767_323_045_900 + second * 1_000).unwrap(),
            what: what.into(),
            from: change.0.into(),
            to: change.1.into(),
            generation,
            reason: why.into(),
            owner: (what == RELEASE).then(|| format!("arn:{generation}")),
        }
    }

    #[test]
    fn events_are_told_as_a_timeline() {
        let long = "the run ended as failure, ".repeat(8);
        let events = [
            event(
                0,
                RELEASE,
                ("", "planning"),
                1,
                r#"started with {"version":"v0.1.0"}"#,
            ),
            event(1, "core", ("", "pending"), 1, "planned"),
            event(63, "core", ("pending", "dispatching"), 1, "dispatched"),
            event(
                64,
                "core",
                ("dispatching", "dispatching"),
                1,
                "GitHub\nsays:\r\n\t\u{1b}[31mno\u{7}\u{2028}more",
            ),
            event(
                723,
                "core",
                ("dispatching", "retrying"),
                1,
                "鉄道の駅 → ✓ é",
            ),
            event(3_661, RELEASE, ("building", "failed"), 2, &long),
            event(3_661, "core", ("retrying", "retrying"), 1, "seen again"),
            event(
                3_662,
                "core",
                ("retrying", "cancelled"),
                2,
                "the release ended",
            ),
            event(
                90_000,
                "a-long-name",
                ("in_progress", "success"),
                3,
                "run 7 succeeded",
            ),
        ];
        let told = render(&events);
        let wanted = "\
generation 1: owner arn:1
2026-01-02T03:04:05Z       +0m 00s  release      → planning              started with {\"version\":\"v0.1.0\"}
2026-01-02T03:04:06Z       +0m 01s  core         → pending               planned
2026-01-02T03:05:08Z       +1m 03s  core         pending → dispatching   dispatched
2026-01-02T03:05:09Z       +1m 04s  core         dispatching             GitHub says: [31mno more
2026-01-02T03:16:08Z      +12m 03s  core         dispatching → retrying  鉄道の駅 → ✓ é
generation 2: owner arn:2
2026-01-02T04:05:06Z   +1h 01m 01s  release      building → failed       LONG
2026-01-02T04:05:06Z   +1h 01m 01s  core         retrying                seen again (generation 1)
2026-01-02T04:05:07Z   +1h 01m 02s  core         retrying → cancelled    the release ended
generation 3
2026-01-03T04:04:05Z  +25h 00m 00s  a-long-name  in_progress → success   run 7 succeeded
";
        assert_eq!(told, wanted.replace("LONG", long.trim_end()));
    }

    #[test]
    fn nothing_has_no_lines() {
        assert_eq!(render(&[]), "");
    }
}
