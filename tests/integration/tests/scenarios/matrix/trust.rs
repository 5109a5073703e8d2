//! Whether the matrix can be trusted: what it must see, it sees.

use commons_domain::build::{Build, BuildStatus};
use integration::matrix::{Call, Disturbance, Place, View};
use integration::{RELEASE_REPOSITORY, repository};
use serde_json::json;

use super::dispatch::DISPATCH;
use super::{COMMONS, SDK, alone, complete, planned};

/// A published release, the call that published it, and the world then.
async fn published() -> (Place, View) {
    let place = alone().await;
    complete(&place).await;
    place.world.publish().await.unwrap();
    let view = View::of(&place).await;
    (place, view)
}

/// What differs from a world, by the beginnings of its places.
async fn shows(place: &Place, before: &mut View, places: &[&str]) {
    let after = View::of(place).await;
    let found = before.differences(&after);
    for place in places {
        let told = found.iter().any(|difference| difference.starts_with(place));
        assert!(told, "{place} is not among {found:#?}");
    }
    assert_eq!(found.len(), places.len(), "{found:#?}");
    *before = after;
}

#[tokio::test]
async fn what_is_done_once_too_often_shows() {
    let (place, mut before) = published().await;
    assert_eq!(before.differences(&View::of(&place).await), [""; 0]);
    let stage = &place.world.stage;
    let release = &place.world.github.releases(RELEASE_REPOSITORY)[0];
    let uploads = format!(
        "{}/uploads/repos/{RELEASE_REPOSITORY}/releases/{}/assets",
        place.world.github.api_url(),
        release.id
    );
    let upload = stage
        .github
        .upload_asset(&uploads, "extra", 3, "new".into(), integration::MINUTE);
    upload.await.unwrap();
    shows(&place, &mut before, &["/releases/0/assets/extra"]).await;

    let run = place.world.runs(SDK).remove(0);
    let (name, payload) = (repository(SDK), &run.client_payload);
    let sent = stage
        .github
        .repository_dispatch(&name, "build-chain", payload);
    sent.await.unwrap();
    shows(&place, &mut before, &["/runs/BTCDecoded/bllvm-sdk"]).await;

    let extra = format!("{}/{SDK}/extra.json", place.world.key());
    stage.objects.put_json(&extra, &json!([])).await.unwrap();
    shows(
        &place,
        &mut before,
        &["/bucket/BTCDecoded/bllvm/v0.1.0/bllvm-sdk/extra.json"],
    )
    .await;

    let claim = commons_store::Claim {
        release: place.world.key(),
        component: SDK.into(),
        nonce: "bc-0123456789abcdef".into(),
    };
    let claimed = stage.store.claim(&repository(SDK), 77, &claim).await;
    claimed.unwrap();
    shows(
        &place,
        &mut before,
        &["/table/run#btcdecoded/bllvm-sdk/77 claim"],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_as_it_should_be_shows() {
    let (place, mut before) = published().await;
    let stage = &place.world.stage;
    let build = |rest: &str| format!("/table/BTCDecoded/bllvm/v0.1.0 build#bllvm-sdk{rest}");
    let why = Some("it broke".to_owned());
    let build_before = place.world.alter(SDK, |b| b.error = why).await;
    shows(&place, &mut before, &[&build("/error")]).await;

    place
        .world
        .alter(SDK, |b| b.waiting_on = [COMMONS.to_owned()].into())
        .await;
    shows(&place, &mut before, &[&build("/waiting_on")]).await;

    place.world.alter(SDK, |b| b.generation += 1).await;
    shows(&place, &mut before, &[&build("/generation")]).await;

    // The same list but for a space.
    let key = build_before.collected.unwrap().key;
    let mut list = place.world.object(&key).await;
    list.push(b' ');
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &list).unwrap();
    let sum = commons_domain::names::Sha256::of(&list);
    stage
        .objects
        .put_file(&key, file.path(), &sum)
        .await
        .unwrap();
    shows(&place, &mut before, &[&build("/collected/sha256")]).await;

    let release = place.world.release().await;
    let mut owned = release.clone();
    owned.lease = Some("somebody".into());
    let changed = stage.store.change_release(&release, &owned, "the test");
    changed.await.unwrap();
    shows(
        &place,
        &mut before,
        &["/table/BTCDecoded/bllvm/v0.1.0 release/lease"],
    )
    .await;

    let update = commons_github::ReleaseUpdate {
        body: Some("other notes".into()),
        ..commons_github::ReleaseUpdate::default()
    };
    let home = &stage.config.release_repository;
    let id = release.github_release_id.unwrap();
    stage
        .github
        .update_release(home, id, &update)
        .await
        .unwrap();
    shows(&place, &mut before, &["/releases/0/body"]).await;
}

/// As if Dispatch wrote its intent after the call: it is killed in between, and what it
/// wrote before is taken back.
#[tokio::test]
async fn a_dispatch_without_an_intent_would_be_found() {
    let scenario = &DISPATCH[0];
    let end = scenario.undisturbed().await.end;
    let (place, step) = (scenario.before)().await;
    let call = Call {
        what: "GitHub POST /repos/BTCDecoded/bllvm-sdk/dispatches".into(),
        nth: 1,
    };
    place.tap.arm(call, Disturbance::DieAfter);
    tokio::select! {
        _ = step.clone().once(place.through.clone()) => panic!("it was never made"),
        () = place.tap.struck() => {}
    }
    let pending = |b: &mut Build| {
        b.status = BuildStatus::Pending;
        (b.nonce, b.baseline, b.post_deadline) = (None, None, None);
    };
    place.world.alter(SDK, pending).await;
    step.to_the_end(&place.world.stage, &place.clock)
        .await
        .unwrap();
    let found = end.differences(&View::of(&place).await);
    assert!(
        found
            .iter()
            .any(|d| d.starts_with("/runs/BTCDecoded/bllvm-sdk")),
        "{found:#?}"
    );
}

#[tokio::test]
async fn no_client_of_the_disturbed_stage_passes_by_the_tap() {
    let place = planned().await;
    place.tap.close();
    let stage = &place.through;
    assert!(stage.github.login().await.is_err());
    assert!(stage.store.release(&place.world.key()).await.is_err());
    assert!(stage.store.complete_token("a token").await.is_err());
    assert!(stage.objects.get_bytes("a key").await.is_err());
    assert!(stage.states.list_executions().send().await.is_err());
    assert_eq!(place.tap.calls(), []);
}
