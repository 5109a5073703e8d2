//! The oracle catches every bug that is planted: for each of its counts a function is made
//! to go wrong, and nothing else does.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use commons_domain::names::RepoName;
use commons_github::{Body, ReleaseUpdate};
use github_simulator::{FaultKind, ForeignRelease, Simulator, WebhookFaultKind};
use jiff::Timestamp;
use serde_json::{Value, json};
use storm::storm::plan::{Component, Plan, Publishes, Version};
use storm::storm::skies::Skies;
use storm::storm::world::World;
use storm::weather::{Invocation, Planted, Strike, StrikeKind, Weather};
use storm::{CANARY, Driver, Status};
use storm_oracle::What;

const RELEASES: &str = "storm/releases";

fn component(name: &str, requires: &[&str]) -> Component {
    Component {
        name: name.to_owned(),
        requires: requires.iter().map(|r| (*r).to_owned()).collect(),
        by_tag: false,
        shows_nonce: true,
        one_at_a_time: false,
        publishes: Publishes::Binaries,
        queue_seconds: 10.0,
        run_seconds: 300.0,
    }
}

/// `b` requires `a`; nothing goes wrong by itself.
pub fn plan(versions: &[&str]) -> Plan {
    let version = |name: &&str| Version {
        name: (*name).to_owned(),
        after: 0.0,
        by_tag: false,
        draft: false,
    };
    Plan {
        seed: 1,
        release_repository: RELEASES.to_owned(),
        immutable: false,
        components: vec![component("a", &[]), component("b", &["a"])],
        versions: versions.iter().map(version).collect(),
        outages: Vec::new(),
        only: Some(BTreeSet::new()),
    }
}

type Planting = dyn Fn(&Invocation, &str, &str) -> Option<Planted> + Send + Sync;

/// The plan's skies, and a bug.
pub struct Bug {
    skies: Arc<Skies>,
    planted: Box<Planting>,
    pub strike: Option<(&'static str, StrikeKind)>,
    /// The calls that it may happen at end so.
    pub at: &'static str,
    events_are_lost: bool,
}

impl std::fmt::Debug for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bug")
    }
}

impl Bug {
    fn new(skies: Arc<Skies>) -> Self {
        Self {
            skies,
            planted: Box::new(|_, _, _| None),
            strike: None,
            at: "",
            events_are_lost: false,
        }
    }
}

impl Weather for Bug {
    fn strike(&self, invocation: &Invocation) -> Option<Strike> {
        let named = invocation.to_string();
        let struck = self
            .strike
            .as_ref()
            .filter(|(who, _)| named.starts_with(who));
        struck.map(|(_, kind)| Strike {
            call: 1,
            kind: *kind,
        })
    }

    fn hits(&self, _: &Strike, _: u32, what: &str) -> bool {
        what.ends_with(self.at)
    }

    fn github(&self, now: Timestamp, method: &str, path: &str) -> Option<FaultKind> {
        self.skies.github(now, method, path)
    }

    fn webhook(&self, event: &str, payload: &Value) -> Option<WebhookFaultKind> {
        self.skies.webhook(event, payload)
    }

    fn event_is_lost(&self, _: &str) -> bool {
        self.events_are_lost
    }

    fn planted(&self, who: &Invocation, what: &str, body: &str) -> Option<Planted> {
        (self.planted)(who, what, body)
    }

    fn happened(&self, what: &str) {
        self.skies.happened(what);
    }
}

pub async fn world(plan: Plan, bug: impl FnOnce(&mut Bug)) -> World {
    let planted = |skies| {
        let mut planted = Bug::new(skies);
        bug(&mut planted);
        Arc::new(planted)
    };
    World::begin_under(plan, planted).await.unwrap()
}

/// Ends the world; these counts have risen, or none.
pub async fn caught(world: &World, expected: &[What]) {
    world.run().await.unwrap();
    let played = world.judged().await.unwrap();
    let found: Vec<What> = played.findings.iter().map(|f| f.what).collect();
    let told = (&played.findings, &played.faults);
    assert_eq!(found.is_empty(), expected.is_empty(), "{told:#?}");
    for what in expected {
        assert!(found.contains(what), "{what:?}: {told:#?}");
    }
}

