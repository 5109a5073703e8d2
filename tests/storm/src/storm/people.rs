//! What people do while releases run: they start them, stop them, start them again, push,
//! and dispatch the same events for purposes of their own.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::odds::{self, chance};
use super::plan::{OWNER, Plan, Version};
use super::skies::Skies;
use crate::weather::Weather as _;

/// Between two looks of a person.
const LOOK: Duration = Duration::from_secs(20);
/// A tag's webhook has started its release by then, or is lost.
const BY_HAND: Duration = Duration::from_secs(1800);
/// Who is about to start a release again has no patience for more.
const AGAIN: u32 = 4;

/// Something that is done in a while.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where people's wishes are carried out.
pub trait Place: Send + Sync {
    /// Waits; in a release's own time.
    fn sleep(&self, time: Duration) -> Doing<'_, ()>;

    /// How long it has been since the beginning; in a release's own time.
    fn elapsed(&self) -> Duration;

    /// Does something in the background.
    fn spawn(&self, doing: Doing<'static, ()>);

    /// The executions of a version: whether each runs.
    fn executions<'a>(&'a self, version: &'a str) -> Doing<'a, Vec<(String, bool)>>;

    /// Starts an execution of this name, if there is none.
    fn start<'a>(&'a self, name: &'a str, input: Value) -> Doing<'a, ()>;

    /// Stops an execution.
    fn stop<'a>(&'a self, execution: &'a str) -> Doing<'a, ()>;
}

/// Everybody around a deployment.
pub struct People {
    plan: Arc<Plan>,
    skies: Arc<Skies>,
    place: Arc<dyn Place>,
    github: Arc<github_simulator::Simulator>,
    /// Versions that somebody still cares about.
    left: Arc<AtomicUsize>,
    asked_again: Mutex<Vec<(String, String)>>,
}

impl People {
    /// Begins everything that people do.
    pub fn begin(
        plan: &Arc<Plan>,
        skies: &Arc<Skies>,
        place: Arc<dyn Place>,
        github: &Arc<github_simulator::Simulator>,
    ) -> Arc<Self> {
        let people = Arc::new(Self {
            plan: Arc::clone(plan),
            skies: Arc::clone(skies),
            place,
            github: Arc::clone(github),
            left: Arc::new(AtomicUsize::new(plan.versions.len())),
            asked_again: Mutex::default(),
        });
        for version in plan.versions.clone() {
            let somebody = Arc::clone(&people);
            people.place.spawn(Box::pin(async move {
                somebody.release(&version).await;
                somebody.left.fetch_sub(1, Ordering::SeqCst);
            }));
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
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn started(&self, version: &str) -> bool {
        !self.place.executions(version).await.is_empty()
    }

    async fn running(&self, version: &str) -> Option<String> {
        let all = self.place.executions(version).await.into_iter();
        all.filter(|(_, runs)| *runs).map(|(name, _)| name).next()
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
        let (name, place) = (&version.name, &self.place);
        place.sleep(Duration::from_secs_f64(version.after)).await;
        if version.by_tag {
            self.github.create_tag(&self.plan.release_repository, name);
            let began = place.elapsed();
            while !self.started(name).await && place.elapsed() - began < BY_HAND {
                place.sleep(LOOK).await;
            }
        }
        if !self.started(name).await {
            place.start(name, Self::input(version)).await;
        }
        for again in 1..=AGAIN {
            self.watch(name, again).await;
            let question = format!("{name} is started again, {again}");
            let mut dice = self.skies.dice(&question);
            if version.draft || self.is_published(name) || !chance(&mut dice, odds::RESUMED) {
                return;
            }
            place
                .sleep(Duration::from_secs_f64(900.0 * dice.f64().powi(3)))
                .await;
            let mut input = Self::input(version);
            if chance(&mut dice, odds::BY_NAME) {
                let which = dice.usize(0..self.plan.components.len());
                let component = &self.plan.components[which].name;
                input["only"] = json!([component]);
                let asked = self.plan.with_dependents(component).into_iter();
                let mut all = self.asked_again.lock();
                let all = all.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
                all.extend(asked.map(|component| (name.clone(), component)));
            }
            if self.skies.may(&question) {
                place.start(&format!("{name}-again-{again}"), input).await;
            }
        }
        self.watch(name, AGAIN + 1).await;
    }

    /// When something is done within so many seconds, if it is.
    fn drawn(&self, question: &str, odds: odds::Odds, within: f64) -> Option<Duration> {
        let mut dice = self.skies.dice(question);
        let done = chance(&mut dice, odds) && self.skies.may(question);
        done.then(|| Duration::from_secs_f64(within * dice.f64().powi(2)))
    }

    /// Waits until no execution of a version runs; stops one, starts a second one beside
    /// it.
    async fn watch(&self, name: &str, again: u32) {
        let stops = format!("{name} is stopped, {again}");
        let mut stops_at = self.drawn(&stops, odds::ABORTED, 7200.0);
        let second = format!("{name} is started a second time, {again}");
        let mut second_at = self.drawn(&second, odds::SECOND, 3600.0);
        let began = self.place.elapsed();
        while let Some(running) = self.running(name).await {
            let waited = self.place.elapsed() - began;
            if stops_at.take_if(|at| *at <= waited).is_some() {
                self.skies.happened(&stops);
                self.place.stop(&running).await;
            }
            if second_at.take_if(|at| *at <= waited).is_some() {
                self.skies.happened(&second);
                let input = json!({ "version": name });
                self.place
                    .start(&format!("{name}-second-{again}"), input)
                    .await;
            }
            self.place.sleep(LOOK).await;
        }
    }

    /// Strangers, and pushes, and an index of runs that stands still.
    fn disturb(self: &Arc<Self>, component: &str) {
        let repository = format!("{OWNER}/{component}");
        for (index, _) in self.plan.versions.iter().enumerate() {
            let stranger = format!("stranger {index} at {repository}");
            // The protocol takes a namesake's run for its own where none shows a nonce.
            let shows = self.plan.component_in(&repository);
            let shows = shows.is_some_and(|component| component.shows_nonce);
            self.sometime(
                &stranger,
                odds::STRANGER,
                &repository,
                move |this, name, dice| {
                    let actor = match chance(dice, odds::NAMESAKE) && shows {
                        true => "release-bot",
                        false => "somebody",
                    };
                    let payload = json!({"version": "v9.9.9", "component": "another"});
                    this.github.dispatch_as(actor, name, "build-chain", payload);
                },
            );
            let moves = format!("push {index} to {repository}");
            self.sometime(&moves, odds::MOVED, &repository, |this, name, _| {
                this.github.push_commit(name);
            });
        }
        let stands = format!("the index of {repository} stands still");
        self.sometime(&stands, odds::INDEX_STANDS, &repository, |this, name, _| {
            this.github.freeze_search_index(name);
        });
    }

    /// Does something to a repository within three hours, if it is drawn.
    fn sometime(
        self: &Arc<Self>,
        question: &str,
        odds: odds::Odds,
        repository: &str,
        done: impl FnOnce(&Self, &str, &mut Rng) + Send + 'static,
    ) {
        let mut dice = self.skies.dice(question);
        if !chance(&mut dice, odds) || !self.skies.may(question) {
            return;
        }
        let at = Duration::from_secs_f64(10_000.0 * dice.f64());
        let (this, question) = (Arc::clone(self), question.to_owned());
        let repository = repository.to_owned();
        self.place.spawn(Box::pin(async move {
            this.place.sleep(at).await;
            this.skies.happened(&question);
            done(&this, &repository, &mut dice);
        }));
    }
}
