//! Dispatch.

use commons_domain::build::{Build, BuildStatus};
use integration::matrix::{Meanwhile, Scenario};
use integration::repository;

use super::{
    COMMONS, SDK, all, alone, before, concluding, dispatch, dispatched, done, endless, parked,
    plan_as, planned, quick,
};

pub(super) const DISPATCH: &[Scenario] = &[
    Scenario {
        name: "a repository_dispatch",
        before: || before(async { dispatch(alone().await, SDK).await }),
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a workflow_dispatch",
        before: || {
            before(async {
                let place = planned().await;
                place.world.built(SDK).await;
                dispatch(place, COMMONS).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a re-run",
        before: || {
            before(async {
                let place = alone().await;
                concluding(&place, SDK, &["failure", "success"]);
                dispatched(&place, SDK).await;
                place.world.polled(SDK, commons_poll::Next::Retry).await;
                place.world.alter(SDK, |b| b.retry_at = None).await;
                dispatch(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a dispatch that comes too early",
        before: || {
            before(async {
                let place = planned().await;
                place.world.alter(COMMONS, |b| b.waiting_on.clear()).await;
                dispatch(place, COMMONS).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a dispatch of what cannot be built",
        before: || {
            before(async {
                let place = planned().await;
                let failed = |b: &mut Build| {
                    b.status = BuildStatus::Failure;
                };
                place.world.alter(SDK, failed).await;
                dispatch(place, COMMONS).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a dispatch of a pin that moved",
        before: || {
            before(async {
                let place = planned().await;
                place.world.github.push_commit("BTCDecoded/bllvm-sdk");
                parked(&place, COMMONS).await;
                dispatch(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a dispatch behind an orphan whose run has come",
        before: || {
            before(async {
                let place = alone().await;
                endless(&place, SDK);
                dispatched(&place, SDK).await;
                let ended = |b: &mut Build| {
                    b.status = BuildStatus::Cancelled;
                };
                let nonce = place.world.alter(SDK, ended).await.nonce.unwrap();
                let store = &place.world.stage.store;
                store.orphan_lock(&repository(SDK), &nonce).await.unwrap();
                done(&place, plan_as(&place, "next")).await;
                quick(&place, SDK);
                dispatch(place, SDK).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dispatch_that_is_disturbed_at_any_call_starts_one_run() {
    all("Dispatch", DISPATCH).await;
}
