//! Where a value comes from, and where a result goes: `$`, `$.a.b`, `$$.Task.Token`.

use serde::Deserialize;
use serde_json::Value;

/// What is known of the context object `$$`.
const CONTEXT: [&str; 3] = ["/Execution/Id", "/Execution/Input", "/Task/Token"];

/// A path into a state's input, or into the context object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    /// Of the context object `$$`.
    context: bool,
    /// A JSON pointer.
    pointer: String,
}

/// What paths lead into.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// `$`.
    pub input: &'a Value,
    /// `$$`.
    pub context: &'a Value,
}

impl Path {
    /// `$`.
    pub fn root() -> Self {
        let pointer = String::new();
        Self {
            context: false,
            pointer,
        }
    }

    /// What is there.
    pub fn find<'a>(&self, place: Place<'a>) -> Option<&'a Value> {
        let root = if self.context {
            place.context
        } else {
            place.input
        };
        root.pointer(&self.pointer)
    }

    /// Puts a result into a state's input, as `ResultPath` does: objects on the way that
    /// are missing are made. None where a value that is no object is in the way.
    pub fn put(&self, input: Value, result: Value) -> Option<Value> {
        let mut whole = input;
        let mut at = &mut whole;
        for name in self.pointer.split('/').skip(1) {
            at = at
                .as_object_mut()?
                .entry(name)
                .or_insert_with(|| Value::Object(<_>::default()));
        }
        *at = result;
        Some(whole)
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let not_known = || format!("the path {text} is not known");
        let path = text.strip_prefix('$').ok_or_else(not_known)?;
        let (context, path) = path.strip_prefix('$').map_or((false, path), |p| (true, p));
        let names = path.split('.').collect::<Vec<_>>();
        let simple = |name: &&str| {
            let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
            !name.is_empty() && name.chars().all(known)
        };
        if !names[0].is_empty() || !names[1..].iter().all(simple) {
            return Err(not_known());
        }
        let pointer = names.join("/");
        if context && !CONTEXT.contains(&pointer.as_str()) {
            return Err(not_known());
        }
        Ok(Self { context, pointer })
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = if self.context { "$$" } else { "$" };
        write!(f, "{root}{}", self.pointer.replace('/', "."))
    }
}
