//! The state of the simulated GitHub: plain values and what may happen to them.
//! Nothing here reads a clock or a socket; `now` is handed in, and the webhooks
//! that come about wait in the outbox.

pub(crate) mod app;
pub(crate) mod archive;
mod latest;
mod names;
pub(crate) mod refusal;
pub(crate) mod release;
pub(crate) mod repo;
pub(crate) mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use self::app::Minted;
use self::archive::{Prepared, attachment, sha256};
use self::refusal::{REF_RESTRICTED, Refusal};
use self::release::{Asset, Change, Effect, Release, Upload};
use self::repo::Repo;
use self::run::{Origin, Run};
use crate::app::App;
use crate::input::{ForeignRelease, Repository, Script, Storage, Trigger};
use crate::render::Render;
use crate::settings::{Fault, Settings, Weather, WebhookFault, WebhookFaultKind};
use crate::view::{Delivery, Exchange, Moment, Request};

/// How long a download's address is good for.
const BLOB_LIFETIME: SignedDuration = SignedDuration::from_secs(60);
/// A `client_payload` must stay under this.
const MAX_PAYLOAD: usize = 64 * 1024;

/// A webhook that is due.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) event: String,
    pub(crate) payload: Value,
}

impl Hook {
    pub(crate) fn delivery(&self) -> Delivery {
        Delivery {
            event: self.event.clone(),
            payload: self.payload.clone(),
        }
    }
}

/// A file that waits at an address of its own.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) content: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) storage: Storage,
}

impl Blob {
    /// A release's file.
    pub(crate) fn of_asset(asset: &Asset) -> Self {
        Self {
            content: asset.content.clone(),
            content_type: Some(asset.content_type.clone()),
            disposition: Some(attachment(&asset.name)),
            storage: Storage::Ranges,
        }
    }
}

/// Everything the simulator knows.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) render: Render,
    pub(crate) tokens: Vec<String>,
    pub(crate) login: String,
    pub(crate) app: Option<App>,
    pub(crate) minted: Vec<Minted>,
    pub(crate) speed: f64,
    pub(crate) webhook: Option<(String, String)>,
    pub(crate) outbox: Vec<Hook>,
    pub(crate) record: bool,
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) answers: Vec<(String, Option<u16>)>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) weather: Option<Arc<dyn Weather>>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) webhook_faults: Vec<WebhookFault>,
    pub(crate) calls: BTreeMap<String, u64>,
    pub(crate) requests: Vec<Request>,
    /// By lowercase name: GitHub does not mind the case.
    repos: BTreeMap<String, Repo>,
    /// With the time until which each is there.
    blobs: BTreeMap<String, (Blob, Timestamp)>,
    serial: u64,
}

impl World {
    pub(crate) fn new(settings: Settings, render: Render) -> Self {
        Self {
            render,
            tokens: vec![settings.token],
            login: settings.login,
            app: None,
            minted: Vec::new(),
            speed: settings.speed,
            webhook: settings.webhook,
            outbox: Vec::new(),
            record: settings.record,
            exchanges: Vec::new(),
            deliveries: Vec::new(),
            answers: Vec::new(),
            moments: Vec::new(),
            weather: settings.weather,
            faults: Vec::new(),
            webhook_faults: Vec::new(),
            calls: BTreeMap::new(),
            requests: Vec::new(),
            repos: BTreeMap::new(),
            blobs: BTreeMap::new(),
            serial: 0,
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.serial += 1;
        18_000_000_000 + self.serial
    }

    pub(crate) fn add_repository(&mut self, repository: Repository, now: Timestamp) {
        self.serial += 1;
        let repo = Repo::new(700_000_000 + self.serial, repository, now);
        self.repos.insert(repo.name.to_lowercase(), repo);
    }

    pub(crate) fn repo(&mut self, name: &str) -> Result<&mut Repo, Refusal> {
        self.repos
            .get_mut(&name.to_lowercase())
            .ok_or_else(Refusal::not_found)
    }

    pub(crate) fn set_script(&mut self, name: &str, script: Script) -> Result<(), Refusal> {
        self.repo(name)?.script = Arc::new(Prepared::new(script));
        Ok(())
    }

    /// Takes every step that is due.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let serial = &mut self.serial;
        // Artifact ids are unique, and GitHub's do not tell which is newer: here whoever
        // goes by them is wrong every time.
        let mut next_id = || {
            *serial += 1;
            5_000_000_000 - *serial
        };
        for repo in self.repos.values_mut() {
            for index in 0..repo.runs.len() {
                while let Some(action) = repo.runs[index].step(now, &mut next_id) {
                    let hook = self.render.run_hook(repo, &repo.runs[index], action);
                    self.outbox.push(hook);
                }
            }
        }
    }

