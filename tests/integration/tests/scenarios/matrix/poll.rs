//! Poll.

use std::time::Duration;

use commons_domain::build::{Build, BuildStatus};
use github_simulator::FaultKind;
use integration::matrix::{Meanwhile, Place, Scenario};
use integration::repository;

use super::{
    COMMONS, SDK, all, alone, before, cancelled, concluding, dispatched, endless, parked, planned,
    poll, polled, quick, script,
};

const POLL: &[Scenario] = &[
    Scenario {
        name: "a look that claims the run and finds it green",
        before: || {
            before(async {
                let place = planned().await;
                dispatched(&place, SDK).await;
                parked(&place, COMMONS).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a look at an attempt that failed",
        before: || {
            before(async {
                let place = alone().await;
                concluding(&place, SDK, &["failure", "success"]);
                dispatched(&place, SDK).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a look at the last attempt, which failed",
        before: || {
            before(async {
                let place = planned().await;
                concluding(&place, SDK, &["failure"]);
                dispatched(&place, SDK).await;
                place.world.alter(SDK, |b| b.retry_count = 2).await;
                parked(&place, COMMONS).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Afresh,
    },
    Scenario {
        name: "a look for a run that never came",
        before: || {
            before(async {
                let place = alone().await;
                lost_dispatch(&place).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a last look for a run that never came",
        before: || {
            before(async {
                let place = alone().await;
                lost_dispatch(&place).await;
                place.world.alter(SDK, |b| b.retry_count = 2).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Afresh,
    },
    Scenario {
        name: "a look that finds a run which came late",
        before: || {
            before(async {
                let place = alone().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                let given_up = |b: &mut Build| {
                    b.abandoned.extend(b.nonce.take());
                    b.status = BuildStatus::Retrying;
                };
                let nonce = place.world.alter(SDK, given_up).await.abandoned;
                let store = &place.world.stage.store;
                let freed = store.release_lock(&repository(SDK), &nonce[0]).await;
                freed.unwrap();
                quick(&place, SDK);
                dispatched(&place, SDK).await;
                // As if the first run had come after the second dispatch.
                let earlier = place.world.stage.now() - Duration::from_secs(60);
                place.world.alter(SDK, |b| b.baseline = Some(earlier)).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a look at a run that was dropped",
        before: || {
            before(async {
                let place = alone().await;
                script(&place, SDK, |script| script.queue_seconds = 1e6);
                dispatched(&place, SDK).await;
                polled(&place, SDK).await;
                cancelled(&place, SDK).await;
                quick(&place, SDK);
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a look at a run that takes too long",
        before: || {
            before(async {
                let place = planned().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                polled(&place, SDK).await;
                let long_ago = place.world.stage.now() - Duration::from_secs(3600);
                place
                    .world
                    .alter(SDK, |b| b.started_at = Some(long_ago))
                    .await;
                parked(&place, COMMONS).await;
                poll(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Afresh,
    },
];

/// A dispatch whose call never reached GitHub, and whose run had its time to come.
async fn lost_dispatch(place: &Place) {
    let route = "/repos/{owner}/{repo}/dispatches";
    place
        .world
        .fault("POST", route, FaultKind::Status(502, None));
    dispatched(place, SDK).await;
    place.clock.advance(Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_is_disturbed_at_any_call_sees_the_same() {
    all("Poll", POLL).await;
}
