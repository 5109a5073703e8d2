//! Wiring of the poll function.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(commons_poll::handle).await
}