    /// When [`World::advance`] has something to do again.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.repos
            .values()
            .flat_map(|repo| &repo.runs)
            .filter_map(Run::due)
            .min()
    }

    /// Starts a run of every active workflow that listens.
    pub(crate) fn repository_dispatch(
        &mut self,
        name: &str,
        actor: &str,
        event_type: &str,
        payload: Value,
        now: Timestamp,
    ) -> Result<Vec<u64>, Refusal> {
        check_dispatch(event_type, &payload)?;
        let repo = self.repo(name)?;
        let listens = Trigger::RepositoryDispatch(event_type.into());
        let workflows: Vec<usize> = (0..repo.workflows.len())
            .filter(|i| repo.workflows[*i].spec.state == "active")
            .filter(|i| repo.workflows[*i].spec.on.contains(&listens))
            .collect();
        let (head_sha, head_branch) = (repo.head().to_string(), repo.default_branch.clone());
        let start = |world: &mut Self, index: usize| {
            let run_name = world.repo(name)?.workflows[index].spec.run_name;
            let origin = Origin {
                repository: name.to_owned(),
                event: "repository_dispatch",
                actor: actor.into(),
                head_branch: head_branch.clone(),
                head_sha: head_sha.clone(),
                display_title: if run_name {
                    run_title(&payload)
                } else {
                    event_type.into()
                },
                payload: payload.clone(),
            };
            world.start_run(name, index, origin, now)
        };
        workflows
            .into_iter()
            .map(|index| start(self, index))
            .collect()
    }

    /// Starts a run of one workflow at a branch or tag.
    pub(crate) fn workflow_dispatch(
        &mut self,
        name: &str,
        actor: String,
        workflow: &str,
        reference: &str,
        inputs: Value,
        now: Timestamp,
    ) -> Result<u64, Refusal> {
        let repo = self.repo(name)?;
        let registered = repo.workflow(workflow).ok_or_else(Refusal::not_found)?;
        let spec = &registered.spec;
        if !spec.on.contains(&Trigger::WorkflowDispatch) {
            let message = "Workflow does not have 'workflow_dispatch' trigger";
            return Err(Refusal::new(422, message));
        }
        if spec.state != "active" {
            return Err(Refusal::new(
                422,
                "Cannot trigger a 'workflow_dispatch' on a disabled workflow",
            ));
        }
        let (commit, head_branch) = repo
            .resolve(reference)
            .filter(|(_, name)| *name == repo.default_branch || repo.tags.contains_key(name))
            .ok_or_else(|| Refusal::new(422, format!("No ref found for: {reference}")))?;
        check_inputs(repo.files.get(&spec.path), &inputs)?;
        let index = repo
            .workflows
            .iter()
            .position(|w| w.id == registered.id)
            .unwrap_or_default();
        let origin = Origin {
            repository: name.to_owned(),
            event: "workflow_dispatch",
            actor,
            head_branch,
            head_sha: commit.sha.clone(),
            display_title: if spec.run_name {
                run_title(&inputs)
            } else {
                spec.name.clone()
            },
            payload: inputs,
        };
        self.start_run(name, index, origin, now)
    }

    fn start_run(
        &mut self,
        name: &str,
        workflow: usize,
        origin: Origin,
        now: Timestamp,
    ) -> Result<u64, Refusal> {
        let (id, speed) = (self.next_id(), self.speed);
        let repo = self.repo(name)?;
        let script = Arc::clone(&repo.script);
        let registered = &repo.workflows[workflow];
        let number = repo
            .runs
            .iter()
            .filter(|run| run.workflow_id == registered.id)
            .count()
            + 1;
        let mut run = Run::new(id, number as u64, registered, origin, script, speed, now);
        if run.script.script.one_at_a_time {
            run.queue_behind(&mut repo.runs, now);
        }
        repo.runs.push(run);
        let repo = &self.repos[&name.to_lowercase()];
        let hook = repo
            .runs
            .last()
            .map(|run| self.render.run_hook(repo, run, "requested"));
        self.outbox.extend(hook);
        Ok(id)
    }

    /// Points a tag at the head, as a maintainer's push does.
    pub(crate) fn create_tag(&mut self, name: &str, tag: &str) -> Result<String, Refusal> {
        let repo = self.repo(name)?;
        let head = repo.head().to_string();
        repo.annotated.remove(tag);
        repo.tags.insert(tag.into(), head.clone());
        let repo = &self.repos[&name.to_lowercase()];
        let hook = self.render.create_hook(repo, tag, "maintainer");
        self.outbox.push(hook);
        Ok(head)
    }

    /// The same by an annotated tag; the id of its object.
    pub(crate) fn annotate_tag(
        &mut self,
        name: &str,
        tag: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<String, Refusal> {
        let object = self.repo(name)?.annotate(tag, message, now);
        let repo = &self.repos[&name.to_lowercase()];
        let hook = self.render.create_hook(repo, tag, "maintainer");
        self.outbox.push(hook);
        Ok(object)
    }

    /// Makes a tag at a commit, as the API does.
    pub(crate) fn tag_commit(
        &mut self,
        name: &str,
        tag: &str,
        sha: &str,
        actor: &str,
    ) -> Result<(), Refusal> {
        let repo = self.repo(name)?;
        if repo.tags.contains_key(tag) {
            return Err(Refusal::new(422, "Reference already exists"));
        }
        if repo.locked_tags.contains(tag) {
            return Err(Refusal::new(422, REF_RESTRICTED));
        }
        if tag.is_empty() || !repo.commits.iter().any(|commit| commit.sha == sha) {
            return Err(Refusal::new(422, "Object does not exist"));
        }
        repo.tags.insert(tag.into(), sha.into());
        let repo = &self.repos[&name.to_lowercase()];
        let hook = self.render.create_hook(repo, tag, actor);
        self.outbox.push(hook);
        Ok(())
    }

    /// The next fault for this webhook; used up by being taken.
    pub(crate) fn take_webhook_fault(&mut self, hook: &Hook) -> Option<WebhookFaultKind> {
        let repo = hook.payload.pointer("/repository/full_name");
        let fault = self.webhook_faults.iter_mut().find(|fault| {
            let named = fault.repo.as_deref();
            fault.times > 0
                && fault.event == hook.event
                && named.is_none_or(|name| repo.is_some_and(|repo| repo == name))
        })?;
        fault.times -= 1;
        Some(fault.kind)
    }

    /// Creates a release (no `id`) or changes one, and sends what follows.
    pub(crate) fn put_release(
        &mut self,
        name: &str,
        login: String,
        id: Option<u64>,
        mut change: Change,
        now: Timestamp,
    ) -> Result<Release, Refusal> {
        let new_id = self.next_id();
        let repo = self.repo(name)?;
        let release = match id {
            Some(id) => repo.release(id)?.clone(),
            None => {
                change.draft.get_or_insert(false);
                Release::new(new_id, &login, &repo.default_branch, now)
            }
        };
        let (release, effect) = repo.put_release(release, change, now)?;
        self.remember(name, release.id, now);
        let Effect {
            tag_created,
            published,
        } = effect;
        let repo = &self.repos[&name.to_lowercase()];
        if let Some(tag) = tag_created {
            self.outbox
                .push(self.render.create_hook(repo, &tag, &login));
        }
        if published {
            self.outbox.push(
                self.render
                    .release_hook(repo, &release, "published", &login),
            );
        }
        Ok(release)
    }

    /// Keeps what a release looks like from now on, none where it is gone.
    pub(crate) fn remember(&mut self, name: &str, id: u64, now: Timestamp) {
        if !self.record {
            return;
        }
        let Some(repo) = self.repos.get(&name.to_lowercase()) else {
            return;
        };
        let release = repo.releases.iter().find(|release| release.id == id);
        self.moments.push(Moment {
            time: now,
            repository: repo.name.clone(),
            id,
            release: release.map(Release::view),
        });
    }

    /// A release that somebody made by hand; its id.
    pub(crate) fn release_as(
        &mut self,
        name: &str,
        actor: &str,
        given: ForeignRelease,
        now: Timestamp,
    ) -> Result<u64, Refusal> {
        let id = self.next_id();
        let ids: Vec<u64> = given.assets.iter().map(|_| self.next_id()).collect();
        let repo = self.repo(name)?;
        let mut release = Release::new(id, actor, &repo.default_branch, now);
        for (id, (name, content)) in ids.into_iter().zip(given.assets) {
            let upload = Upload {
                id,
                uploader: actor.into(),
                name,
                label: String::new(),
                content_type: "application/octet-stream".into(),
                content: content.into(),
                broken: false,
                digest: true,
            };
            release.add_asset(upload, now)?;
        }
        let change = Change {
            tag_name: Some(given.tag),
            draft: Some(given.draft),
            prerelease: Some(given.prerelease),
            ..Change::default()
        };
        repo.put_release(release, change, now)?;
        self.remember(name, id, now);
        Ok(id)
    }

    /// Gives a file an address that is good for a minute and guesses as badly as
    /// GitHub's do; returns its key.
    pub(crate) fn put_blob(&mut self, blob: Blob, now: Timestamp) -> String {
        self.blobs.retain(|_, (_, until)| *until > now);
        self.serial += 1;
        let key = sha256(format!("{:?}{}{now}", self.tokens, self.serial).as_bytes());
        let key = key["sha256:".len()..][..32].to_string();
        self.blobs.insert(key.clone(), (blob, now + BLOB_LIFETIME));
        key
    }

    pub(crate) fn blob(&self, key: &str, now: Timestamp) -> Option<Blob> {
        let (blob, until) = self.blobs.get(key)?;
        (*until > now).then(|| blob.clone())
    }
}

