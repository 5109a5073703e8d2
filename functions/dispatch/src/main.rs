//! Wiring of the dispatch function.

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(commons_dispatch::handle).await
}
