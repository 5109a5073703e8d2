//! Green runs that were run again.

use crate::{Say, Seen, What};

pub(crate) fn judge(seen: &Seen, say: Say<'_>) {
    for (version, component, run) in seen.started() {
        let green = run.attempts.iter().position(|attempt| {
            let ended = attempt.ended.as_ref();
            ended.is_some_and(|(conclusion, _)| conclusion == "success")
        });
        if green.is_some_and(|green| green + 1 < run.attempts.len()) {
            let why = format!("{component} of {version}: run {} was run again", run.id);
            say(What::RebuiltGreen, why);
        }
    }
}
