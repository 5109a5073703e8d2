//! Collect.

use integration::matrix::{Meanwhile, Scenario, Step};

use super::{COMMONS, SDK, all, alone, before, parked, planned, quick, script};

const COLLECT: &[Scenario] = &[
    Scenario {
        name: "a green run",
        before: || {
            before(async {
                let place = alone().await;
                place.world.built(SDK).await;
                let step = Step::Collect(place.child(SDK).await);
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a green run whose artifact has expired",
        before: || {
            before(async {
                let place = alone().await;
                script(&place, SDK, |script| script.artifacts[0].expired = true);
                place.world.built(SDK).await;
                quick(&place, SDK);
                let step = Step::Collect(place.child(SDK).await);
                (place, step)
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a green run that did not build what it should",
        before: || {
            before(async {
                let place = planned().await;
                script(&place, SDK, |script| script.artifacts.clear());
                place.world.built(SDK).await;
                parked(&place, COMMONS).await;
                let step = Step::Collect(place.child(SDK).await);
                (place, step)
            })
        },
        meanwhile: Meanwhile::Afresh,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_that_is_disturbed_at_any_call_is_the_same() {
    all("Collect", COLLECT).await;
}
