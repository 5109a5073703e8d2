//! Wiring of the settle function.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(commons_settle::handle).await
}
