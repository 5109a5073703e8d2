//! A workflow run: attempts that go from queued over in_progress to completed
//! at instants that are fixed when the attempt is made.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::archive::{Archive, Prepared};
use super::refusal::Refusal;
use crate::view::{ArtifactView, AttemptView, RunView};

/// GitHub's limit of attempts of one run.
const MAX_ATTEMPTS: u32 = 50;
/// How long a running job takes to notice that it is cancelled, simulated.
const CANCEL_SECONDS: f64 = 2.0;
/// Longer than anybody waits, in simulated seconds.
const FOR_EVER: f64 = 1e9;

/// What started a run.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) repository: String,
    pub(crate) event: &'static str,
    pub(crate) actor: String,
    pub(crate) head_branch: String,
    pub(crate) head_sha: String,
    pub(crate) display_title: String,
    pub(crate) payload: Value,
}

/// The state of one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) workflow_id: u64,
    pub(crate) workflow_name: String,
    pub(crate) path: String,
    pub(crate) origin: Origin,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) artifacts: Vec<Stored>,
    pub(crate) script: Arc<Prepared>,
}

/// One attempt and what will become of it.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) actor: String,
    pub(crate) created_at: Timestamp,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) conclusion: String,
    pub(crate) started: bool,
    pub(crate) completed: bool,
}

/// An artifact of an attempt.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: u64,
    pub(crate) archive: Archive,
    /// Of which attempt.
    pub(crate) attempt: u32,
    pub(crate) created_at: Timestamp,
}

/// Simulated seconds as a real duration; at most ten years.
pub(crate) fn real(seconds: f64, speed: f64) -> SignedDuration {
    const TEN_YEARS: f64 = 315_360_000.0;
    let real = (seconds / speed.max(f64::MIN_POSITIVE)).clamp(0.0, TEN_YEARS);
    SignedDuration::from_micros((real * 1e6) as i64)
}

impl Attempt {
    fn new(number: u32, actor: String, script: &Prepared, speed: f64, now: Timestamp) -> Self {
        let queued = match script.script.approval {
            Some(_) => FOR_EVER,
            None => script.script.queue_seconds,
        };
        let starts_at = now + real(queued, speed);
        Self {
            number,
            actor,
            created_at: now,
            starts_at,
            ends_at: starts_at + real(script.script.run_seconds, speed),
            conclusion: script.conclusion(number),
            started: false,
            completed: false,
        }
    }
}

impl Attempt {
    fn view(&self) -> AttemptView {
        AttemptView {
            number: self.number,
            asked_at: self.created_at,
            conclusion: self.completed.then(|| self.conclusion.clone()),
            completed_at: self.completed.then_some(self.ends_at),
        }
    }
}

impl Stored {
    fn view(&self) -> ArtifactView {
        ArtifactView {
            name: self.archive.name.clone(),
            attempt: self.attempt,
            expired: self.archive.expired,
            sound: self.archive.sound,
            files: self.archive.files.clone(),
        }
    }
}

