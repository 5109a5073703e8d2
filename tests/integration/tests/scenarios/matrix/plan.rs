//! Plan.

use github_simulator::ForeignRelease;
use integration::RELEASE_REPOSITORY;
use integration::matrix::{Meanwhile, Scenario};

use super::{
    COMMONS, SDK, all, before, concluding, dispatched, done, empty, failed, plan_as, planned, quick,
};

const PLAN: &[Scenario] = &[
    Scenario {
        name: "a first plan",
        before: || {
            before(async {
                let place = empty().await;
                let step = plan_as(&place, "planned");
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a plan of a release that failed",
        before: || {
            before(async {
                let place = planned().await;
                place.world.built(SDK).await;
                concluding(&place, COMMONS, &["failure"]);
                dispatched(&place, COMMONS).await;
                place.world.alter(COMMONS, |b| b.retry_count = 9).await;
                place.world.polled(COMMONS, commons_poll::Next::Over).await;
                done(&place, failed(&place, "planned")).await;
                quick(&place, COMMONS);
                let step = plan_as(&place, "next");
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a plan of a release that is visible already",
        before: || {
            before(async {
                let place = empty().await;
                let theirs = ForeignRelease {
                    tag: "v0.1.0".into(),
                    ..ForeignRelease::default()
                };
                let github = &place.world.github;
                github.release_as("maintainer", RELEASE_REPOSITORY, theirs);
                let step = plan_as(&place, "planned");
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a plan that takes over what is on its way",
        before: || {
            before(async {
                let place = planned().await;
                dispatched(&place, SDK).await;
                let step = plan_as(&place, "next");
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_is_disturbed_at_any_call_is_the_same_plan() {
    all("Plan", PLAN).await;
}
