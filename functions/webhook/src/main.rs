//! Wiring of the webhook function.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use commons_webhook::{Door, handle};
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    commons_runtime::init_tracing();
    let door = Door::from_env().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let door = door.clone();
        async move { Ok::<_, Error>(handle(&door, event.payload).await) }
    }))
    .await
}