impl Run {
    pub(crate) fn new(
        id: u64,
        number: u64,
        workflow: &super::repo::Registered,
        origin: Origin,
        script: Arc<Prepared>,
        speed: f64,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            number,
            workflow_id: workflow.id,
            workflow_name: workflow.spec.name.clone(),
            path: workflow.spec.path.clone(),
            created_at: now,
            updated_at: now,
            attempts: vec![Attempt::new(1, origin.actor.clone(), &script, speed, now)],
            artifacts: Vec::new(),
            origin,
            script,
        }
    }

    pub(crate) fn latest(&self) -> &Attempt {
        self.attempts
            .last()
            .expect("a run has an attempt from the start")
    }

    fn latest_mut(&mut self) -> &mut Attempt {
        self.attempts
            .last_mut()
            .expect("a run has an attempt from the start")
    }

    pub(crate) fn status(&self) -> &'static str {
        match self.latest() {
            attempt if attempt.completed => "completed",
            attempt if attempt.started => "in_progress",
            _ if self.script.script.approval.is_some() => "waiting",
            _ => "queued",
        }
    }

    pub(crate) fn conclusion(&self) -> Option<&str> {
        let attempt = self.latest();
        attempt.completed.then_some(attempt.conclusion.as_str())
    }

    /// When the next step is due.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let attempt = self.latest();
        match (attempt.started, attempt.completed) {
            (_, true) => None,
            (true, false) => Some(attempt.ends_at),
            (false, false) => Some(attempt.starts_at.min(attempt.ends_at)),
        }
    }

    /// Takes one step that is due and names it as the webhook's action does.
    /// `next_id` gives ids to the artifacts that appear.
    pub(crate) fn step(
        &mut self,
        now: Timestamp,
        next_id: &mut impl FnMut() -> u64,
    ) -> Option<&'static str> {
        let due = self.due().filter(|due| *due <= now)?;
        self.updated_at = due;
        let attempt = self.latest_mut();
        if !attempt.started && attempt.starts_at <= attempt.ends_at {
            attempt.started = true;
            return Some("in_progress");
        }
        attempt.completed = true;
        if attempt.started {
            let succeeded = attempt.conclusion == "success";
            self.upload(succeeded, due, next_id);
        }
        Some("completed")
    }

    fn upload(&mut self, succeeded: bool, now: Timestamp, next_id: &mut impl FnMut() -> u64) {
        let script = Arc::clone(&self.script);
        let attempt = self.latest().number;
        let (artifacts, archives) = if succeeded {
            (&script.script.artifacts, &script.archives)
        } else {
            (&script.script.failed_artifacts, &script.failed_archives)
        };
        let told = script.script.provenance.then(|| self.provenance());
        for (artifact, archive) in artifacts.iter().zip(archives) {
            let archive = match &told {
                Some(told) => Archive::new(&artifact.with_last_line(told)),
                None => archive.clone(),
            };
            // GitHub shows seconds: at high speed a re-run must still be newer.
            let newest = self
                .artifacts
                .iter()
                .filter(|old| old.archive.name == archive.name);
            let newest = newest
                .map(|old| old.created_at + SignedDuration::from_secs(1))
                .max();
            self.artifacts.push(Stored {
                id: next_id(),
                archive,
                attempt,
                created_at: newest.map_or(now, |newest| newest.max(now)),
            });
        }
    }

    /// Who built it, for the last line of each file.
    fn provenance(&self) -> String {
        let asked = &self.origin.payload;
        json!({
            "repository": self.origin.repository,
            "commit": self.origin.head_sha,
            "run": self.id,
            "attempt": self.latest().number,
            "actor": self.origin.actor,
            "release": asked["release"],
            "version": asked["version"],
            "component": asked["component"],
        })
        .to_string()
    }

    pub(crate) fn rerun(
        &mut self,
        actor: &str,
        failed_only: bool,
        speed: f64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let number = self.latest().number + 1;
        if !self.latest().completed {
            return Err(Refusal::new(403, "This workflow is already running"));
        }
        if failed_only && self.conclusion() == Some("success") {
            return Err(Refusal::new(403, "This workflow run has no failed jobs"));
        }
        if number > MAX_ATTEMPTS {
            return Err(Refusal::new(
                403,
                "Unable to retry this workflow run because it was retried too often",
            ));
        }
        self.attempts
            .push(Attempt::new(number, actor.into(), &self.script, speed, now));
        self.updated_at = now;
        Ok(())
    }

    /// Ends the run soon, or with `force` at once. One that is still queued ends
    /// without any job.
    pub(crate) fn cancel(
        &mut self,
        force: bool,
        speed: f64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let ignored = self.script.script.ignores_cancel && !force;
        let attempt = self.latest_mut();
        if attempt.completed {
            return Err(Refusal::new(
                409,
                "Cannot cancel a workflow run that is completed.",
            ));
        }
        let delay = if force {
            SignedDuration::ZERO
        } else {
            real(CANCEL_SECONDS, speed)
        };
        if ignored {
            return Ok(());
        }
        if attempt.started {
            attempt.ends_at = attempt.ends_at.min(now + delay);
        } else {
            attempt.ends_at = now;
        }
        attempt.conclusion = "cancelled".into();
        Ok(())
    }

    /// Takes its place in the concurrency group of the runs before it.
    pub(crate) fn queue_behind(&mut self, before: &mut [Run], now: Timestamp) {
        let group = before.iter_mut().filter(|run| !run.latest().completed);
        for run in group.filter(|run| run.script.script.one_at_a_time) {
            let earlier = run.latest_mut();
            if earlier.started {
                let free = earlier.ends_at;
                let mine = self.latest_mut();
                let late = free.duration_since(mine.starts_at);
                if late.is_positive() {
                    mine.starts_at += late;
                    mine.ends_at += late;
                }
            } else {
                earlier.ends_at = now;
                earlier.conclusion = "cancelled".into();
            }
        }
    }

    pub(crate) fn view(&self) -> RunView {
        let attempt = self.latest();
        RunView {
            id: self.id,
            path: self.path.clone(),
            event: self.origin.event.into(),
            status: self.status().into(),
            conclusion: self.conclusion().map(Into::into),
            head_sha: self.origin.head_sha.clone(),
            run_attempt: attempt.number,
            actor: self.origin.actor.clone(),
            display_title: self.origin.display_title.clone(),
            created_at: whole_second(self.created_at),
            client_payload: self.origin.payload.clone(),
            dispatched_at: self.created_at,
            started_at: attempt.started.then_some(attempt.starts_at),
            completed_at: attempt.completed.then_some(attempt.ends_at),
            attempts: self.attempts.iter().map(Attempt::view).collect(),
            artifacts: self.artifacts.iter().map(Stored::view).collect(),
        }
    }
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
