//! Wiring of the dispatch function.

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Dispatch, commons_dispatch::handle).await
}
