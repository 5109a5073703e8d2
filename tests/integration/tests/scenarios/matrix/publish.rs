//! Publish.

use github_simulator::ForeignRelease;
use integration::RELEASE_REPOSITORY;
use integration::matrix::{Meanwhile, Place, Scenario, Step};
use serde_json::json;

use super::{ALONE, SDK, all, alone, before, complete, repositories};

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
        name: "a release that is compared with the one before it",
        before: || {
            before(async {
                let place = Place::with(repositories(ALONE)).await;
                let home = "BTCDecoded/bllvm-sdk";
                let pin = place.world.github.push_commit(home);
                place.world.github.commit(home, "feat: what is new");
                place.world.planned().await;
                complete(&place).await;
                earlier(&place, &pin);
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

/// A published release that says that its component was built at this commit.
fn earlier(place: &Place, pin: &str) {
    let manifest = json!({"components": [{"name": SDK, "commit": pin}]});
    let release = ForeignRelease {
        tag: "v0.0.9".into(),
        assets: vec![("release-manifest.json".into(), manifest.to_string().into())],
        ..ForeignRelease::default()
    };
    let github = &place.world.github;
    github.release_as("somebody", RELEASE_REPOSITORY, release);
}

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
