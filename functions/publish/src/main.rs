//! Wiring of the publish function.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(commons_publish::handle).await
}
