//! What the stages are told when they ask Step Functions.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionError;
use aws_sdk_sfn::operation::send_task_success::SendTaskSuccessError;
use aws_sdk_sfn::operation::start_execution::StartExecutionError;
use aws_sdk_sfn::types::ExecutionStatus;

use crate::{MANIFEST, VERSION, driver, published, repositories};

#[tokio::test]
async fn step_functions_answers_as_at_aws() {
    let driver = driver(repositories(MANIFEST), true).await;
    published(&driver, "a release that is asked about").await;
    let machine = &driver.machine;
    let states = &machine.stage.states;

    let send = |token: &str| {
        states
            .send_task_success()
            .task_token(token)
            .output("{}")
            .send()
    };
    let over = send("token-1").await.unwrap_err().into_service_error();
    assert!(
        matches!(over, SendTaskSuccessError::TaskTimedOut(_)),
        "{over:?}"
    );
    let unknown = send("a token").await.unwrap_err().into_service_error();
    assert!(
        matches!(unknown, SendTaskSuccessError::InvalidToken(_)),
        "{unknown:?}"
    );

    let list = states
        .list_executions()
        .state_machine_arn(&machine.arn)
        .max_results(10);
    let list = list
        .status_filter(ExecutionStatus::Succeeded)
        .send()
        .await
        .unwrap();
    let [execution] = list.executions() else {
        panic!("one execution, without its children: {list:?}");
    };
    let describe = |arn: &str| states.describe_execution().execution_arn(arn).send();
    let described = describe(execution.execution_arn()).await.unwrap();
    assert_eq!(described.status(), &ExecutionStatus::Succeeded);
    assert_eq!(described.input(), Some(r#"{"version":"v0.1.0"}"#));
    assert!(described.stop_date().unwrap().secs() > described.start_date().secs());
    let unknown = describe("arn:aws:states:us-east-1:1:execution:a:b").await;
    let unknown = unknown.unwrap_err().into_service_error();
    assert!(
        matches!(unknown, DescribeExecutionError::ExecutionDoesNotExist(_)),
        "{unknown:?}"
    );

    let again = states
        .start_execution()
        .state_machine_arn(&machine.arn)
        .name(VERSION);
    let again = again.input(r#"{"version":"v0.1.0"}"#).send().await;
    let again = again.unwrap_err().into_service_error();
    assert!(
        matches!(again, StartExecutionError::ExecutionAlreadyExists(_)),
        "{again:?}"
    );
}
