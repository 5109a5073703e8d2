//! Records as DynamoDB items, and one record's change as an update expression.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// `waiting_on` is a string set, so that DynamoDB can delete one member of it.
const STRING_SETS: [&str; 1] = ["waiting_on"];

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// A record as an item without its keys.
pub(crate) fn to_item<T: Serialize>(record: &T) -> Result<Item, StoreError> {
    let mut item: Item =
        serde_dynamo::to_item(record).map_err(|error| StoreError::malformed("a record", &error))?;
    for name in STRING_SETS {
        if let Some(AttributeValue::L(members)) = item.get(name) {
            let members: Vec<String> = members
                .iter()
                .filter_map(|m| m.as_s().ok().cloned())
                .collect();
            item.insert(name.to_owned(), AttributeValue::Ss(members));
        }
    }
    Ok(item)
}

pub(crate) fn from_item<T: DeserializeOwned>(what: &str, mut item: Item) -> Result<T, StoreError> {
    item.remove("pk");
    item.remove("sk");
    serde_dynamo::from_item(item).map_err(|error| StoreError::malformed(what, &error))
}

/// An update expression that turns one item into another: only what differs, so
/// that counters and sets which others change at the same time are left alone.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub expression: String,
    /// What is changed is still as it was read.
    pub unchanged: String,
    pub names: HashMap<String, String>,
    pub values: Item,
}

impl Update {
    /// `strict` conditions it on all that it changes, not only on what the caller adds.
    pub(crate) fn between(before: &Item, after: &Item, strict: bool) -> Self {
        let mut update = Self::default();
        let (mut set, mut remove, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
        let mut changed: Vec<&String> = after
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(*value))
            .map(|(name, _)| name)
            .collect();
        changed.sort();
        for (n, name) in changed.into_iter().enumerate() {
            update.names.insert(format!("#s{n}"), name.clone());
            update.values.insert(format!(":s{n}"), after[name].clone());
            set.push(format!("#s{n} = :s{n}"));
            match before.get(name) {
                Some(old) if strict => {
                    update.values.insert(format!(":o{n}"), old.clone());
                    unchanged.push(format!("#s{n} = :o{n}"));
                }
                Some(_) => {}
                None => unchanged.push(format!("attribute_not_exists(#s{n})")),
            }
        }
        for (n, name) in before
            .keys()
            .filter(|name| !after.contains_key(*name))
            .enumerate()
        {
            update.names.insert(format!("#r{n}"), name.clone());
            if strict {
                update.values.insert(format!(":r{n}"), before[name].clone());
                unchanged.push(format!("#r{n} = :r{n}"));
            }
            remove.push(format!("#r{n}"));
        }
        let clause = |word: &str, parts: Vec<String>| {
            if parts.is_empty() {
                String::new()
            } else {
                format!("{word} {} ", parts.join(", "))
            }
        };
        update.unchanged = unchanged.join(" AND ");
        update.expression = clause("SET", set) + &clause("REMOVE", remove);
        update
    }

    pub(crate) fn name(mut self, placeholder: &str, name: &str) -> Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    pub(crate) fn value(mut self, placeholder: &str, value: AttributeValue) -> Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_holds_only_what_differs() {
        let before = HashMap::from([
            ("a".to_owned(), text("1")),
            ("b".to_owned(), text("2")),
            ("c".to_owned(), text("3")),
        ]);
        let after = HashMap::from([("a".to_owned(), text("1")), ("b".to_owned(), text("4"))]);
        let update = Update::between(&before, &after, true);
        assert_eq!(update.expression, "SET #s0 = :s0 REMOVE #r0 ");
        assert_eq!(
            (update.names["#s0"].as_str(), update.names["#r0"].as_str()),
            ("b", "c")
        );
        assert_eq!(update.values[":s0"], text("4"));
        assert_eq!(update.unchanged, "#s0 = :o0 AND #r0 = :r0");
        assert_eq!(
            (&update.values[":o0"], &update.values[":r0"]),
            (&text("2"), &text("3"))
        );
    }
}