fn check_dispatch(event_type: &str, payload: &Value) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(422, format!("Invalid request.\n\n{message}")));
    match event_type.chars().count() {
        0 => return invalid("event_type is too short (minimum is 1 character)"),
        1..=100 => {}
        _ => return invalid("event_type is too long (maximum is 100 characters)"),
    }
    let Some(keys) = payload.as_object() else {
        return invalid("client_payload is not an object.");
    };
    if keys.len() > 10 {
        return invalid("No more than 10 properties are allowed in client_payload.");
    }
    if payload.to_string().len() >= MAX_PAYLOAD {
        return invalid("client_payload is too large.");
    }
    Ok(())
}

/// GitHub refuses inputs that the workflow does not declare. Good enough without
/// reading YAML: a declared one stands in the file as a key.
fn check_inputs(file: Option<&Vec<u8>>, inputs: &Value) -> Result<(), Refusal> {
    let keys: Vec<&String> = inputs
        .as_object()
        .into_iter()
        .flat_map(|map| map.keys())
        .collect();
    if keys.len() > 25 {
        return Err(Refusal::new(
            422,
            "you may only define up to 25 `inputs` for a `workflow_dispatch` event",
        ));
    }
    let Some(text) = file.map(|file| String::from_utf8_lossy(file)) else {
        return Ok(());
    };
    let declared = |key: &str| {
        let stated = |line: &str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
        };
        text.lines().any(stated)
    };
    let unexpected: Vec<_> = keys.into_iter().filter(|key| !declared(key)).collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        422,
        format!("Unexpected inputs provided: {}", json!(unexpected)),
    ))
}