/// A request without its conditions.
fn without_conditions(body: &str) -> Planted {
    let mut request: Value = serde_json::from_str(body).unwrap();
    let named = |value: &mut Value| {
        let Some(fields) = value.as_object_mut() else {
            return;
        };
        let condition = fields.remove("ConditionExpression").unwrap_or_default();
        // DynamoDB refuses names and values that nothing uses.
        let update = fields
            .get("UpdateExpression")
            .map(Value::to_string)
            .unwrap_or_default();
        for kind in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
            let Some(used) = fields.get_mut(kind).and_then(Value::as_object_mut) else {
                continue;
            };
            used.retain(|name, _| update.contains(name.as_str()) || condition.is_null());
            if used.is_empty() {
                fields.remove(kind);
            }
        }
    };
    named(&mut request);
    if let Some(items) = request["TransactItems"].as_array_mut() {
        items.retain(|item| item["ConditionCheck"].is_null());
        for item in items {
            for kind in ["Put", "Update"] {
                named(&mut item[kind]);
            }
            let fields = item.as_object_mut().unwrap();
            fields.retain(|_, value| !value.is_null());
        }
    }
    Planted::Sent(request.to_string())
}

fn is_about(body: &str, kind: &str) -> bool {
    body.contains(&format!("{{\"S\":\"{kind}"))
}

/// Reads no such item, and writes it without a condition.
fn ignored(what: &str, body: &str, kind: &str) -> Option<Planted> {
    if !is_about(body, kind) {
        return None;
    }
    match what.rsplit('.').next()? {
        "GetItem" => Some(Planted::Answered("{}".into())),
        "PutItem" => Some(without_conditions(body)),
        _ => None,
    }
}

#[tokio::test]
async fn without_a_bug_nothing_is_found() {
    let world = world(plan(&["v1.0.0", "v1.1.0"]), |_| {}).await;
    caught(&world, &[]).await;
    assert_eq!(world.judged().await.unwrap().published, 2);
}

#[tokio::test]
async fn who_takes_another_s_run_publishes_it() {
    let mut plan = plan(&["v1.0.0", "v1.1.0"]);
    plan.versions[1].after = 200.0;
    let github: Arc<OnceLock<Arc<Simulator>>> = Arc::default();
    let knows = Arc::clone(&github);
    let world = world(plan, |bug| {
        bug.planted = Box::new(move |who, what, body| {
            if who.function != "collect" || who.version != "v1.1.0" {
                return None;
            }
            if what.ends_with("TransactWriteItems") {
                return Some(without_conditions(body));
            }
            if !what.ends_with("GetItem") || !body.contains("\"build#a\"") {
                return None;
            }
            let runs = knows.get()?.runs("storm/a");
            let other = runs
                .iter()
                .find(|r| r.client_payload["version"] == "v1.0.0")?;
            let other = json!({ "N": other.id.to_string() });
            let takes = move |answer: &mut Value| answer["Item"]["workflow_run_id"] = other.clone();
            Some(Planted::Misread(Box::new(takes)))
        });
    })
    .await;
    assert!(github.set(Arc::clone(&world.driver.github)).is_ok());
    caught(&world, &[What::WrongRuns]).await;
}

#[tokio::test]
async fn who_skips_conditions_dispatches_twice() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        let kind = StrikeKind::Zombie(60.0);
        bug.strike = Some(("dispatch v1.0.0 a (1)", kind));
        bug.at = "TransactWriteItems";
        bug.planted = Box::new(|who, what, body| {
            if who.function != "dispatch" {
                return None;
            }
            let transaction = what.ends_with("TransactWriteItems");
            let ignored = ignored(what, body, "lock#");
            ignored.or_else(|| transaction.then(|| without_conditions(body)))
        });
    })
    .await;
    caught(&world, &[What::DoubleDispatches]).await;
}

