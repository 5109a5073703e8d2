use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn substitutions() -> BTreeMap<String, String> {
    let mut given = BTreeMap::new();
    for name in RELEASE
        .split("${")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap())
    {
        let value = if name.ends_with("Seconds") {
            "7"
        } else {
            "arn:aws:lambda:us-east-1:1:function:f"
        };
        given.insert(name.to_owned(), value.to_owned());
    }
    given
}

/// The release's definition with a piece of its text replaced; why it is refused.
fn refused(from: &str, to: &str) -> String {
    assert!(RELEASE.contains(from), "{from}");
    let changed = RELEASE.replacen(from, to, 1);
    Definition::read(&changed, &substitutions())
        .unwrap_err()
        .to_string()
}

#[test]
fn the_release_s_definition_is_understood() {
    let definition = Definition::read(RELEASE, &substitutions()).unwrap();
    assert_eq!(definition.timeout_seconds, Some(7));
    let State::Map(builds) = &definition.machine.states["Builds"] else {
        panic!("Builds is a Map");
    };
    let State::Task(wait) = &builds.machine.states["AwaitRunSoon"] else {
        panic!("AwaitRunSoon is a Task");
    };
    assert_eq!(wait.timeout_seconds, Some(7));
    assert_eq!(wait.result_path, None);
}

#[test]
fn what_is_not_known_is_refused_when_the_definition_is_read() {
    for (from, to, why) in [
        ("Type: Succeed", "Type: Parallel", "Parallel"),
        (
            "Type: Succeed",
            "Type: Succeed\n    OutputPath: $.a",
            "OutputPath",
        ),
        (
            "ResultPath: $.answer",
            "ResultSelector: {}",
            "ResultSelector",
        ),
        ("BackoffRate: 2", "Backoff: 2", "Backoff"),
        ("JitterStrategy: FULL", "JitterStrategy: HALF", "HALF"),
        ("NumericEquals: 0", "NumericLessThan: 0", "NumericLessThan"),
        ("$$.Execution.Id", "$$.Execution.Name", "$$.Execution.Name"),
        ("$.items_key", "$.items[0]", "$.items[0]"),
        (
            "States.Format('{}', $.answer.seq)",
            "States.UUID()",
            "States.UUID()",
        ),
        ("Mode: DISTRIBUTED", "Mode: INLINE", "INLINE"),
        (
            "ToleratedFailurePercentage: 100",
            "ToleratedFailurePercentage: 5",
            "Map",
        ),
        (
            "SecondsPath: $.answer.wait_seconds",
            "TimestampPath: $.at",
            "TimestampPath",
        ),
        ("updateItem.waitForTaskToken", "putItem", "putItem"),
        ("Next: AnythingToBuild", "Next: Nowhere", "Nowhere"),
        (
            "Resource: ${PlanFunctionArn}",
            "Resource: ${Other}",
            "Other",
        ),
    ] {
        let refusal = refused(from, to);
        assert!(refusal.contains(why), "{to}: {refusal}");
    }
}

fn place<'a>(input: &'a Value, context: &'a Value) -> Place<'a> {
    Place { input, context }
}

#[test]
fn a_template_is_filled_from_the_input_and_the_context() {
    let template = Template::try_from(json!({
        "TableName": "t",
        "Key": {"pk": {"S.$": "$.release"}},
        "Token.$": "$$.Task.Token",
        "Seq.$": "States.Format('{} of {}', $.seq, $.release)",
        "All.$": "$",
    }));
    let (input, context) = (
        json!({"release": "r", "seq": 4}),
        json!({"Task": {"Token": "x"}}),
    );
    let filled = template
        .clone()
        .unwrap()
        .fill(place(&input, &context))
        .unwrap();
    assert_eq!(
        filled,
        json!({"TableName": "t", "Key": {"pk": {"S": "r"}}, "Token": "x", "Seq": "4 of r", "All": input})
    );
    let nothing = template.unwrap().fill(place(&json!({}), &context));
    assert_eq!(nothing.unwrap_err().error, "States.Runtime");
}

#[test]
fn a_result_is_put_where_its_path_says() {
    let path = |text: &str| Path::try_from(text.to_owned()).unwrap();
    assert_eq!(path("$").put(json!({"a": 1}), json!(2)), Some(json!(2)));
    let put = path("$.b.c").put(json!({"a": 1}), json!(2));
    assert_eq!(put, Some(json!({"a": 1, "b": {"c": 2}})));
    assert_eq!(path("$.a.b").put(json!({"a": 1}), json!(2)), None);
}

#[test]
fn the_first_retrier_that_names_an_error_decides_alone() {
    let retriers: Vec<Retrier> = serde_json::from_value(json!([
        {"ErrorEquals": ["States.Timeout", "Mine"], "MaxAttempts": 0},
        {"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "BackoffRate": 2,
         "MaxAttempts": 2, "MaxDelaySeconds": 3, "JitterStrategy": "FULL"},
    ]))
    .unwrap();
    let failure = |error: &str| Failure {
        error: error.into(),
        cause: String::new(),
    };
    let choose = |used: &[u32], error| Retrier::choose(&retriers, used, &failure(error));
    assert_eq!(choose(&[0, 0], "Mine"), None);
    assert_eq!(choose(&[0, 0], "States.Timeout"), None);
    assert_eq!(choose(&[0, 1], "Other"), Some(1));
    assert_eq!(choose(&[0, 2], "Other"), None);
    assert_eq!(choose(&[0, 0], "States.Runtime"), None);
    let delays = [0, 1, 2].map(|retry| retriers[1].delay(retry, 0.5));
    assert_eq!(delays, [0.5, 1.0, 1.5].map(Duration::from_secs_f64));
}

#[test]
fn a_catcher_for_all_catches_all_but_what_the_definition_got_wrong() {
    let all: Vec<Catcher> =
        serde_json::from_value(json!([{"ErrorEquals": ["States.ALL"], "Next": "N"}])).unwrap();
    assert!(Catcher::choose(&all, &Failure::timeout()).is_some());
    assert!(Catcher::choose(&all, &Failure::runtime(String::new())).is_none());
    assert_eq!(all[0].result_path, Some(Path::root()));
}

#[test]
fn a_rule_needs_its_variable() {
    let rule: Rule =
        serde_json::from_value(json!({"Variable": "$.n", "NumericEquals": 0, "Next": "N"}))
            .unwrap();
    let holds = |input: Value| rule.holds(place(&input, &Value::Null));
    assert_eq!(holds(json!({"n": 0})), Ok(true));
    assert_eq!(holds(json!({"n": "0"})), Ok(false));
    assert!(holds(json!({})).is_err());
}
