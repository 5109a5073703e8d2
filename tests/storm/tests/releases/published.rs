//! Releases that are published, and what they take.

use crate::{MANIFEST, driver, manifests, published, repositories};

#[tokio::test]
async fn six_components_are_published_by_webhooks() {
    let driver = driver(repositories(MANIFEST), true).await;
    published(&driver, "six components with webhooks").await;
}

#[tokio::test]
async fn six_components_are_published_by_polling_alone() {
    let driver = driver(repositories(MANIFEST), false).await;
    published(&driver, "six components without webhooks").await;
}

#[tokio::test]
async fn three_hundred_components_are_published() {
    let driver = driver(repositories(&manifests::wide(300)), true).await;
    published(&driver, "300 components").await;
}

#[tokio::test]
async fn a_diamond_of_fifty_levels_is_published() {
    let driver = driver(repositories(&manifests::diamond(50)), true).await;
    published(&driver, "a diamond of 50 levels").await;
}

#[tokio::test]
async fn a_build_of_twelve_hours_is_published_by_polling_alone() {
    let mut manifest = String::from("[versions]\n");
    let more = ", timeout_minutes = 1440, binaries = [\"slow\"]";
    manifests::component(&mut manifest, "slow", &[], more);
    let mut repositories = repositories(&manifest);
    let slow = repositories.iter_mut().find(|r| r.name.ends_with("/slow"));
    slow.unwrap().script.run_seconds = 12.0 * 3600.0;
    let driver = driver(repositories, false).await;
    published(&driver, "a build of 12 hours without webhooks").await;
}