#[tokio::test]
async fn who_ignores_the_generation_dispatches_twice() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        bug.events_are_lost = true;
        let kind = StrikeKind::Zombie(200.0);
        bug.strike = Some(("dispatch v1.0.0 a (1)", kind));
        bug.at = "TransactWriteItems";
        // Of the first owner, which is over when it goes on.
        bug.planted = Box::new(|who, what, body| {
            if who.function != "dispatch" || who.nth > 1 {
                return None;
            }
            let transaction = what.ends_with("TransactWriteItems");
            if what.ends_with("GetItem") && is_about(body, "release") {
                let first = |answer: &mut Value| answer["Item"]["generation"] = json!({"N": "1"});
                return Some(Planted::Misread(Box::new(first)));
            }
            let ignored = ignored(what, body, "lock#");
            ignored.or_else(|| transaction.then(|| without_conditions(body)))
        });
    })
    .await;
    let driver = &world.driver;
    let runs = |driver: &Driver| driver.machine.executions.list().iter().any(|e| e.child);
    driver.run_until(runs).await.unwrap();
    let all = driver.machine.executions.list();
    let first = all.iter().find(|e| !e.child).unwrap();
    driver.machine.end(first, Status::Aborted, None);
    let again = driver.start_again("v1.0.0-again", json!({ "version": "v1.0.0" }));
    assert!(again.is_ok());
    caught(&world, &[What::DoubleDispatches]).await;
}

/// The release's id and upload address, once there is one that this is true of.
async fn release(world: &World, is: impl Fn(&github_simulator::ReleaseView) -> bool) -> u64 {
    let found = |driver: &Driver| driver.github.releases(RELEASES).iter().any(&is);
    world.driver.run_until(found).await.unwrap();
    let all = world.driver.github.releases(RELEASES);
    all.iter().find(|release| is(release)).unwrap().id
}

fn releases() -> RepoName {
    RepoName::new(RELEASES).unwrap()
}

#[tokio::test]
async fn who_publishes_early_shows_a_part() {
    let world = world(plan(&["v1.0.0"]), |_| {}).await;
    let draft = release(&world, |release| release.draft).await;
    let github = &world.driver.machine.stage.github;
    let update = ReleaseUpdate {
        draft: Some(false),
        ..ReleaseUpdate::default()
    };
    github
        .update_release(&releases(), draft, &update)
        .await
        .unwrap();
    caught(&world, &[What::PartialReleases]).await;
}

#[tokio::test]
async fn who_forgets_the_draft_makes_two() {
    let world = world(plan(&["v1.0.0"]), |_| {}).await;
    release(&world, |release| !release.draft).await;
    let another = ForeignRelease {
        tag: "v1.0.0".into(),
        draft: true,
        ..ForeignRelease::default()
    };
    world
        .driver
        .github
        .release_as("release-bot", RELEASES, another);
    caught(&world, &[What::DoubleReleases]).await;
}

#[tokio::test]
async fn who_takes_what_is_required_for_green_is_early() {
    let mut plan = plan(&["v1.0.0"]);
    // Longer than what waits for it does without looking.
    (
        plan.components[0].queue_seconds,
        plan.components[0].run_seconds,
    ) = (600.0, 3400.0);
    let world = world(plan, |bug| {
        bug.planted = Box::new(|who, what, body| {
            let looks = who.function == "dispatch" && who.component == "b";
            let required = what.ends_with("GetItem") && body.contains("\"build#a\"");
            let green = |answer: &mut Value| answer["Item"]["status"] = json!({"S": "success"});
            (looks && required).then(|| Planted::Misread(Box::new(green)))
        });
    })
    .await;
    caught(&world, &[What::EarlyDispatches]).await;
}

