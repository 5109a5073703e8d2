//! Plays a plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use commons_domain::clock::Clock as _;
use commons_domain::names::RepoName;
use serde_json::Value;
use storm_oracle::{Counts, Finding, Seen, What, judge};

use super::evidence;
use super::log;
use super::people::{Doing, People, Place};
use super::plan::Plan;
use super::skies::Skies;
use crate::driver::BEGINNING;
use crate::{Driver, Figures, Options, StateMachine, Status, Stuck};

/// Whatever has no end by then has none: no run takes more than sixteen hours, and each is
/// tried again three times at most; of builds that require each other hardly two are so long.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// What comes after the last end: late runs, sweeps, zombies, none of which is later than
/// half an hour.
const AFTERMATH: Duration = Duration::from_secs(3600);

/// What came of a plan.
#[derive(Debug)]
pub struct Played {
    /// What went wrong.
    pub findings: Vec<Finding>,
    /// The faults that happened.
    pub faults: Vec<String>,
    /// The names of the faults that were drawn.
    pub drawn: BTreeSet<String>,
    /// How many versions were published.
    pub published: usize,
    /// What its executions amount to; nothing where they are the local cloud's.
    pub figures: Figures,
    /// How long it took, in the plan's time.
    pub virtual_time: Duration,
    /// What happened, by time, where something went wrong: a line each.
    pub story: Vec<String>,
    /// What GitHub was asked and answered: the same for the same plan.
    pub trace: u64,
}

impl Played {
    /// The findings, counted.
    pub fn counts(&self) -> Counts {
        Counts::of(&self.findings)
    }
}

/// The driver's Step Functions and clock.
struct Virtual(Arc<StateMachine>);

impl Place for Virtual {
    fn sleep(&self, time: Duration) -> Doing<'_, ()> {
        self.0.clock.sleep(time)
    }

    fn elapsed(&self) -> Duration {
        let elapsed = self.0.clock.now().duration_since(BEGINNING);
        elapsed.unsigned_abs()
    }

    fn spawn(&self, doing: Doing<'static, ()>) {
        self.0.clock.spawn(doing);
    }

    fn executions<'a>(&'a self, version: &'a str) -> Doing<'a, Vec<(String, bool)>> {
        let mut all = self.0.executions.list();
        all.retain(|e| !e.child && e.input["version"] == version);
        let all = all.iter();
        let told = all.map(|e| (e.arn.clone(), e.status() == Status::Running));
        Box::pin(std::future::ready(told.collect()))
    }

    fn start<'a>(&'a self, name: &'a str, input: Value) -> Doing<'a, ()> {
        if self.0.start(name, input).is_err() {
            tracing::warn!(name, "an execution of this name was started before");
        }
        Box::pin(std::future::ready(()))
    }

    fn stop<'a>(&'a self, execution: &'a str) -> Doing<'a, ()> {
        if let Some(execution) = self.0.executions.get(execution) {
            self.0.end(&execution, Status::Aborted, None);
        }
        Box::pin(std::future::ready(()))
    }
}

/// A plan that is being played: for who changes what it comes to.
pub struct World {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its weather.
    pub skies: Arc<Skies>,
    /// The deployment.
    pub driver: Driver,
    people: Arc<People>,
    before: u64,
}

impl World {
    /// Starts a deployment for a plan, and everybody around it.
    pub async fn begin(plan: Plan) -> Result<Self, String> {
        Self::begin_under(plan, |skies| skies).await
    }

    /// The same under other skies, which may be over the plan's own.
    pub async fn begin_under<W>(
        plan: Plan,
        over: impl FnOnce(Arc<Skies>) -> Arc<W>,
    ) -> Result<Self, String>
    where
        W: crate::weather::Weather + 'static,
    {
        // What stages draw by chance.
        fastrand::seed(plan.seed);
        let plan = Arc::new(plan);
        let skies = Arc::new(Skies::new(Arc::clone(&plan), BEGINNING));
        let repository = RepoName::new(&plan.release_repository);
        let options = Options {
            repositories: plan.repositories(),
            release_repository: repository.map_err(|error| error.to_string())?,
            webhooks: true,
            sweeps: true,
            weather: over(Arc::clone(&skies)),
            record: true,
            signs: true,
        };
        let driver = Driver::start(options).await;
        let driver = driver.map_err(|error| error.to_string())?;
        skies.over(&driver.github);
        let place = Arc::new(Virtual(Arc::clone(&driver.machine)));
        let people = People::begin(&plan, &skies, place, &driver.github);
        Ok(Self {
            plan,
            skies,
            driver,
            people,
            before: log::leaks(),
        })
    }

