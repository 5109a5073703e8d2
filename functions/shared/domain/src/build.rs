//! One build: its record, its states, and the changes that a stage may make.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::manifest::Component;
use crate::names::{ReleaseKey, RepoName, Sha256};
use crate::release::Collected;
use crate::run::Seen;
use crate::times::{DISPATCH_BEGINS, DISPATCH_DEADLINE};

/// Status of a build, as stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuildStatus {
    /// Waits for dependencies.
    Pending,
    /// The intent is written: a dispatch may or may not have reached GitHub.
    Dispatching,
    /// GitHub accepted the dispatch; the run is not known or not queued yet.
    Dispatched,
    /// The run waits for a runner.
    Queued,
    /// The run runs.
    InProgress,
    /// An attempt failed; another follows.
    Retrying,
    /// Green: the run succeeded. Dependents may start.
    Success,
    /// Complete: green, and everything it built is collected and verified.
    Collected,
    /// Ended: it cannot be built.
    Failure,
    /// Ended: by a person, or with its release.
    Cancelled,
    /// Ended: took longer than the manifest allows.
    TimedOut,
    /// Ended: something it requires ended without success.
    Blocked,
}

impl BuildStatus {
    /// Green or complete: dependents may start.
    pub fn is_green(self) -> bool {
        matches!(self, Self::Success | Self::Collected)
    }

    /// Ended without success.
    pub fn is_failed(self) -> bool {
        matches!(
            self,
            Self::Failure | Self::Cancelled | Self::TimedOut | Self::Blocked
        )
    }

    /// To be dispatched, for the first time or again.
    pub fn is_to_be_dispatched(self) -> bool {
        matches!(self, Self::Pending | Self::Retrying)
    }

    /// A dispatch may be, or is, on its way.
    pub fn is_on_its_way(self) -> bool {
        matches!(
            self,
            Self::Dispatching | Self::Dispatched | Self::Queued | Self::InProgress
        )
    }

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Dispatching => "dispatching",
            Self::Dispatched => "dispatched",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Retrying => "retrying",
            Self::Success => "success",
            Self::Collected => "collected",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Blocked => "blocked",
        }
    }
}

/// How a run was recognised as a build's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// GitHub returned its id with the dispatch.
    ReturnedId,
    /// Its `run-name` holds the attempt's nonce.
    Nonce,
    /// Its workflow shows no nonce, and it is the only unclaimed run that can be ours.
    OnlyCandidate,
    /// A person said so.
    Adopted,
}

impl MatchedBy {
    /// The words that are shown.
    pub fn words(self) -> &'static str {
        match self {
            Self::ReturnedId => "the id that GitHub returned",
            Self::Nonce => "its nonce",
            Self::OnlyCandidate => "being the only one",
            Self::Adopted => "a person",
        }
    }
}

