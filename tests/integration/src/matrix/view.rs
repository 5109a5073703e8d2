//! A world as the matrix compares it: the simulator's runs and releases, what it
//! announced of releases, the table, the bucket and the executions.
//!
//! What differs between two worlds that did the same is given the same name: ids and
//! nonces by their order at the simulator, so that who belongs to whom still shows, in
//! the release manifest too; addresses; times, of which only counts whether they are
//! there; generations, as how far they are from the release's.
//!
//! Left out, since a stage that runs twice may leave another one of each:
//!
//! - events: they are the audit of what was tried, and only grow;
//! - the budget of writes to GitHub: a write that was granted is counted, made or not;
//! - `seq`, the number of wake-ups: a wake-up is a hint that may come twice;
//! - lists of items that earlier generations of Plan wrote: only the last one's is read;
//! - of the release, under which name its manifest was read: the release's tag, once it
//!   is published, else the branch; the commit is compared;
//! - of a build, whether its run was recognised by the id that GitHub returned with the
//!   dispatch: where that answer was not seen, it is recognised by its nonce;
//! - of a build, when GitHub was asked to cancel its run: who is killed right after
//!   asking never writes it down, and the run ends all the same;
//! - of a build, how many attempts were counted: a dispatch whose call never left is
//!   given up and counted, which is how it should be. [`View::attempts`] has them apart.

use std::collections::BTreeMap;
use std::time::Duration;

use commons_domain::documents::{RELEASE_MANIFEST, SUMS};
use commons_domain::names::Sha256;
use github_simulator::{AssetView, ReleaseView, RunView};
use jiff::Timestamp;
use local_cloud::Service;
use serde_json::{Map, Value, json};

use super::Place;
use crate::RELEASE_REPOSITORY;

/// A run that was cancelled has ended by then.
const STILL: Duration = Duration::from_millis(30);
/// A larger number is an id.
const LARGEST_COUNT: u64 = 1_000_000_000;

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// All but the rest.
    pub world: Value,
    /// The items that the last Plan left to build.
    pub plan: Value,
    /// What was counted, by component.
    pub attempts: BTreeMap<String, Attempts>,
}

/// What a build has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempts {
    /// Attempts that were decided on.
    pub attempt: i64,
    /// Those that failed.
    pub retry_count: i64,
    /// Those whose run never appeared.
    pub abandoned: i64,
}

impl Attempts {
    /// Whether these are as many, or one more whose call never left.
    pub fn or_one_given_up(self, counted: Self) -> bool {
        let more = (
            counted.attempt - self.attempt,
            counted.retry_count - self.retry_count,
            counted.abandoned - self.abandoned,
        );
        [(0, 0, 0), (1, 1, 0), (1, 1, 1)].contains(&more)
    }
}

impl View {
    /// The world as it is now.
    pub async fn of(place: &Place) -> View {
        let runs = runs(place).await;
        let releases = place.world.github.releases(RELEASE_REPOSITORY);
        let items = items(place).await;
        let executions = executions(place).await;
        let mut names = Names::of(place, &runs, &releases, &items);
        for (n, (name, _)) in executions.iter().enumerate() {
            names.add(name, format!("execution {n}"));
        }
        let objects = objects(place).await;
        names.add_artifacts(objects.keys());
        let mut view = View {
            world: Value::Null,
            plan: Value::Null,
            attempts: BTreeMap::new(),
        };
        view.world = json!({
            "runs": runs.iter().map(|(name, runs)| {
                let runs: Vec<Value> = runs.iter().map(|run| names.value(run_value(run))).collect();
                ((*name).clone(), runs.into())
            }).collect::<Map<_, _>>(),
            "releases": releases.iter().map(|r| names.value(release_value(r))).collect::<Vec<_>>(),
            "announced": announced(place),
            "table": view.table(&names, &items, &objects),
            "bucket": view.bucket(&names, &objects),
            "executions": executions.into_iter().map(|(_, about)| about).collect::<Vec<_>>(),
        });
        view
    }

