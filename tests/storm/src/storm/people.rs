//! What people do while releases run: they start them, stop them, start them again, push,
//! and dispatch the same events for purposes of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commons_domain::clock::Clock as _;
use serde_json::{Value, json};

use super::odds::{self, chance};
use super::plan::{OWNER, Plan, Version};
use super::skies::Skies;
use crate::executions::{Execution, Status};
use crate::weather::Weather as _;
use crate::{Driver, StateMachine};

/// Between two looks of a person.
const LOOK: Duration = Duration::from_secs(20);
/// A tag's webhook has started its release by then, or is lost.
const BY_HAND: Duration = Duration::from_secs(1800);
/// Who is about to start a release again has no patience for more.
const AGAIN: u32 = 4;

/// Everybody around a deployment.
pub struct People {
    plan: Arc<Plan>,
    skies: Arc<Skies>,
    machine: Arc<StateMachine>,
    github: Arc<github_simulator::Simulator>,
    /// Versions that somebody still cares about.
    left: Arc<AtomicUsize>,
    asked_again: std::sync::Mutex<Vec<(String, String)>>,
}

impl People {
    /// Begins everything that people do.
    pub fn begin(plan: &Arc<Plan>, skies: &Arc<Skies>, driver: &Driver) -> Arc<Self> {
        let people = Arc::new(Self {
            plan: Arc::clone(plan),
            skies: Arc::clone(skies),
            machine: Arc::clone(&driver.machine),
            github: Arc::clone(&driver.github),
            left: Arc::new(AtomicUsize::new(plan.versions.len())),
            asked_again: std::sync::Mutex::default(),
        });
        for version in plan.versions.clone() {
            let somebody = Arc::clone(&people);
            people.machine.clock.spawn(async move {
                somebody.release(&version).await;
                somebody.left.fetch_sub(1, Ordering::SeqCst);
            });
        }
        for component in &plan.components {
            people.disturb(&component.name);
        }
        people
    }

    /// Whether nobody cares about any version any more.
    pub fn are_done(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    /// What was asked for by name: version and component.
    pub fn asked_again(&self) -> Vec<(String, String)> {
        let asked = self.asked_again.lock();
        asked
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    async fn sleep(&self, time: Duration) {
        self.machine.clock.sleep(time).await;
    }

    /// The executions of a version.
    fn executions(&self, version: &str) -> Vec<Arc<Execution>> {
        let mut all = self.machine.executions.list();
        all.retain(|e| !e.child && e.input["version"] == version);
        all
    }

    fn runs(&self, version: &str) -> Option<Arc<Execution>> {
        let mut all = self.executions(version).into_iter();
        all.find(|e| e.status() == Status::Running)
    }

    fn is_published(&self, version: &str) -> bool {
        let releases = self.github.releases(&self.plan.release_repository);
        releases.iter().any(|r| !r.draft && r.tag_name == version)
    }

    fn input(version: &Version) -> Value {
        let mut input = json!({ "version": version.name });
        if version.draft {
            input["publish"] = "draft".into();
        }
        input
    }

    async fn release(self: &Arc<Self>, version: &Version) {
        let name = &version.name;
        self.sleep(Duration::from_secs_f64(version.after)).await;
        if version.by_tag {
            self.github.create_tag(&self.plan.release_repository, name);
            let began = self.machine.clock.now();
            while self.executions(name).is_empty() {
                let waited = self.machine.clock.now().duration_since(began);
                if waited.unsigned_abs() > BY_HAND {
                    break;
                }
                self.sleep(LOOK).await;
            }
        }
        if self.executions(name).is_empty() {
            self.start(name, Self::input(version));
        }
        for again in 1..=AGAIN {
            self.watch(name, again).await;
            let question = format!("{name} is started again, {again}");
            let mut dice = self.skies.dice(&question);
            if version.draft || self.is_published(name) || !chance(&mut dice, odds::RESUMED) {
                return;
            }
            self.sleep(Duration::from_secs_f64(900.0 * dice.f64().powi(3)))
                .await;
            let mut input = Self::input(version);
            if chance(&mut dice, odds::BY_NAME) {
                let which = dice.usize(0..self.plan.components.len());
                let component = &self.plan.components[which].name;
                input["only"] = json!([component]);
                let asked = self.plan.with_dependents(component).into_iter();
                let mut all = self
                    .asked_again
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                all.extend(asked.map(|component| (name.clone(), component)));
            }
            if self.skies.may(&question) {
                self.start(&format!("{name}-again-{again}"), input);
            }
        }
        self.watch(name, AGAIN + 1).await;
    }

    fn start(&self, name: &str, input: Value) {
        if self.machine.start(name, input).is_err() {
            tracing::warn!(name, "an execution of this name was started before");
        }
    }

    /// Waits until no execution of a version runs; stops one, starts a second one beside
    /// it.
    async fn watch(&self, name: &str, again: u32) {
        let stops = format!("{name} is stopped, {again}");
        let mut dice = self.skies.dice(&stops);
        let stops_at = chance(&mut dice, odds::ABORTED) && self.skies.may(&stops);
        let mut stops_at = stops_at.then(|| Duration::from_secs_f64(7200.0 * dice.f64().powi(2)));
        let second = format!("{name} is started a second time, {again}");
        let mut dice = self.skies.dice(&second);
        let second_at = chance(&mut dice, odds::SECOND) && self.skies.may(&second);
        let mut second_at = second_at.then(|| Duration::from_secs_f64(3600.0 * dice.f64()));
        let began = self.machine.clock.now();
        while let Some(running) = self.runs(name) {
            let waited = self
                .machine
                .clock
                .now()
                .duration_since(began)
                .unsigned_abs();
            if stops_at.take_if(|at| *at <= waited).is_some() {
                self.skies.happened(&stops);
                self.machine.end(&running, Status::Aborted, None);
            }
            if second_at.take_if(|at| *at <= waited).is_some() {
                self.skies.happened(&second);
                self.start(
                    &format!("{name}-second-{again}"),
                    json!({ "version": name }),
                );
            }
            self.sleep(LOOK).await;
        }
    }

    /// Strangers, and pushes.
    fn disturb(self: &Arc<Self>, component: &str) {
        let repository = format!("{OWNER}/{component}");
        for (index, _) in self.plan.versions.iter().enumerate() {
            let stranger = format!("stranger {index} at {repository}");
            let mut dice = self.skies.dice(&stranger);
            if chance(&mut dice, odds::STRANGER) && self.skies.may(&stranger) {
                let at = Duration::from_secs_f64(10_000.0 * dice.f64());
                let actor = match chance(&mut dice, odds::NAMESAKE) {
                    true => "release-bot",
                    false => "somebody",
                };
                let (this, repository) = (Arc::clone(self), repository.clone());
                self.machine.clock.spawn(async move {
                    this.sleep(at).await;
                    this.skies.happened(&stranger);
                    let payload = json!({"version": "v9.9.9", "component": "another"});
                    let github = &this.github;
                    github.dispatch_as(actor, &repository, "build-chain", payload);
                });
            }
            let moves = format!("push {index} to {repository}");
            let mut dice = self.skies.dice(&moves);
            if chance(&mut dice, odds::MOVED) && self.skies.may(&moves) {
                let at = Duration::from_secs_f64(10_000.0 * dice.f64());
                let (this, repository) = (Arc::clone(self), repository.clone());
                self.machine.clock.spawn(async move {
                    this.sleep(at).await;
                    this.skies.happened(&moves);
                    this.github.push_commit(&repository);
                });
            }
        }
    }
}
