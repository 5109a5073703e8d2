//! States and their fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::choice::Rule;
use super::errors::{Catcher, Retrier};
use super::path::Path;
use super::template::Template;

/// A whole definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "DefinitionFields")]
pub struct Definition {
    /// After so long an execution ends by its time.
    pub timeout_seconds: Option<u64>,
    /// Its states.
    pub machine: Arc<Machine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct DefinitionFields {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    timeout_seconds: Option<u64>,
    start_at: String,
    states: BTreeMap<String, State>,
}

impl TryFrom<DefinitionFields> for Definition {
    type Error = String;

    fn try_from(fields: DefinitionFields) -> Result<Self, String> {
        Ok(Self {
            timeout_seconds: fields.timeout_seconds,
            machine: Machine::new(fields.start_at, fields.states)?,
        })
    }
}

/// The states of an execution, or of the children of a Map.
#[derive(Debug)]
pub struct Machine {
    /// The first state.
    pub start_at: String,
    /// States by name; every state that follows another is among them.
    pub states: BTreeMap<String, State>,
}

impl Machine {
    fn new(start_at: String, states: BTreeMap<String, State>) -> Result<Arc<Self>, String> {
        let following = states.values().flat_map(State::following);
        for name in following.chain([start_at.as_str()]) {
            if !states.contains_key(name) {
                return Err(format!("there is no state {name}"));
            }
        }
        Ok(Arc::new(Self { start_at, states }))
    }
}

/// A state.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Does something.
    Task(Task),
    /// Goes one of several ways.
    Choice(Choice),
    /// Waits.
    Wait(Wait),
    /// Changes the payload.
    Pass(Pass),
    /// Runs a child execution per item.
    Map(Map),
    /// Ends well.
    Succeed(Succeed),
    /// Ends badly.
    Fail(Fail),
}

impl State {
    /// Its type, as the definition and its history's events name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Task(_) => "Task",
            Self::Choice(_) => "Choice",
            Self::Wait(_) => "Wait",
            Self::Pass(_) => "Pass",
            Self::Map(_) => "Map",
            Self::Succeed(_) => "Succeed",
            Self::Fail(_) => "Fail",
        }
    }

    /// The states that may follow.
    fn following(&self) -> Vec<&str> {
        match self {
            Self::Task(task) => after(&task.step, &task.catch),
            Self::Map(map) => after(&map.step, &map.catch),
            Self::Wait(wait) => after(&wait.step, &[]),
            Self::Pass(pass) => after(&pass.step, &[]),
            Self::Choice(choice) => {
                let rules = choice.choices.iter().map(|rule| rule.next.as_str());
                rules.chain([choice.default.as_str()]).collect()
            }
            Self::Succeed(_) | Self::Fail(_) => Vec::new(),
        }
    }
}

fn after<'a>(step: &'a Step, catchers: &'a [Catcher]) -> Vec<&'a str> {
    let next = match step {
        Step::Next(name) => Some(name.as_str()),
        Step::End => None,
    };
    next.into_iter()
        .chain(catchers.iter().map(|c| c.next.as_str()))
        .collect()
}

/// What comes after a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This state.
    Next(String),
    /// Nothing.
    End,
}

impl Step {
    fn of(next: Option<String>, end: Option<bool>) -> Result<Self, String> {
        match (next, end) {
            (Some(next), None) => Ok(Self::Next(next)),
            (None, Some(true)) => Ok(Self::End),
            _ => Err("a state has either Next, or End that is true".into()),
        }
    }
}

/// The default of `ResultPath`.
pub(super) fn whole() -> Option<Path> {
    Some(Path::root())
}

/// What does something.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "TaskFields")]
pub struct Task {
    /// What is called.
    pub resource: Resource,
    /// What it is given; the input without.
    pub parameters: Option<Template>,
    /// After so long it fails with `States.Timeout`.
    pub timeout_seconds: Option<u64>,
    /// When it is tried again.
    pub retry: Vec<Retrier>,
    /// Where its errors lead.
    pub catch: Vec<Catcher>,
    /// Where its result is put; nowhere for none.
    pub result_path: Option<Path>,
    /// What follows.
    pub step: Step,
}

/// What a task calls.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Resource {
    /// A Lambda function, by its name.
    Function(String),
    /// DynamoDB's UpdateItem, and then an answer to the task's token.
    UpdateItemAndToken,
}

impl TryFrom<String> for Resource {
    type Error = String;