    /// Runs to the end, and a while longer.
    pub async fn run(&self) -> Result<(), Stuck> {
        let driver = &self.driver;
        let over = |driver: &Driver| self.people.are_done() || driver.elapsed() > LONGEST;
        driver.run_until(over).await?;
        let until = driver.elapsed() + AFTERMATH;
        driver.run_until(|driver| driver.elapsed() > until).await
    }

    /// What the oracle is shown.
    pub async fn seen(&self) -> Result<Seen, String> {
        let machine = &self.driver.machine;
        let mut seen = evidence::at_github(&self.plan, &self.driver.github);
        seen.table = evidence::table(&machine.dynamo, &machine.stage.config.table).await?;
        seen.signing_key = Some(self.driver.public_key().await?);
        seen.ends = evidence::ends(&self.plan, &self.driver);
        seen.asked_again = self.people.asked_again().into_iter().collect();
        let items = seen.table.iter().map(Value::to_string);
        let items: Vec<_> = items.map(|item| ("the table".to_owned(), item)).collect();
        seen.written.extend(items);
        for execution in machine.executions.list() {
            let failure = execution.progress().failure.map(|f| f.cause);
            let text = format!("{} {}", execution.input, failure.unwrap_or_default());
            seen.written.push((execution.name.clone(), text));
        }
        for (place, text) in self.objects().await? {
            seen.written.push((place, text));
        }
        if log::leaks() > self.before {
            let told = ("the functions' log".to_owned(), crate::CANARY.to_owned());
            seen.written.push(told);
        }
        Ok(seen)
    }

    /// The lists in the bucket.
    async fn objects(&self) -> Result<Vec<(String, String)>, String> {
        let objects = &self.driver.machine.stage.objects;
        let s3 = self.driver.s3();
        let bucket = &self.driver.machine.stage.config.bucket;
        let mut pages = s3.list_objects_v2().bucket(bucket).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| format!("the bucket: {error}"))?;
            for key in page.contents().iter().filter_map(|object| object.key()) {
                if key.ends_with(".json") {
                    let bytes = objects.get_bytes(key).await;
                    let bytes = bytes.map_err(|error| error.to_string())?;
                    found.push((key.to_owned(), String::from_utf8_lossy(&bytes).into()));
                }
            }
        }
        Ok(found)
    }

    /// The executions that a quota of Step Functions' has ended.
    fn outgrown(&self) -> Vec<Finding> {
        let executions = self.driver.machine.executions.list();
        let outgrown = executions.iter().filter_map(|execution| {
            let failure = execution.progress().history.outgrown()?;
            Some(Finding {
                what: What::Stuck,
                why: format!("{} has {}", execution.name, failure.cause),
            })
        });
        outgrown.collect()
    }

    /// Judges what came of it.
    pub async fn judged(&self) -> Result<Played, String> {
        let seen = self.seen().await?;
        let releases = self.driver.github.releases(&self.plan.release_repository);
        let asked = |tag: &str| seen.asked.contains_key(tag);
        let mut findings = judge(&seen);
        findings.extend(self.outgrown());
        let story = match findings.is_empty() {
            true => Vec::new(),
            false => evidence::story(&seen),
        };
        Ok(Played {
            findings,
            story,
            faults: self.skies.log(),
            drawn: self.skies.drawn(),
            published: releases
                .iter()
                .filter(|r| !r.draft && asked(&r.tag_name))
                .count(),
            figures: self.driver.figures(),
            virtual_time: self.driver.elapsed(),
            trace: trace(&seen),
        })
    }
}

fn trace(seen: &Seen) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    // Downloads lie at addresses that nobody guesses.
    let asked = seen.requests.iter();
    let asked = asked.filter(|request| !request.path.starts_with("/_blob/"));
    // Publish has several uploads on their way at a time, which end in any order: so the
    // numbers of what GitHub makes of them are others.
    let unnumbered = |path: &str| path.replace(|c: char| c.is_ascii_digit(), "");
    let asked = asked.map(|r| (&r.method, unnumbered(&r.path), r.status));
    let mut asked: Vec<_> = asked.collect();
    asked.sort();
    let mut hasher = DefaultHasher::new();
    asked.hash(&mut hasher);
    hasher.finish()
}

/// Plays a plan to its end.
pub async fn play(plan: Plan) -> Result<Played, String> {
    let world = World::begin(plan).await?;
    let ran = world.run().await;
    let mut played = world.judged().await?;
    if let Err(stuck) = ran {
        played.findings.push(Finding {
            what: What::Stuck,
            why: stuck.to_string(),
        });
    }
    Ok(played)
}
