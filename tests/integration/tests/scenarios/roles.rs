//! The template's roles, enforced: what they allow suffices. That they allow no more
//! is the scenario `rights`; what the local cloud does not enforce is compared here.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use github_simulator::Script;
use integration::{RELEASE_REPOSITORY, World};
use local_cloud::Service;
use serde_json::{Value, json};

use crate::drift::{functions, render, states};

#[tokio::test]
async fn the_roles_of_the_template_suffice_for_a_release() {
    let world = World::start_with_roles_enforced().await;
    world.github.create_tag(RELEASE_REPOSITORY, "v0.1.0");
    let execution = world.first_execution().await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    assert_eq!(world.github.releases(RELEASE_REPOSITORY).len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn they_suffice_for_a_release_that_fails() {
    let world = World::start_with_roles_enforced().await;
    world.github.script(
        "BTCDecoded/bllvm-protocol",
        Script {
            conclusions: vec!["failure".into()],
            run_seconds: 60.0,
            ..Script::default()
        },
    );
    let execution = world.release("v0.1.0").await;
    let ended = world.ended(&execution).await;
    assert_eq!(ended["status"], "FAILED", "{ended}");
    let release = &world.items("v0.1.0", "release").await[0];
    assert_eq!(release["status"], "failed", "{release}");
    let error = release["error"].as_str().unwrap();
    assert!(error.starts_with("bllvm-protocol is failure"), "{error}");
    world.stop().await;
}

#[tokio::test]
async fn they_suffice_to_settle_a_release_that_was_aborted() {
    let world = World::start_with_roles_enforced().await;
    world.github.script(
        "BTCDecoded/bllvm-sdk",
        Script {
            run_seconds: 1e6,
            ..Script::default()
        },
    );
    let execution = world.release("v0.1.0").await;
    let began = Instant::now();
    let in_time = || {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it takes too long"
        )
    };
    while world
        .statuses("v0.1.0")
        .await
        .get("bllvm-sdk")
        .map(String::as_str)
        != Some("in_progress")
    {
        in_time();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let body = json!({"executionArn": execution, "cause": "a person stopped it"});
    let stopped = world.account.call(Service::States, "StopExecution", body);
    stopped.await.unwrap();
    // The status-change event calls Settle.
    loop {
        let release = &world.items("v0.1.0", "release").await[0];
        if release["status"] == "cancelled" && release["lease"].is_null() {
            break;
        }
        in_time();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.statuses("v0.1.0").await["bllvm-sdk"], "cancelled");
    world.stop().await;
}

/// A statement's actions, each with each of the things that its resources name.
fn allowed(statement: &Value) -> Vec<(String, String)> {
    // Of one that stands under a condition, what stands there where it holds.
    let conditional = &statement["Fn::If"][1];
    let statement = if conditional.is_null() {
        statement
    } else {
        conditional
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or(vec![value.clone()]);
    let thing = |resource: &Value| match &resource["Fn::GetAtt"][0] {
        Value::String(logical) => logical.clone(),
        _ => {
            let text = resource["Fn::Sub"].as_str().or(resource["Ref"].as_str());
            let text = text.or(resource.as_str()).unwrap();
            let names = ["Artifacts", "stateMachine", "execution"];
            let named = names.iter().find(|name| text.contains(*name));
            (*named.unwrap_or(&text)).to_owned()
        }
    };
    let resources = list(&statement["Resource"]);
    list(&statement["Action"])
        .iter()
        .flat_map(|action| resources.iter().map(move |resource| (action, resource)))
        .map(|(action, resource)| (action.as_str().unwrap().to_owned(), thing(resource)))
        .collect()
}

#[tokio::test]
async fn the_state_machine_s_role_allows_what_its_states_do() {
    let rendered = render().await;
    let mut done = BTreeSet::new();
    let mut does = |action: &str, thing: &str| {
        done.insert((action.to_owned(), thing.to_owned()));
    };
    for (name, state) in states(&rendered.definition) {
        if let Some(resource) = state["Resource"].as_str() {
            match resource.rsplit_once(":function:") {
                Some((_, function)) => does("lambda:InvokeFunction", function),
                None => {
                    let update = "arn:aws:states:::aws-sdk:dynamodb:updateItem.waitForTaskToken";
                    assert_eq!(resource, update, "{name}");
                    does("dynamodb:UpdateItem", "BuildRuns");
                }
            }
        }
        if state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject" {
            does("s3:GetObject", "Artifacts");
        }
        // A Distributed Map starts its children, sees them, and stops them.
        if state["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED" {
            does("states:StartExecution", "stateMachine");
            does("states:DescribeExecution", "execution");
            does("states:StopExecution", "execution");
        }
    }
    let role = &rendered.template["Resources"]["ReleaseRole"]["Properties"]["Policies"];
    let mut may = BTreeSet::new();
    for policy in role.as_array().unwrap() {
        for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
            may.extend(allowed(statement));
        }
    }
    assert_eq!(may, done);
}

#[tokio::test]
async fn no_function_may_do_anything_to_everything() {
    let rendered = render().await;
    for (name, function) in functions(&rendered.template) {
        for policy in function["Properties"]["Policies"].as_array().unwrap() {
            for statement in policy["Statement"].as_array().unwrap() {
                for (action, thing) in allowed(statement) {
                    assert!(!action.contains('*'), "{name}: {action}");
                    // A token names its task, and Step Functions checks no ARN.
                    let by_token = action == "states:SendTaskSuccess";
                    assert!(thing != "*" || by_token, "{name}: {action} on {thing}");
                }
            }
        }
    }
}
