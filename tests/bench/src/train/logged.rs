//! What the functions' logs in the local cloud say of their calls: how long, with how much
//! memory, and how much they wrote.

use std::collections::BTreeMap;

use local_cloud::{Account, FUNCTIONS, Service};
use serde::Serialize;
use serde_json::{Value, json};

/// CloudWatch adds so many bytes to each event.
const OVERHEAD: usize = 26;

/// The calls of a function.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Logged {
    /// How many there were.
    pub calls: u64,
    /// Billed time by the template's memory.
    pub gb_seconds: f64,
    /// What they wrote.
    pub bytes: usize,
}

impl Logged {
    fn add(&mut self, message: &str) {
        self.bytes += message.len() + OVERHEAD;
        if !message.starts_with("REPORT ") {
            return;
        }
        let milliseconds = number(message, "Billed Duration: ");
        let megabytes = number(message, "Memory Size: ");
        self.calls += 1;
        self.gb_seconds += milliseconds / 1e3 * megabytes / 1024.0;
    }
}

/// The number behind a word.
fn number(message: &str, word: &str) -> f64 {
    let rest = message.split(word).nth(1).unwrap_or_default();
    let number = rest.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or(f64::NAN)
}

/// By function, since the cloud was started.
pub async fn read(account: &Account) -> Result<BTreeMap<&'static str, Logged>, String> {
    let call = async |action: &str, body: Value| {
        let answer = account.call(Service::Logs, action, body).await;
        answer.map_err(|error| error.to_string())
    };
    let groups = call("DescribeLogGroups", json!({})).await?;
    let mut read: BTreeMap<&str, Logged> = BTreeMap::new();
    for group in groups["logGroups"].as_array().into_iter().flatten() {
        let name = group["logGroupName"].as_str().unwrap_or_default();
        let lower = name.to_lowercase();
        let Some(function) = FUNCTIONS.into_iter().find(|f| lower.contains(f)) else {
            continue;
        };
        let mut body = json!({ "logGroupName": name });
        loop {
            let page = call("FilterLogEvents", body.clone()).await?;
            for event in page["events"].as_array().into_iter().flatten() {
                let message = event["message"].as_str().unwrap_or_default();
                read.entry(function).or_default().add(message);
            }
            match page.get("nextToken") {
                Some(next) if !next.is_null() => body["nextToken"] = next.clone(),
                _ => break,
            }
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_how_long_and_with_how_much_memory() {
        let mut logged = Logged::default();
        logged.add("START RequestId: 1 Version: $LATEST");
        logged.add("REPORT RequestId: 1\tDuration: 500 ms\tBilled Duration: 500 ms\tMemory Size: 512 MB\tMax");
        assert_eq!((logged.calls, logged.gb_seconds), (1, 0.25));
        assert!(logged.bytes > 150);
    }
}
