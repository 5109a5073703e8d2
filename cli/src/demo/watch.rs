//! One live line per build; plain lines where the output is no terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use local_cloud::{Error, Service};
use serde_json::{Value, json};

use super::Wanted;
use super::rehearsal::Rehearsal;

/// Watches the table until the execution has ended.
pub async fn until_ended(
    rehearsal: &Rehearsal,
    wanted: &Wanted,
    execution: &str,
) -> Result<(), Error> {
    let version = wanted.version.to_string();
    let lines = Lines::new(wanted.manifest.plan().order, &version);
    let began = Instant::now();
    let patience = Duration::from_secs_f64(120.0 + 200_000.0 / wanted.speed);
    loop {
        let answer = rehearsal
            .account
            .call(
                Service::States,
                "DescribeExecution",
                json!({"executionArn": execution}),
            )
            .await?;
        for item in rehearsal.items(&wanted.version, "build#").await? {
            let name = item["component"]["S"].as_str().unwrap_or_default();
            lines.show(name, &words(&item), has_ended(&item));
        }
        for item in rehearsal.items(&wanted.version, "release").await? {
            let status = item["status"]["S"].as_str().unwrap_or_default();
            lines.show(&version, status, has_ended(&item));
        }
        if answer["status"] != "RUNNING" {
            return Ok(());
        }
        if began.elapsed() > patience {
            return Err(Error(format!(
                "the release is not done after {} s; it is given up",
                began.elapsed().as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a build's line says.
pub fn words(item: &Value) -> String {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default();
    let waiting: Vec<&str> = item["waiting_on"]["SS"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match text("status") {
        "pending" if waiting.is_empty() => "waiting to be dispatched".into(),
        "pending" => format!("waiting for {}", waiting.join(", ")),
        "queued" if has_begun(item) => "building".into(),
        "dispatching" | "dispatched" | "queued" => "queued".into(),
        "in_progress" => "building".into(),
        "retrying" => format!(
            "failed, trying again (retry {})",
            item["retry_count"]["N"].as_str().unwrap_or("1")
        ),
        "success" => "collecting".into(),
        "collected" => "built".into(),
        // Its error says so.
        "blocked" => text("error").into(),
        other => format!("{other}: {}", text("error")),
    }
}

/// Whether a webhook told that the run begins which was queued at the last look.
fn has_begun(item: &Value) -> bool {
    let number = |name: &str| item[name]["N"].as_str();
    let attempt = number("workflow_run_id").zip(number("run_attempt"));
    attempt.is_some_and(|(run, attempt)| item["begun"]["S"] == format!("{run}.{attempt}"))
}

/// Whether its line will not change any more.
fn has_ended(item: &Value) -> bool {
    let on_its_way = [
        "pending",
        "dispatching",
        "dispatched",
        "queued",
        "in_progress",
        "retrying",
        "success",
        "planning",
        "building",
        "publishing",
    ];
    let status = item["status"]["S"].as_str().unwrap_or_default();
    !on_its_way.contains(&status)
}

/// A line per build, and one for the release.
struct Lines {
    live: bool,
    began: Instant,
    bars: BTreeMap<String, ProgressBar>,
    last: std::sync::Mutex<BTreeMap<String, String>>,
    width: usize,
}

impl Lines {
    fn new(mut order: Vec<String>, version: &str) -> Self {
        order.push(version.to_owned());
        let live = std::io::stderr().is_terminal();
        let all = MultiProgress::new();
        let width = order.iter().map(String::len).max().unwrap_or(0);
        let style = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg} {elapsed}");
        let mut bars = BTreeMap::new();
        for name in order {
            let bar = if live {
                all.add(ProgressBar::new_spinner())
            } else {
                ProgressBar::hidden()
            };
            if let Ok(style) = &style {
                bar.set_style(style.clone());
            }
            bar.set_prefix(format!("{name:width$}"));
            bars.insert(name, bar);
        }
        Self {
            live,
            began: Instant::now(),
            bars,
            last: std::sync::Mutex::default(),
            width,
        }
    }

    fn show(&self, name: &str, words: &str, ended: bool) {
        if let Some(bar) = self.bars.get(name) {
            if ended && !bar.is_finished() {
                bar.abandon_with_message(words.to_owned());
            } else if !ended {
                bar.set_message(words.to_owned());
                bar.tick();
            }
        }
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        if last.get(name).is_none_or(|last| last != words) {
            if !self.live {
                println!(
                    "{:>7.1} s  {name:width$}  {words}",
                    self.began.elapsed().as_secs_f64(),
                    width = self.width
                );
            }
            last.insert(name.to_owned(), words.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::words;
    use serde_json::json;

    #[test]
    fn a_line_says_what_the_build_waits_for() {
        assert_eq!(
            words(&json!({"status": {"S": "pending"}, "waiting_on": {"SS": ["a", "b"]}})),
            "waiting for a, b"
        );
        assert_eq!(words(&json!({"status": {"S": "in_progress"}})), "building");
        let queued = |begun: &str| {
            words(&json!({
                "status": {"S": "queued"}, "workflow_run_id": {"N": "7"},
                "run_attempt": {"N": "2"}, "begun": {"S": begun},
            }))
        };
        assert_eq!(queued("7.2"), "building");
        assert_eq!(queued("7.1"), "queued", "of the attempt before");
        assert_eq!(
            words(&json!({"status": {"S": "failure"}, "error": {"S": "x"}})),
            "failure: x"
        );
    }
}
