//! `Parameters`: an object whose keys that end in `.$` are filled in.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::errors::Failure;
use super::path::{Path, Place};

/// What a task, a pass or a reader is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Template {
    /// As it stands.
    Literal(Value),
    /// What is at a path.
    At(Path),
    /// `States.Format`: a text with a path for each `{}`.
    Format(String, Vec<Path>),
    /// An object.
    Object(Vec<(String, Template)>),
}

impl Template {
    /// Fills it in.
    pub fn fill(&self, place: Place<'_>) -> Result<Value, Failure> {
        let at = |path: &Path| {
            path.find(place)
                .ok_or_else(|| Failure::runtime(format!("there is nothing at {path}")))
        };
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::At(path) => at(path).cloned(),
            Self::Format(text, paths) => {
                let mut filled = String::new();
                let mut paths = paths.iter();
                for (index, part) in text.split("{}").enumerate() {
                    if let Some(path) = (index > 0).then(|| paths.next()).flatten() {
                        match at(path)? {
                            Value::String(text) => filled.push_str(text),
                            other => filled.push_str(&other.to_string()),
                        }
                    }
                    filled.push_str(part);
                }
                Ok(filled.into())
            }
            Self::Object(fields) => {
                let fill = |(key, field): &(String, Self)| Ok((key.clone(), field.fill(place)?));
                let filled: Result<Map<_, _>, Failure> = fields.iter().map(fill).collect();
                filled.map(Value::Object)
            }
        }
    }

    /// What a key that ends in `.$` says.
    fn dynamic(text: &str) -> Result<Self, String> {
        if text.starts_with('$') {
            return Path::try_from(text.to_owned()).map(Self::At);
        }
        let not_known = || format!("the function {text} is not known");
        let arguments = text
            .strip_prefix("States.Format('")
            .and_then(|rest| rest.strip_suffix(')'))
            .ok_or_else(not_known)?;
        let (format, paths) = arguments.split_once('\'').ok_or_else(not_known)?;
        if format.contains('\\') {
            return Err(not_known());
        }
        let paths: Vec<Path> = paths
            .split(',')
            .skip(1)
            .map(|path| Path::try_from(path.trim().to_owned()))
            .collect::<Result<_, _>>()?;
        if paths.len() != format.matches("{}").count() {
            return Err(format!(
                "{text} has another number of arguments than of {{}}"
            ));
        }
        Ok(Self::Format(format.to_owned(), paths))
    }
}

impl TryFrom<Value> for Template {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Value::Object(fields) = value else {
            // A key within a list could be dynamic; none is so far.
            return match value {
                Value::Array(_) => Err("a list in Parameters is not known".into()),
                literal => Ok(Self::Literal(literal)),
            };
        };
        let field = |(key, value): (String, Value)| match (key.strip_suffix(".$"), &value) {
            (Some(key), Value::String(text)) => Ok((key.to_owned(), Self::dynamic(text)?)),
            (Some(_), _) => Err(format!("{key} is no path")),
            (None, _) => Ok((key, Self::try_from(value)?)),
        };
        fields
            .into_iter()
            .map(field)
            .collect::<Result<_, _>>()
            .map(Self::Object)
    }
}
