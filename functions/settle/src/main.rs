//! Wiring of the settle function.

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Settle, commons_settle::handle).await
}
