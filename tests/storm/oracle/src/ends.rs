//! What is left when nothing happens any more.

use crate::{Say, Seen, What};

/// A release's ends.
const OVER: [&str; 4] = ["published", "drafted", "failed", "cancelled"];

pub(crate) fn judge(seen: &Seen, say: Say<'_>) {
    for end in &seen.ends {
        if !end.running.is_empty() {
            let why = format!("{}: {} runs", end.version, end.running.join(", "));
            say(What::Stuck, why);
            continue;
        }
        let key = seen.key(&end.version);
        // One that was refused before it had a lease is not there.
        let release = seen.items("release").find(|item| item["pk"] == *key);
        let Some(release) = release else { continue };
        let over = OVER.iter().any(|status| release["status"] == *status);
        if !over || !release["lease"].is_null() {
            let why = format!(
                "{} is {}, with the lease {}",
                end.version, release["status"], release["lease"]
            );
            say(What::Stuck, why);
        }
    }
    for lock in seen.items("dispatch") {
        if lock["orphaned"] == true {
            continue;
        }
        let release = seen.items("release").find(|r| r["pk"] == lock["release"]);
        let over = release.is_none_or(|r| OVER.iter().any(|status| r["status"] == *status));
        if over {
            let why = format!(
                "{} is held for {} of {}, with {}",
                lock["pk"], lock["component"], lock["release"], lock["nonce"]
            );
            say(What::LeakedLocks, why);
        }
    }
    for (place, text) in &seen.written {
        if let Some(at) = text.find(&seen.canary) {
            let from = text.floor_char_boundary(at.saturating_sub(60));
            say(
                What::LeakedSecrets,
                format!("in {place}, after {}", &text[from..at]),
            );
        }
    }
}
