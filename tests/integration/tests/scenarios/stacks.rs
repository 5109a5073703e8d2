//! Stacks as they are made and deleted, and what the template says of them where the
//! local cloud does not do it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use integration::World;
use local_cloud::{STACK, Service};
use serde_json::{Value, json};

use crate::drift::{functions, render};

/// What of all stacks is there, apart from what is kept.
async fn there(world: &World) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (service, action, list, name) in [
        (
            Service::States,
            "ListStateMachines",
            "stateMachines",
            "name",
        ),
        (Service::Events, "ListRules", "Rules", "Name"),
        (
            Service::Logs,
            "DescribeLogGroups",
            "logGroups",
            "logGroupName",
        ),
        (Service::Secrets, "ListSecrets", "SecretList", "Name"),
    ] {
        let answer = world.account.call(service, action, json!({})).await;
        for item in answer.unwrap()[list].as_array().unwrap() {
            all.insert(format!("{list}: {}", item[name].as_str().unwrap()));
        }
    }
    all
}

#[tokio::test]
async fn a_second_stack_stands_beside_the_first_and_is_deleted_alone() {
    let world = World::start().await;
    let first = there(&world).await;
    let second = world.deploy_beside("second").await;
    let both = there(&world).await;
    assert!(first.is_subset(&both), "{both:?}");
    assert_eq!(both.len(), 2 * first.len(), "{both:?}");
    assert_ne!(second.table, world.stack.table);
    assert_ne!(second.bucket, world.stack.bucket);
    assert_ne!(second.webhook_url, world.stack.webhook_url);
    assert_ne!(second.state_machine_arn, world.stack.state_machine_arn);

    let cloudformation = async |action: &str, stack: &str| {
        let name = [("StackName", stack)];
        let answer = world.account.cloudformation(action, &name).await;
        answer.unwrap()
    };
    cloudformation("DeleteStack", "second").await;
    let began = Instant::now();
    while there(&world).await != first {
        let elapsed = began.elapsed();
        assert!(elapsed.as_secs() < 30, "{:?}", there(&world).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The first works as before, and what the second released is not forgotten.
    let execution = world.release("v0.1.0").await;
    assert_eq!(world.ended(&execution).await["status"], "SUCCEEDED");
    let stack = cloudformation("DescribeStacks", STACK).await;
    assert!(stack.contains("CREATE_COMPLETE"), "{stack}");
    let tables = world
        .account
        .call(Service::DynamoDb, "ListTables", json!({}))
        .await
        .unwrap();
    let kept = tables["TableNames"].as_array().unwrap();
    assert!(kept.contains(&second.table.as_str().into()), "{tables}");
    world.stop().await;
}

/// A resource of the template.
fn resource<'a>(template: &'a Value, name: &str) -> &'a Value {
    let found = &template["Resources"][name];
    assert!(found.is_object(), "{name} is not in the template");
    found
}

#[tokio::test]
async fn functions_are_for_arm64_unless_somebody_says_otherwise() {
    let template = render().await.template;
    assert_eq!(template["Parameters"]["Architecture"]["Default"], "arm64");
    let function = &template["Globals"]["Function"];
    assert_eq!(function["Architectures"], json!([{"Ref": "Architecture"}]));
    assert_eq!(function["Runtime"], "provided.al2023");
}

#[tokio::test]
async fn the_door_is_throttled_and_open_to_no_page() {
    let template = render().await.template;
    let door = &resource(&template, "Door")["Properties"];
    assert!(door["CorsConfiguration"].is_null());
    let limits = &resource(&template, "DoorStage")["Properties"]["DefaultRouteSettings"];
    let expected = json!({"ThrottlingBurstLimit": 500, "ThrottlingRateLimit": 100});
    assert_eq!(limits, &expected);
}

#[tokio::test]
async fn the_bucket_is_for_tls_only_unless_a_parameter_says_otherwise() {
    let template = render().await.template;
    assert_eq!(template["Parameters"]["TlsOnly"]["Default"], "true");
    let only = json!({"Fn::Equals": [{"Ref": "TlsOnly"}, "true"]});
    assert_eq!(template["Conditions"]["OnlyTls"], only);
    let policy = resource(&template, "ArtifactsOverTlsOnly");
    assert_eq!(policy["Condition"], "OnlyTls");
    let statement = &policy["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!(statement["Effect"], "Deny");
    assert_eq!(statement["Principal"], "*");
    let plain = json!({"Bool": {"aws:SecureTransport": "false"}});
    assert_eq!(statement["Condition"], plain);
    assert_eq!(statement["Resource"].as_array().unwrap().len(), 2);
    let bucket = &resource(&template, "Artifacts")["Properties"];
    let closed = bucket["PublicAccessBlockConfiguration"].as_object();
    let closed = closed.unwrap();
    assert!(closed.len() == 4 && closed.values().all(|set| *set == true));
}

#[tokio::test]
async fn nightlies_are_off_by_default() {
    let template = render().await.template;
    assert_eq!(template["Parameters"]["NightlySchedule"]["Default"], "");
    for name in ["Nightly", "NightlyRole"] {
        assert_eq!(resource(&template, name)["Condition"], "HasNightly");
    }
    let set = json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "NightlySchedule"}, ""]}]});
    assert_eq!(template["Conditions"]["HasNightly"], set);
}

#[tokio::test]
async fn what_was_released_outlives_the_stack_and_nothing_else_does() {
    let template = render().await.template;
    for (name, resource) in template["Resources"].as_object().unwrap() {
        let kept = ["Artifacts", "BuildRuns"].contains(&name.as_str());
        let policy = kept.then_some("RetainExceptOnCreate");
        assert_eq!(resource["DeletionPolicy"].as_str(), policy, "{name}");
    }
}

#[tokio::test]
async fn every_function_writes_to_a_log_group_that_is_deleted_after_it() {
    let template = render().await.template;
    for (name, function) in functions(&template) {
        let group = &function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"];
        let group = &resource(&template, group.as_str().unwrap())["Properties"];
        assert!(group["RetentionInDays"].is_object(), "{name}");
        // A group that named its function would be deleted before it.
        assert!(!group.to_string().contains(&name), "{name}");
    }
}
