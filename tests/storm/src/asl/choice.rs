//! The rules of a Choice.

use serde::Deserialize;

use super::errors::Failure;
use super::path::{Path, Place};

/// One rule: a variable that equals something.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Rule {
    variable: Path,
    equals: Equals,
    /// The state that follows where it holds.
    pub next: String,
}

#[derive(Debug, Clone)]
enum Equals {
    Text(String),
    Number(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Fields {
    variable: Path,
    string_equals: Option<String>,
    numeric_equals: Option<f64>,
    next: String,
}

impl TryFrom<Fields> for Rule {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let equals = match (fields.string_equals, fields.numeric_equals) {
            (Some(text), None) => Equals::Text(text),
            (None, Some(number)) => Equals::Number(number),
            _ => return Err("a rule has one comparison".into()),
        };
        Ok(Self {
            variable: fields.variable,
            equals,
            next: fields.next,
        })
    }
}

impl Rule {
    /// Whether it holds. A variable that is not there fails the execution.
    pub fn holds(&self, place: Place<'_>) -> Result<bool, Failure> {
        let missing = || Failure::runtime(format!("there is nothing at {}", self.variable));
        let value = self.variable.find(place).ok_or_else(missing)?;
        Ok(match &self.equals {
            Equals::Text(text) => value.as_str() == Some(text),
            Equals::Number(number) => value.as_f64() == Some(*number),
        })
    }
}
