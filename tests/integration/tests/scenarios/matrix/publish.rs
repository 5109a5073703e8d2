//! Publish.

use integration::matrix::{Meanwhile, Place, Scenario, Step};
use serde_json::json;

use super::{ALONE, all, alone, before, complete, repositories};

async fn publish(place: Place) -> (Place, Step) {
    let step = Step::Publish {
        release: place.world.key(),
        generation: place.world.release().await.generation,
    };
    (place, step)
}

const PUBLISH: &[Scenario] = &[
    Scenario {
        name: "a release",
        before: || {
            before(async {
                let place = alone().await;
                complete(&place).await;
                publish(place).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a release whose draft holds what an earlier owner built",
        before: || {
            before(async {
                let place = alone().await;
                complete(&place).await;
                old_draft(&place).await;
                publish(place).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
    Scenario {
        name: "a release that stops at its draft",
        before: || {
            before(async {
                let place = Place::with(repositories(ALONE)).await;
                let input = json!({"version": "v0.1.0", "publish": "draft"});
                let me = place.world.execution("planned");
                place.world.plan_with(&me, input).await.unwrap();
                complete(&place).await;
                publish(place).await
            })
        },
        meanwhile: Meanwhile::Release,
    },
];

/// Our draft, with another content of one asset and one that nothing builds any more.
async fn old_draft(place: &Place) {
    let stage = &place.world.stage;
    let home = &stage.config.release_repository;
    let new = commons_github::NewRelease {
        tag_name: "v0.1.0".into(),
        target_commitish: None,
        name: "v0.1.0".into(),
        body: String::new(),
        draft: true,
        prerelease: false,
    };
    let draft = stage.github.create_release(home, &new).await.unwrap();
    for name in ["bllvm-keygen", "left-over"] {
        let to = &draft.upload_url;
        let upload = stage
            .github
            .upload_asset(to, name, 3, "old".into(), integration::MINUTE);
        upload.await.unwrap();
    }
    let before = place.world.release().await;
    let mut known = before.clone();
    known.github_release_id = Some(draft.id);
    let changed = stage.store.change_release(&before, &known, "the test");
    changed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publication_that_is_disturbed_at_any_call_is_one_whole_release() {
    all("Publish", PUBLISH).await;
}