/// What the `run-name` of docs/workflows/build.yml renders.
fn run_title(payload: &Value) -> String {
    let text = |key: &str| payload[key].as_str().unwrap_or_default();
    format!(
        "{} {} [{}]",
        text("version"),
        text("component"),
        text("nonce")
    )
    .trim()
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_are_limited() {
        let keys = |n: usize| Value::Object((0..n).map(|i| (i.to_string(), json!(1))).collect());
        assert!(check_dispatch("build-chain", &keys(10)).is_ok());
        assert!(check_dispatch(&"e".repeat(100), &keys(0)).is_ok());
        for (event_type, payload) in [
            ("", keys(0)),
            (&*"e".repeat(101), keys(0)),
            ("build-chain", keys(11)),
            ("build-chain", json!([])),
            ("build-chain", json!({ "a": "a".repeat(MAX_PAYLOAD) })),
        ] {
            assert_eq!(
                check_dispatch(event_type, &payload).unwrap_err().status,
                422
            );
        }
    }

    #[test]
    fn inputs_must_be_declared() {
        let file = b"on:\n  workflow_dispatch:\n    inputs:\n      nonce:\n".to_vec();
        assert!(check_inputs(Some(&file), &json!({ "nonce": "n" })).is_ok());
        assert_eq!(
            check_inputs(Some(&file), &json!({ "once": "n" }))
                .unwrap_err()
                .status,
            422
        );
        assert!(check_inputs(None, &json!({ "once": "n" })).is_ok());
    }
}
