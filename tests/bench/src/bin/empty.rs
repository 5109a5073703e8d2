//! A function that does nothing: what any of ours takes at least to start.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(
        async |_: LambdaEvent<Value>| Ok::<(), Error>(()),
    ))
    .await
}
