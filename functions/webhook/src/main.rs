//! Wiring of the webhook function.

use commons_webhook::{Door, Event, handle};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    commons_runtime::init_tracing();
    let door = Door::from_env().await?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let door = door.clone();
        async move { handle(&door, event.payload).await.map_err(Diagnostic::from) }
    }))
    .await
}