/// The `build#<component>` item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its release.
    pub release: ReleaseKey,
    /// Its component.
    pub component: String,
    /// Where it stands.
    pub status: BuildStatus,
    /// The owner that may write it.
    pub generation: u64,
    /// Where it is built.
    pub repository: RepoName,
    /// The commit it is built at.
    pub pin: String,
    /// The branch or tag that is dispatched.
    pub git_ref: String,
    /// Path of the workflow, as a run's `path` names it.
    pub workflow_path: String,
    /// Whether that workflow's `run-name` shows the nonce: then no run without it is ours.
    #[serde(default)]
    pub shows_nonce: bool,
    /// Its entry in the manifest.
    pub spec: Component,
    /// What it requires.
    pub requires: Vec<String>,
    /// What it still waits for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting_on: BTreeSet<String>,
    /// Grows with each wake-up, so that none falls between a look and a wait.
    #[serde(default)]
    pub seq: u64,
    /// Parked task token, a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_token: Option<String>,
    /// Whether webhooks reach this build: then waits may be long.
    #[serde(default)]
    pub woken: bool,
    /// Attempts that were decided on in this generation's life, the first included.
    #[serde(default)]
    pub attempt: u32,
    /// Counted failures of attempts.
    #[serde(default)]
    pub retry_count: u32,
    /// Not dispatched again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Names the present attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Nonces of attempts whose run never appeared; one that comes late is cancelled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<String>,
    /// GitHub's clock before the last dispatch: older runs are not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Timestamp>,
    /// The dispatch's POST is over by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_deadline: Option<Timestamp>,
    /// The run, once claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_run_id: Option<u64>,
    /// Its attempt; while a re-run is on its way, the one that is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_attempt: Option<u32>,
    /// How it was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_by: Option<MatchedBy>,
    /// First written.
    pub created_at: Timestamp,
    /// The present attempt's POST began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<Timestamp>,
    /// While its run is in progress: when the first of the jobs began. Once it is green:
    /// when GitHub started the attempt, its queue included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Green was recorded, or the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// Its verified files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// Why its run is being cancelled: it took too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<String>,
    /// When GitHub was asked to cancel it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_asked_at: Option<Timestamp>,
    /// Since when it cannot be seen how it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_since: Option<Timestamp>,
    /// What went wrong, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The child execution that carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
}

/// What Plan knows of a build before it looks at the table.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its entry in the manifest.
    pub spec: Component,
    /// Its repository.
    pub repository: RepoName,
    /// The commit to build.
    pub pin: String,
    /// The branch or tag to dispatch.
    pub git_ref: String,
    /// The workflow to start.
    pub workflow_path: String,
    /// Whether its `run-name` shows the nonce.
    pub shows_nonce: bool,
}

