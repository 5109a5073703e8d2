//! Wiring of the plan function.

use commons_runtime::Work;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    commons_runtime::run(Work::Plan, commons_plan::call).await
}
