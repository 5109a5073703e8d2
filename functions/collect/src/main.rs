//! Wiring of the collect function.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(commons_collect::handle).await
}
