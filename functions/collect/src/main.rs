//! Wiring of the collect function.

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Collect, commons_collect::handle).await
}
