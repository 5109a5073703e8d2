//! Counts what a release asks of AWS.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use storm::weather::{Invocation, Planted, Strike, Weather};

const DYNAMODB: &str = "DynamoDB_20120810.";

/// What was counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Calls of each function.
    pub calls: BTreeMap<String, u64>,
    /// Read units of DynamoDB, as it says itself.
    pub read_units: f64,
    /// Write units, likewise.
    pub write_units: f64,
    /// The most that one update of an item took.
    pub dearest_update: f64,
    /// S3: GET and HEAD.
    pub gets: u64,
    /// S3: all that is neither that nor DELETE.
    pub puts: u64,
}

/// Weather in which nothing goes wrong, and which sees every call.
#[derive(Debug, Default)]
pub struct Meter(Arc<Mutex<Counts>>);

fn locked(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        locked(&self.0).clone()
    }
}

impl Counts {
    fn s3(&mut self, method: &str) {
        match method {
            "GET" | "HEAD" => self.gets += 1,
            "DELETE" => {}
            _ => self.puts += 1,
        }
    }

    fn dynamodb(&mut self, action: &str, answer: &Value) {
        let units = units(answer);
        match action {
            "GetItem" | "Query" => self.read_units += units,
            "UpdateItem" => {
                self.dearest_update = self.dearest_update.max(units);
                self.write_units += units;
            }
            _ => self.write_units += units,
        }
    }
}

/// What a call consumed. A refused write does not say; it is one of a small item.
fn units(answer: &Value) -> f64 {
    let of = |consumed: &Value| consumed["CapacityUnits"].as_f64();
    match &answer["ConsumedCapacity"] {
        Value::Array(all) => all.iter().filter_map(of).sum(),
        one => of(one).unwrap_or(1.0),
    }
}

impl Weather for Meter {
    fn strike(&self, invocation: &Invocation) -> Option<Strike> {
        // The door's name has the event's behind it.
        let function = invocation.function.split(' ').next().unwrap_or_default();
        let mut counts = locked(&self.0);
        *counts.calls.entry(function.to_owned()).or_default() += 1;
        None
    }

    fn planted(&self, _: &Invocation, what: &str, body: &str) -> Option<Planted> {
        if let Some(request) = what.strip_prefix("S3 ") {
            let method = request.split(' ').next().unwrap_or_default();
            locked(&self.0).s3(method);
            return None;
        }
        let action = what.strip_prefix(DYNAMODB)?.to_owned();
        let mut asked: Value = serde_json::from_str(body).ok()?;
        asked["ReturnConsumedCapacity"] = "TOTAL".into();
        let counts = Arc::clone(&self.0);
        let look = move |answer: &Value| locked(&counts).dynamodb(&action, answer);
        Some(Planted::Metered(asked.to_string(), Box::new(look)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::units;

    #[test]
    fn units_are_of_one_table_or_of_a_transaction() {
        assert_eq!(
            units(&json!({"ConsumedCapacity": {"CapacityUnits": 0.5}})),
            0.5
        );
        let two = json!({"ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 1.0}]});
        assert_eq!(units(&two), 3.0);
        assert_eq!(
            units(&json!({"__type": "ConditionalCheckFailedException"})),
            1.0
        );
    }
}