impl Build {
    /// A build nobody has worked on.
    pub fn new(
        release: ReleaseKey,
        planned: Planned,
        generation: u64,
        waiting_on: BTreeSet<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            release,
            component: planned.spec.name.clone(),
            status: BuildStatus::Pending,
            generation,
            repository: planned.repository,
            pin: planned.pin,
            git_ref: planned.git_ref,
            workflow_path: planned.workflow_path,
            shows_nonce: planned.shows_nonce,
            requires: planned.spec.requires.clone(),
            spec: planned.spec,
            waiting_on,
            seq: 0,
            wait_token: None,
            woken: false,
            attempt: 0,
            retry_count: 0,
            retry_at: None,
            nonce: None,
            abandoned: Vec::new(),
            baseline: None,
            post_deadline: None,
            workflow_run_id: None,
            run_attempt: None,
            matched_by: None,
            created_at: now,
            dispatched_at: None,
            started_at: None,
            completed_at: None,
            collected: None,
            overdue: None,
            cancel_asked_at: None,
            unseen_since: None,
            error: None,
            child: None,
        }
    }

    /// Whether a new generation builds it from the beginning, at a pin of its own.
    pub fn starts_afresh(&self, anew: bool) -> bool {
        anew || self.status == BuildStatus::Pending || self.status.is_failed()
    }

    /// What a new generation makes of a build that is there: on its way, green or
    /// complete it is adopted as it is; pending, ended, or asked for by name (`anew`)
    /// it starts afresh from what Plan read now. The nonces it has used stay known.
    pub fn adopted(
        &self,
        planned: Planned,
        generation: u64,
        waiting_on: BTreeSet<String>,
        anew: bool,
        now: Timestamp,
    ) -> Self {
        if self.starts_afresh(anew) {
            let mut fresh = Self::new(self.release.clone(), planned, generation, waiting_on, now);
            fresh.created_at = self.created_at;
            fresh.seq = self.seq + 1;
            fresh.attempt = self.attempt;
            fresh.abandoned.clone_from(&self.abandoned);
            fresh.baseline = self.baseline;
            // A run that was claimed had its nonce answered: it cannot come late.
            if self.workflow_run_id.is_none() {
                fresh.abandoned.extend(self.nonce.clone());
            }
            fresh
        } else {
            let mut adopted = self.clone();
            adopted.generation = generation;
            adopted.seq += 1;
            adopted.wait_token = None;
            adopted.error = None;
            adopted.unseen_since = None;
            adopted.child = None;
            adopted
        }
    }

    /// What a new generation makes of a failed build whose run a person names: on its way
    /// again, at the commit that it was dispatched at. Its retries are all ahead of it.
    pub fn adopting(&self, run: u64, run_attempt: u32, generation: u64) -> Self {
        Self {
            status: BuildStatus::Dispatched,
            generation,
            seq: self.seq + 1,
            retry_count: 0,
            retry_at: None,
            started_at: None,
            completed_at: None,
            overdue: None,
            cancel_asked_at: None,
            unseen_since: None,
            wait_token: None,
            error: None,
            child: None,
            ..self.claimed(run, run_attempt, MatchedBy::Adopted)
        }
    }

    /// The name of the attempt that is dispatched next: the same however often
    /// this decision is made again, another for each counted attempt and owner.
    pub fn next_nonce(&self) -> String {
        let text = format!(
            "{}|{}|{}|{}",
            self.release,
            self.component,
            self.generation,
            self.attempt + 1
        );
        format!(
            "{}{}",
            crate::matching::NONCE_PREFIX,
            &Sha256::of(text.as_bytes()).as_str()[..16]
        )
    }

    /// The intent to dispatch, written before the call.
    pub fn intent(&self, nonce: String, baseline: Timestamp, now: Timestamp) -> Self {
        let mut next = self.acting(now);
        next.nonce = Some(nonce);
        next.baseline = Some(baseline);
        next.workflow_run_id = None;
        next.run_attempt = None;
        next.matched_by = None;
        next
    }

    /// Whether the call that an intent announces may still begin: it must be over by
    /// its deadline, which others rely on.
    pub fn may_act(&self, now: Timestamp) -> bool {
        self.post_deadline
            .is_some_and(|deadline| now + DISPATCH_DEADLINE <= deadline)
    }

    /// The intent to re-run the claimed run: run and claim stay, the attempt grows.
    pub fn rerun_intent(&self, now: Timestamp) -> Self {
        let mut next = self.acting(now);
        next.run_attempt = self.run_attempt.map(|attempt| attempt + 1);
        next
    }

    /// What both intents say: another attempt, which waits for nothing any more.
    fn acting(&self, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.status = BuildStatus::Dispatching;
        next.attempt += 1;
        next.waiting_on.clear();
        next.dispatched_at = Some(now);
        next.post_deadline = Some(now + DISPATCH_BEGINS + DISPATCH_DEADLINE);
        next.retry_at = None;
        next.started_at = None;
        next.overdue = None;
        next.cancel_asked_at = None;
        next.error = None;
        next
    }

    /// An end without success.
    pub fn ended(&self, status: BuildStatus, error: String, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.status = status;
        next.error = Some(error);
        next.completed_at = Some(now);
        next.retry_at = None;
        next.wait_token = None;
        next
    }

    /// Its end where something that it requires ended without success. The token stays:
    /// who dies before it is completed leaves it to who blocks again.
    pub fn blocked(&self, error: String, now: Timestamp) -> Self {
        Self {
            wait_token: self.wait_token.clone(),
            ..self.ended(BuildStatus::Blocked, error, now)
        }
    }

    /// The run was claimed for this build.
    pub fn claimed(&self, run: u64, run_attempt: u32, by: MatchedBy) -> Self {
        let mut next = self.clone();
        next.workflow_run_id = Some(run);
        next.run_attempt = Some(run_attempt);
        next.matched_by = Some(by);
        if next.status == BuildStatus::Dispatching {
            next.status = BuildStatus::Dispatched;
        }
        next
    }

    /// Whether a change that was decided over `read` may be written over this stored
    /// build: nobody else has moved it on, its owner is the same, and nobody has claimed a
    /// run for it since. The store says the same as a condition of its write.
    pub fn is_as_read(&self, read: &Self) -> bool {
        let told = |build: &Self| {
            let run = (build.workflow_run_id, build.run_attempt);
            (build.status, build.attempt, build.generation, run)
        };
        told(self) == told(read)
    }

    /// Whether this build may become `after`: a generation only grows, and whoever would
    /// lower it has lost the release.
    pub fn may_become(&self, after: &Self) -> bool {
        after.generation >= self.generation
    }

    /// Neither green nor ended: what Settle gives an end.
    pub fn is_unfinished(&self) -> bool {
        !self.status.is_failed() && !self.status.is_green()
    }

    /// Until when a dispatch of it may be in flight whose run nobody has claimed: a new
    /// owner plans nothing before.
    pub fn in_flight_until(&self) -> Option<Timestamp> {
        self.post_deadline
            .filter(|_| self.workflow_run_id.is_none())
    }

    /// GitHub accepted the dispatch or re-run of its intent.
    pub fn accepted(&self) -> Self {
        Self {
            status: BuildStatus::Dispatched,
            ..self.clone()
        }
    }

    /// Nothing was sent for its intent: it stands where another may be written at once.
    pub fn not_sent(&self) -> Self {
        let mut waiting = Self {
            status: BuildStatus::Retrying,
            retry_at: None,
            ..self.clone()
        };
        // A re-run that was not sent is not the attempt to wait for.
        if waiting.workflow_run_id.is_some() {
            waiting.run_attempt = waiting.run_attempt.map(|attempt| attempt.saturating_sub(1));
        }
        waiting
    }

    /// What Settle makes of it. Green and ended builds keep their status, and so does one
    /// whose run could not be `stopped`: it may well go on, and who resumes adopts it.
    pub fn settled(&self, stopped: bool, now: Timestamp) -> Self {
        if stopped && self.is_unfinished() {
            let why = self.error.clone();
            let why = why.unwrap_or_else(|| "the release ended before this build".into());
            self.ended(BuildStatus::Cancelled, why, now)
        } else {
            Self {
                wait_token: None,
                ..self.clone()
            }
        }
    }

    /// Its run was seen to have succeeded.
    pub fn green(&self, seen: &Seen, now: Timestamp) -> Self {
        Self {
            status: BuildStatus::Success,
            run_attempt: Some(seen.run_attempt),
            // As GitHub counts how long a run took: with its queue.
            started_at: seen.run_started_at.or(self.started_at),
            completed_at: Some(now),
            wait_token: None,
            ..self.clone()
        }
    }

    /// Whether nothing was dispatched for it since it was with this nonce: whoever starts a
    /// build afresh keeps that.
    pub fn last_dispatched_with(&self, nonce: &str) -> bool {
        match &self.nonce {
            Some(own) => own == nonce,
            None => self.abandoned.iter().any(|abandoned| abandoned == nonce),
        }
    }

    /// Its run did not appear in its time: the nonce is kept, so that one which comes late
    /// is known.
    pub fn given_up(&self) -> Self {
        let mut given_up = self.clone();
        given_up.abandoned.extend(self.nonce.clone());
        given_up
    }

    /// A re-run did not start: the attempt before it is the run's last.
    pub fn without_rerun(&self) -> Self {
        Self {
            run_attempt: self.run_attempt.map(|attempt| attempt.saturating_sub(1)),
            ..self.clone()
        }
    }

    /// Whether the run that a dispatch announced, or the attempt that a re-run did, had
    /// its time to show, `appear` after the deadline of the call.
    pub fn is_overdue_at_github(&self, appear: std::time::Duration, now: Timestamp) -> bool {
        let announced = matches!(
            self.status,
            BuildStatus::Dispatching | BuildStatus::Dispatched
        );
        announced
            && self
                .post_deadline
                .is_some_and(|deadline| now > deadline + appear)
    }
}