    /// The table's items by their key.
    fn table(
        &mut self,
        names: &Names,
        items: &[Value],
        objects: &BTreeMap<String, Vec<u8>>,
    ) -> Value {
        let own = generation(items);
        let mut table = Map::new();
        for item in items {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            let mut item = item.as_object().cloned().unwrap_or_default();
            if let Some(generation) = item.get("generation").and_then(Value::as_u64) {
                let behind = own.abs_diff(generation);
                item.insert("generation".into(), json!(format!("{behind} behind")));
            }
            if sk == "release" {
                item.remove("manifest_ref");
            }
            if sk.starts_with("build#") {
                self.attempts.insert(sk.clone(), counted(&mut item));
                collected(&mut item, objects);
            }
            let item = names.value(item.into());
            table.insert(names.text(&format!("{pk} {sk}")), item);
        }
        table.into()
    }

    /// What is in the bucket: JSON with its ids named, the rest by its sum.
    fn bucket(&mut self, names: &Names, objects: &BTreeMap<String, Vec<u8>>) -> Value {
        let last = objects.keys().filter_map(|key| planned_by(key)).max();
        let mut bucket = Map::new();
        for (key, bytes) in objects {
            let json = || serde_json::from_slice(bytes).expect("JSON");
            match planned_by(key) {
                Some(generation) if Some(generation) == last => {
                    self.plan = plan(json(), generation);
                }
                Some(_) => {}
                None if key.ends_with(".json") => {
                    bucket.insert(names.text(key), names.value(json()));
                }
                None => {
                    bucket.insert(names.text(key), Sha256::of(bytes).as_str().into());
                }
            }
        }
        bucket.into()
    }

    /// Where two worlds differ; empty if they are the same.
    pub fn differences(&self, other: &View) -> Vec<String> {
        let mut found = Vec::new();
        differ("", &self.world, &other.world, &mut found);
        differ("/plan", &self.plan, &other.plan, &mut found);
        found
    }
}

/// Takes out what is not compared; what a build has counted.
fn counted(item: &mut Map<String, Value>) -> Attempts {
    item.remove("seq");
    item.remove("matched_by");
    item.remove("cancel_asked_at");
    let mut number = |name: &str| {
        let number = item.remove(name);
        number.and_then(|n| n.as_i64()).unwrap_or_default()
    };
    Attempts {
        attempt: number("attempt"),
        retry_count: number("retry_count"),
        abandoned: item
            .remove("abandoned")
            .and_then(|nonces| nonces.as_array().map(|nonces| nonces.len() as i64))
            .unwrap_or_default(),
    }
}

/// The sum of the asset list is of ids: it says whether it is right.
fn collected(item: &mut Map<String, Value>, objects: &BTreeMap<String, Vec<u8>>) {
    if let Some(collected) = item.get_mut("collected") {
        let list = objects.get(&text(collected, "key"));
        let right = list.is_some_and(|list| Sha256::of(list).as_str() == text(collected, "sha256"));
        collected["sha256"] = right.into();
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// The generation whose items an object lists.
fn planned_by(key: &str) -> Option<u64> {
    let (_, file) = key.split_once("/plan/")?;
    file.strip_suffix(".json")?.parse().ok()
}

/// The items of a generation, which they name rightly or not.
fn plan(mut items: Value, generation: u64) -> Value {
    for item in items.as_array_mut().into_iter().flatten() {
        let right = [
            item["generation"] == generation,
            item["generation_text"].as_str() == Some(generation.to_string().as_str()),
        ];
        item["generation"] = right[0].into();
        item["generation_text"] = right[1].into();
    }
    items
}

/// The release's generation.
fn generation(items: &[Value]) -> u64 {
    let release = items.iter().find(|item| item["sk"] == "release");
    release.map_or(0, |release| release["generation"].as_u64().unwrap_or(0))
}

/// The runs of every repository, once they stand still: one that was cancelled ends in
/// a moment.
async fn runs<'a>(place: &'a Place) -> BTreeMap<&'a String, Vec<RunView>> {
    let look = || {
        let runs = |name: &'a String| (name, place.world.github.runs(name));
        place
            .repositories
            .iter()
            .map(runs)
            .collect::<BTreeMap<_, _>>()
    };
    let standing = |runs: &BTreeMap<&String, Vec<RunView>>| {
        let all = runs.values().flatten();
        all.map(|run| (run.id, run.run_attempt, run.status.clone()))
            .collect::<Vec<_>>()
    };
    loop {
        let before = standing(&look());
        tokio::time::sleep(STILL).await;
        let runs = look();
        if standing(&runs) == before {
            return runs;
        }
    }
}

