//! Wiring of the publish function.

// Its futures, from Lambda's runtime down to a client's socket, lie deeper than 128.
#![recursion_limit = "256"]

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Publish, commons_publish::handle).await
}