#[tokio::test]
async fn who_forgets_what_is_green_builds_it_again() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        bug.planted = Box::new(|who, what, body| {
            if who.function != "plan" || who.nth < 2 {
                return None;
            }
            let forgets = |answer: &mut Value| {
                for item in answer["Items"].as_array_mut().into_iter().flatten() {
                    if item["sk"]["S"] == "build#a" {
                        item["status"] = json!({"S": "failure"});
                        item.as_object_mut().unwrap().remove("collected");
                    }
                }
            };
            match what.rsplit('.').next()? {
                "Query" => Some(Planted::Misread(Box::new(forgets))),
                "TransactWriteItems" => Some(without_conditions(body)),
                _ => None,
            }
        });
    })
    .await;
    let driver = &world.driver;
    let runs = |driver: &Driver| !driver.github.runs("storm/b").is_empty();
    driver.run_until(runs).await.unwrap();
    let all = driver.machine.executions.list();
    let first = all.iter().find(|e| !e.child).unwrap();
    driver.machine.end(first, Status::Aborted, None);
    driver
        .run_until(|driver| driver.elapsed().as_secs() > 2000)
        .await
        .unwrap();
    let again = driver.start_again("v1.0.0-again", json!({ "version": "v1.0.0" }));
    assert!(again.is_ok());
    caught(&world, &[What::RebuiltGreen]).await;
}

#[tokio::test]
async fn who_never_settles_leaves_a_release_without_end() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        let kind = StrikeKind::DieBefore;
        bug.strike = Some(("settle", kind));
    })
    .await;
    let driver = &world.driver;
    let runs = |driver: &Driver| !driver.github.runs("storm/b").is_empty();
    driver.run_until(runs).await.unwrap();
    let all = driver.machine.executions.list();
    let first = all.iter().find(|e| !e.child).unwrap();
    driver.machine.end(first, Status::Aborted, None);
    caught(&world, &[What::Stuck]).await;
}

#[tokio::test]
async fn who_frees_no_lock_leaks_it() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        bug.planted = Box::new(|_, what, body| {
            let frees = what.ends_with("TransactWriteItems") && body.contains("\"Delete\"");
            frees.then(|| {
                let mut told: Value = serde_json::from_str(body).unwrap();
                let items = told["TransactItems"].as_array_mut().unwrap();
                items.retain(|item| item["Delete"].is_null());
                Planted::Sent(told.to_string())
            })
        });
    })
    .await;
    caught(&world, &[What::LeakedLocks]).await;
}

/// Publishes other bytes under the name of what was published.
async fn replace(world: &World, name: &str, other: impl Fn(&[u8]) -> Vec<u8>) {
    let id = release(world, |release| !release.draft).await;
    let published = world.driver.github.releases(RELEASES);
    let asset = published[0].assets.iter().find(|asset| asset.name == name);
    let asset = asset.unwrap();
    let changed = other(&asset.content);
    let github = &world.driver.machine.stage.github;
    github.delete_asset(&releases(), asset.id).await.unwrap();
    let upload = github.release(&releases(), id).await.unwrap().upload_url;
    let (length, within) = (changed.len() as u64, Duration::from_secs(10));
    let uploaded = github.upload_asset(&upload, name, length, Body::from(changed), within);
    uploaded.await.unwrap();
}

#[tokio::test]
async fn who_publishes_what_no_run_built_is_found() {
    let world = world(plan(&["v1.0.0"]), |_| {}).await;
    // Its last line still says who built it.
    replace(&world, "a", |built| [b"changed: ", built].concat()).await;
    caught(&world, &[What::UnverifiedPublished, What::PartialReleases]).await;
}

#[tokio::test]
async fn who_publishes_sums_that_nobody_signed_is_found() {
    let world = world(plan(&["v1.0.0"]), |_| {}).await;
    replace(&world, "SHA256SUMS", |sums| [sums, b"\n"].concat()).await;
    caught(&world, &[What::UnverifiedPublished]).await;
}

#[tokio::test]
async fn who_writes_a_secret_is_found() {
    let world = world(plan(&["v1.0.0"]), |bug| {
        bug.planted = Box::new(|_, what, body| {
            let told = body.replace(
                "\"reason\":{\"S\":\"",
                &format!("\"reason\":{{\"S\":\"{CANARY} "),
            );
            let writes = what.ends_with("TransactWriteItems") && told != body;
            writes.then(|| Planted::Sent(told))
        });
    })
    .await;
    caught(&world, &[What::LeakedSecrets]).await;
}