/// Every item but the events and the budget.
async fn items(place: &Place) -> Vec<Value> {
    let body = json!({"TableName": place.world.stage.config.table, "ConsistentRead": true});
    let answer = place.world.account.call(Service::DynamoDb, "Scan", body);
    let answer = answer.await.expect("the table");
    assert!(answer["LastEvaluatedKey"].is_null(), "one page");
    let items = answer["Items"].as_array().into_iter().flatten();
    let mut items: Vec<Value> = items.map(crate::unwrap_item).collect();
    items.retain(|item| !text(item, "sk").starts_with("event#") && item["pk"] != "budget");
    items.sort_by_key(|item| (text(item, "pk"), text(item, "sk")));
    items
}

/// The bucket's objects by key.
async fn objects(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let s3 = crate::stage::s3(&place.world.aws);
    let bucket = &place.world.stage.config.bucket;
    let list = s3.list_objects_v2().bucket(bucket).send().await;
    let list = list.expect("the bucket");
    assert_ne!(list.is_truncated(), Some(true), "one page");
    let mut objects = BTreeMap::new();
    for object in list.contents() {
        let key = object.key().expect("a key");
        objects.insert(key.to_owned(), place.world.object(key).await);
    }
    objects
}

/// The executions' names, how they stand and their inputs, where there is a machine.
async fn executions(place: &Place) -> Vec<(String, Value)> {
    let Some(machine) = &place.machine else {
        return Vec::new();
    };
    let states = &place.world.stage.states;
    let list = states.list_executions().state_machine_arn(machine);
    let mut found = Vec::new();
    for execution in list.send().await.expect("the executions").executions() {
        let described = states
            .describe_execution()
            .execution_arn(execution.execution_arn());
        let described = described.send().await.expect("the execution");
        let about = json!({
            "status": described.status().as_str(),
            "input": described.input(),
        });
        found.push((execution.name().to_owned(), about));
    }
    found
}

/// What GitHub told everybody of releases and tags.
fn announced(place: &Place) -> Vec<String> {
    let deliveries = place.world.github.deliveries();
    let of_releases = deliveries
        .iter()
        .filter(|delivery| ["create", "release"].contains(&delivery.event.as_str()));
    of_releases
        .map(|delivery| format!("{} {}", delivery.event, text(&delivery.payload, "action")))
        .collect()
}

fn run_value(run: &RunView) -> Value {
    let mut payload = run.client_payload.clone();
    if let Some(payload) = payload.as_object_mut() {
        payload.remove("attempt");
    }
    json!({
        "id": run.id,
        "path": run.path,
        "event": run.event,
        "status": run.status,
        "conclusion": run.conclusion,
        "head_sha": run.head_sha,
        "run_attempt": run.run_attempt,
        "actor": run.actor,
        "title": run.display_title,
        "payload": payload,
    })
}

fn release_value(release: &ReleaseView) -> Value {
    let asset = |asset: &AssetView| {
        let digest = format!("sha256:{}", Sha256::of(&asset.content));
        let about = json!({
            "size": asset.size,
            "state": asset.state,
            "digest_is_right": asset.digest == Some(digest),
            "content": content(asset, release),
        });
        (asset.name.clone(), about)
    };
    json!({
        "id": release.id,
        "tag": release.tag_name,
        "name": release.name,
        "draft": release.draft,
        "prerelease": release.prerelease,
        "body": without_durations(&release.body),
        "target": release.target_commitish,
        "assets": release.assets.iter().map(asset).collect::<Map<_, _>>(),
    })
}

/// What an asset holds: its sum, but where ids stand in it, or a sum of what has them.
fn content(asset: &AssetView, release: &ReleaseView) -> Value {
    let is_right = |name: &str, sum: &str| {
        let mut named = release.assets.iter().filter(|asset| asset.name == name);
        named.any(|asset| Sha256::of(&asset.content).as_str() == sum)
    };
    match asset.name.as_str() {
        RELEASE_MANIFEST => serde_json::from_slice(&asset.content).expect("JSON"),
        SUMS => {
            let text = String::from_utf8_lossy(&asset.content);
            let line = |line: &str| {
                let named = line.split_once("  ");
                named.map(|(sum, name)| json!({"of": name, "is_right": is_right(name, sum)}))
            };
            text.lines().map(line).collect()
        }
        _ => Sha256::of(&asset.content).as_str().into(),
    }
}