    fn try_from(arn: String) -> Result<Self, String> {
        if arn == "arn:aws:states:::aws-sdk:dynamodb:updateItem.waitForTaskToken" {
            return Ok(Self::UpdateItemAndToken);
        }
        match arn.rsplit_once(":function:") {
            Some((before, name)) if before.starts_with("arn:aws:lambda:") => {
                Ok(Self::Function(name.to_owned()))
            }
            _ => Err(format!("the resource {arn} is not known")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct TaskFields {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    resource: Resource,
    parameters: Option<Template>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    retry: Vec<Retrier>,
    #[serde(default)]
    catch: Vec<Catcher>,
    #[serde(default = "whole")]
    result_path: Option<Path>,
    next: Option<String>,
    end: Option<bool>,
}

impl TryFrom<TaskFields> for Task {
    type Error = String;

    fn try_from(fields: TaskFields) -> Result<Self, String> {
        Ok(Self {
            resource: fields.resource,
            parameters: fields.parameters,
            timeout_seconds: fields.timeout_seconds,
            retry: fields.retry,
            catch: fields.catch,
            result_path: fields.result_path,
            step: Step::of(fields.next, fields.end)?,
        })
    }
}

/// What goes one of several ways.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Choice {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    /// The first one that holds decides.
    pub choices: Vec<Rule>,
    /// What follows where none holds.
    pub default: String,
}

/// What waits.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "WaitFields")]
pub struct Wait {
    /// How long.
    pub time: WaitTime,
    /// What follows.
    pub step: Step,
}

/// How long a Wait takes.
#[derive(Debug, Clone)]
pub enum WaitTime {
    /// So many seconds.
    Seconds(u64),
    /// As the input says.
    SecondsPath(Path),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct WaitFields {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    seconds: Option<u64>,
    seconds_path: Option<Path>,
    next: Option<String>,
    end: Option<bool>,
}

impl TryFrom<WaitFields> for Wait {
    type Error = String;

    fn try_from(fields: WaitFields) -> Result<Self, String> {
        let time = match (fields.seconds, fields.seconds_path) {
            (Some(seconds), None) => WaitTime::Seconds(seconds),
            (None, Some(path)) => WaitTime::SecondsPath(path),
            _ => return Err("a Wait has either Seconds or SecondsPath".into()),
        };
        let step = Step::of(fields.next, fields.end)?;
        Ok(Self { time, step })
    }
}

/// What changes the payload.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PassFields")]
pub struct Pass {
    /// What it gives: a fixed result, or what is filled in; the input without.
    pub result: Option<Template>,
    /// What follows.
    pub step: Step,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct PassFields {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    result: Option<Value>,
    parameters: Option<Template>,
    next: Option<String>,
    end: Option<bool>,
}

impl TryFrom<PassFields> for Pass {
    type Error = String;

    fn try_from(fields: PassFields) -> Result<Self, String> {
        if fields.result.is_some() && fields.parameters.is_some() {
            return Err("a Pass with Result and Parameters is not known".into());
        }
        Ok(Self {
            result: fields.result.map(Template::Literal).or(fields.parameters),
            step: Step::of(fields.next, fields.end)?,
        })
    }
}

/// What runs a child execution per item.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "MapFields")]
pub struct Map {
    /// In the children's names.
    pub label: String,
    /// `Bucket` and `Key` of the items, a list in JSON.
    pub items: Template,
    /// So many children at once.
    pub max_concurrency: usize,
    /// The children's states.
    pub machine: Arc<Machine>,
    /// Where its errors lead.
    pub catch: Vec<Catcher>,
    /// Where the children's outputs are put; nowhere for none.
    pub result_path: Option<Path>,
    /// What follows.
    pub step: Step,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct MapFields {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    label: String,
    item_reader: ItemReader,
    max_concurrency: usize,
    #[serde(rename = "ToleratedFailurePercentage")]
    tolerated: f64,
    item_processor: ItemProcessor,
    #[serde(default)]
    catch: Vec<Catcher>,
    #[serde(default = "whole")]
    result_path: Option<Path>,
    next: Option<String>,
    end: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ItemReader {
    resource: ReaderResource,
    #[serde(rename = "ReaderConfig")]
    _config: ReaderConfig,
    parameters: Template,
}

#[derive(Deserialize)]
enum ReaderResource {
    #[serde(rename = "arn:aws:states:::s3:getObject")]
    GetObject,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ReaderConfig {
    #[serde(rename = "InputType")]
    _input: InputType,
}

#[derive(Deserialize)]
enum InputType {
    #[serde(rename = "JSON")]
    Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ItemProcessor {
    #[serde(rename = "ProcessorConfig")]
    _config: ProcessorConfig,
    start_at: String,
    states: BTreeMap<String, State>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ProcessorConfig {
    #[serde(rename = "Mode")]
    _mode: Mode,
    #[serde(rename = "ExecutionType")]
    _kind: ExecutionType,
}

#[derive(Deserialize)]
enum Mode {
    #[serde(rename = "DISTRIBUTED")]
    Distributed,
}

#[derive(Deserialize)]
enum ExecutionType {
    #[serde(rename = "STANDARD")]
    Standard,
}

impl TryFrom<MapFields> for Map {
    type Error = String;

    fn try_from(fields: MapFields) -> Result<Self, String> {
        if fields.tolerated != 100.0 {
            return Err("a Map that fails with its children is not known".into());
        }
        let ReaderResource::GetObject = fields.item_reader.resource;
        let processor = fields.item_processor;
        Ok(Self {
            label: fields.label,
            items: fields.item_reader.parameters,
            max_concurrency: fields.max_concurrency,
            machine: Machine::new(processor.start_at, processor.states)?,
            catch: fields.catch,
            result_path: fields.result_path,
            step: Step::of(fields.next, fields.end)?,
        })
    }
}

/// What ends well.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succeed {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
}

/// What ends badly.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Fail {
    #[serde(rename = "Comment")]
    _comment: Option<IgnoredAny>,
    /// Where the error's name is.
    pub error_path: Path,
    /// Where the cause is.
    pub cause_path: Path,
}
