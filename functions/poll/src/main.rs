//! Wiring of the poll function.

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Poll, commons_poll::handle).await
}