/// The notes without how long each build took, their table's last column.
fn without_durations(notes: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" | ") {
        Some((rest, _)) if line.contains("/actions/runs/") => rest.to_owned(),
        _ => line.to_owned(),
    };
    notes.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Names for what is another in every world.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(
        place: &Place,
        runs: &BTreeMap<&String, Vec<RunView>>,
        releases: &[ReleaseView],
        items: &[Value],
    ) -> Names {
        let mut names = Names(Vec::new());
        for address in [&place.world.github.api_url(), &place.tap.github] {
            names.add(address, "GITHUB".into());
        }
        names.add(place.world.account.id(), "ACCOUNT".into());
        for (repository, runs) in runs {
            for (n, run) in runs.iter().enumerate() {
                names.add(&run.id.to_string(), format!("run {n} of {repository}"));
                let nonce = text(&run.client_payload, "nonce");
                names.add(&nonce, format!("nonce {n} of {repository}"));
            }
        }
        for (n, release) in releases.iter().enumerate() {
            names.add(&release.id.to_string(), format!("release {n}"));
        }
        for item in items {
            let nonce = text(item, "nonce");
            let (pk, sk) = (names.text(&text(item, "pk")), text(item, "sk"));
            names.add(&nonce, format!("nonce of {pk} {sk}"));
        }
        names
    }

    /// Artifacts, which keys of objects name.
    fn add_artifacts<'a>(&mut self, keys: impl Iterator<Item = &'a String>) {
        for key in keys {
            for (n, part) in key.split('/').enumerate() {
                let id = part.trim_end_matches(".json");
                if id.parse().is_ok_and(|id: u64| id > LARGEST_COUNT) {
                    let of = key.split('/').take(n).collect::<Vec<_>>().join("/");
                    let of = format!(" of {}", self.text(&of));
                    let known = self.0.iter().filter(|(_, name)| name.ends_with(&of));
                    let name = format!("artifact {}{of}", known.count());
                    self.add(id, name);
                }
            }
        }
    }

    /// The first name holds.
    fn add(&mut self, raw: &str, name: String) {
        if !raw.is_empty() && !self.0.iter().any(|(known, _)| known == raw) {
            self.0.push((raw.to_owned(), name));
        }
    }

    fn text(&self, text: &str) -> String {
        if text.parse::<Timestamp>().is_ok() {
            return "a time".into();
        }
        let named = |text: String, (raw, name): &(String, String)| text.replace(raw, name);
        self.0.iter().fold(text.to_owned(), named)
    }

    fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.text(&text).into(),
            Value::Number(number) if number.as_u64().is_some_and(|n| n > LARGEST_COUNT) => {
                let raw = number.to_string();
                let known = self.0.iter().find(|(known, _)| *known == raw);
                known.map_or("an id", |(_, name)| name).into()
            }
            Value::Array(list) => list.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(object) => object
                .into_iter()
                .map(|(name, value)| (self.text(&name), self.value(value)))
                .collect(),
            other => other,
        }
    }
}

/// Every place where `one` is not as `other`.
fn differ(place: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let mut names: Vec<&String> = ones.keys().chain(others.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let (one, other) = (&one[name.as_str()], &other[name.as_str()]);
                differ(&format!("{place}/{name}"), one, other, found);
            }
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            for (n, (one, other)) in ones.iter().zip(others).enumerate() {
                differ(&format!("{place}/{n}"), one, other, found);
            }
        }
        _ if one == other => {}
        (Value::String(one), Value::String(other)) => {
            let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
            let from = one.floor_char_boundary(same.count());
            let rest = |text: &str| text[from..].chars().take(80).collect::<String>();
            let (one, other) = (rest(one), rest(other));
            found.push(format!(
                "{place}, from byte {from}: {one:?} became {other:?}"
            ));
        }
        _ => found.push(format!("{place}: {one} became {other}")),
    }
}
