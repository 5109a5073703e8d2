//! What a release says of itself: what is new, people's own template, people's own words.

use std::collections::BTreeMap;

use commons_domain::names::{ReleaseKey, RepoName};
use commons_domain::notes::LONGEST_BODY;
use commons_domain::release::{Release, ReleaseStatus};
use commons_github::NewRelease;
use commons_publish::Next;
use commons_runtime::StageError;
use github_simulator::{FaultKind, ForeignRelease};
use integration::{RELEASE_REPOSITORY, StageWorld, fixture, repository};
use serde_json::json;

const BOTH: [&str; 2] = ["bllvm-sdk", "bllvm"];
const MANIFEST: &str = "\
[versions]
bllvm-sdk = { version = \"0.1.0\", binaries = [\"bllvm-keygen\"] }
bllvm = { version = \"0.1.0\", binaries = [\"bllvm\"] }
";
const TEMPLATE: &str = ".github/release-notes.md";
const COMPARE: &str = "/repos/{owner}/{repo}/compare/{basehead}";

fn home() -> RepoName {
    RepoName::new(RELEASE_REPOSITORY).unwrap()
}

/// With this template in the release repository.
async fn with_template(text: &str) -> StageWorld {
    let mut repositories = fixture(MANIFEST);
    let home = repositories
        .iter_mut()
        .find(|r| r.name == RELEASE_REPOSITORY);
    home.unwrap().files.insert(TEMPLATE.into(), text.into());
    StageWorld::with(repositories).await
}

/// The heads of the components.
async fn heads(world: &StageWorld) -> BTreeMap<&'static str, String> {
    let mut heads = BTreeMap::new();
    for component in BOTH {
        let repository = repository(component);
        let head = world.stage.github.head(&repository, "main").await;
        heads.insert(component, head.unwrap().sha);
    }
    heads
}

/// Plans and builds everything.
async fn complete(world: &StageWorld) {
    world.planned().await;
    for component in BOTH {
        world.script(component, |_| {});
        world.built(component).await;
        world.collect(component).await.unwrap();
    }
}

/// A published release that says itself what it was built from.
fn earlier(world: &StageWorld, tag: &str, assets: Vec<(String, Vec<u8>)>) -> u64 {
    let release = ForeignRelease {
        tag: tag.into(),
        assets,
        ..ForeignRelease::default()
    };
    world
        .github
        .release_as("somebody", RELEASE_REPOSITORY, release)
}

fn manifest(pins: &BTreeMap<&str, String>) -> Vec<(String, Vec<u8>)> {
    let entries = pins.iter().map(|(name, commit)| {
        json!({"name": name, "repository": format!("BTCDecoded/{name}"), "commit": commit})
    });
    let text = json!({"version": "v0.0.9", "components": entries.collect::<Vec<_>>()});
    vec![("release-manifest.json".into(), text.to_string().into())]
}

/// Writes an earlier release into the table, as it was published; needs builds to copy.
async fn earlier_in_the_table(world: &StageWorld, id: u64, pins: &BTreeMap<&str, String>) {
    let store = &world.stage.store;
    let key = ReleaseKey::new(&format!("{RELEASE_REPOSITORY}/v0.0.9")).unwrap();
    let now = world.release().await;
    let release = Release {
        key: key.clone(),
        status: ReleaseStatus::Published,
        github_release_id: Some(id),
        ..now
    };
    store.create_release(&release, "the test").await.unwrap();
    for component in BOTH {
        let mut build = world.build(component).await;
        build.release = key.clone();
        build.pin.clone_from(&pins[component]);
        store.create_build(&build, "the test").await.unwrap();
    }
}

/// What the one release of this version says of itself.
fn body(world: &StageWorld) -> String {
    let releases = world.github.releases(RELEASE_REPOSITORY);
    let own = releases.into_iter().find(|r| r.tag_name == "v0.1.0");
    own.unwrap().body
}

async fn published(world: &StageWorld) -> String {
    let answer = world.publish().await.unwrap();
    assert_eq!(answer.next, Next::Published);
    body(world)
}

/// As if Publish had died right after its last write to GitHub.
async fn publishing_again(world: &StageWorld) {
    let published = world.release().await;
    let mut again = published.clone();
    again.status = ReleaseStatus::Publishing;
    let store = &world.stage.store;
    let changed = store.change_release(&published, &again, "the test");
    changed.await.unwrap();
}

fn compared(world: &StageWorld) -> u64 {
    let calls = world.github.calls();
    calls
        .get(&format!("GET {COMPARE}"))
        .copied()
        .unwrap_or_default()
}

#[tokio::test]
async fn what_is_new_since_the_last_release_is_one_list_by_kind() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let before = heads(&world).await;
    let sdk = "BTCDecoded/bllvm-sdk";
    let kept = world
        .github
        .commit(sdk, "feat(keys): BIP 32 (#12)\n\nLong text.");
    world
        .github
        .merge(sdk, "Merge pull request #12 from octocat/keys");
    world
        .github
        .commit(sdk, "fix!: no <b>default</b> | key, thanks @octocat");
    complete(&world).await;
    let id = earlier(&world, "v0.0.9", Vec::new());
    // Neither counts: a prerelease, and a later one.
    let rc = ForeignRelease {
        tag: "v0.1.0-rc.1".into(),
        prerelease: true,
        ..ForeignRelease::default()
    };
    world.github.release_as("somebody", RELEASE_REPOSITORY, rc);
    earlier(&world, "v9.0.0", Vec::new());
    earlier_in_the_table(&world, id, &before).await;
    let text = published(&world).await;
    let web = world.github.api_url();
    for line in [
        format!("## Changes since [v0.0.9]({web}/_html/BTCDecoded/bllvm/releases/tag/v0.0.9)"),
        "### Breaking changes".into(),
        r"- **bllvm-sdk** no &lt;b&gt;default&lt;/b&gt; \| key, thanks @&#8203;octocat (".into(),
        "### Features".into(),
        format!(
            "- **bllvm-sdk** keys: BIP 32 ([`{}`]({web}/{sdk}/commit/{kept}), [#12]({web}/{sdk}/pull/12))",
            &kept[..7]
        ),
        ", 3 commits\n".into(),
    ] {
        assert!(text.contains(&line), "{line} is not in: {text}");
    }
    assert!(!text.contains("Merge pull request"), "{text}");
    assert_eq!(
        compared(&world),
        1,
        "what is at the same commit is not asked for"
    );
}

#[tokio::test]
async fn what_the_table_does_not_know_is_read_from_the_release_itself() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let mut pins = heads(&world).await;
    world
        .github
        .commit("BTCDecoded/bllvm", "docs: how to start");
    pins.remove("bllvm-sdk");
    pins.insert("bllvm-old", "0".repeat(40));
    complete(&world).await;
    earlier(&world, "v0.0.9", manifest(&pins));
    let text = published(&world).await;
    for line in [
        "### Documentation",
        "- **bllvm** how to start (",
        "New since v0.0.9: bllvm-sdk.",
        "No longer part of it: bllvm-old.",
    ] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
}

#[tokio::test]
async fn without_an_earlier_release_or_its_pins_there_is_a_sentence() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    complete(&world).await;
    let text = published(&world).await;
    let sentence = "No earlier release is published to compare with.";
    assert!(text.contains(sentence), "{text}");
    for assets in [
        Vec::new(),
        vec![("release-manifest.json".into(), b"{}".to_vec())],
    ] {
        let tag = format!("v0.0.{}", assets.len());
        earlier(&world, &tag, assets);
        publishing_again(&world).await;
        let text = published(&world).await;
        let sentence = format!("What {tag} was built from is not known here");
        assert!(text.contains(&sentence), "{text}");
    }
    assert_eq!(compared(&world), 0);
}

#[tokio::test]
async fn a_commit_that_github_no_longer_knows_is_a_sentence() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let mut pins = heads(&world).await;
    pins.insert("bllvm-sdk", "0123456".repeat(6)[..40].into());
    complete(&world).await;
    earlier(&world, "v0.0.9", manifest(&pins));
    let text = published(&world).await;
    let sentence = "bllvm-sdk: GitHub does not know 0123456 of v0.0.9 and ";
    assert!(text.contains(sentence), "{text}");
}

#[tokio::test]
async fn commits_that_are_too_many_are_counted_and_linked() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let pins = heads(&world).await;
    for n in 0..450 {
        world
            .github
            .commit("BTCDecoded/bllvm-sdk", &format!("fix: the {n}th"));
    }
    complete(&world).await;
    earlier(&world, "v0.0.9", manifest(&pins));
    let text = published(&world).await;
    assert_eq!(compared(&world), 4, "pages");
    for n in [0, 99, 200, 449] {
        assert!(text.contains(&format!(" the {n}th ([")), "{n}: {text}");
    }
    assert!(!text.contains(" the 199th (["));
    assert!(
        text.contains(", 450 commits, 100 of them not listed above"),
        "{text}"
    );
    assert!(text.chars().count() <= LONGEST_BODY);
}

#[tokio::test]
async fn what_github_does_not_answer_is_waited_for_and_holds_nothing_up() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let pins = heads(&world).await;
    world.github.push_commit("BTCDecoded/bllvm-sdk");
    complete(&world).await;
    earlier(&world, "v0.0.9", manifest(&pins));
    world.faults("GET", COMPARE, FaultKind::Status(502, None), 1_000);
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    let before = world.release().await;
    assert!(before.unseen_since.is_some());
    let mut long = before.clone();
    long.unseen_since = Some(
        world.stage.now()
            - world
                .stage
                .config
                .speed
                .real(std::time::Duration::from_secs(16 * 60)),
    );
    let changed = world.stage.store.change_release(&before, &long, "the test");
    changed.await.unwrap();
    let text = published(&world).await;
    assert!(
        text.contains("are not listed: GitHub does not answer."),
        "{text}"
    );
    // What it asks to wait for is waited for.
    publishing_again(&world).await;
    world.github.heal();
    let limited = vec![("retry-after".to_owned(), "240".to_owned())];
    world.fault("GET", COMPARE, FaultKind::Status(429, Some(limited)));
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    let text = published(&world).await;
    assert!(text.contains("- **bllvm-sdk** Change 2 ("), "{text}");
}

#[tokio::test]
async fn a_template_of_the_release_repository_replaces_ours() {
    let text = "# {{ version }} of {{ repository }}\n\
        {% for component in components %}\n* {{ component.name | text }}\n{% endfor %}\n";
    let world = with_template(text).await;
    complete(&world).await;
    let text = published(&world).await;
    let want = "# v0.1.0 of BTCDecoded/bllvm\n* bllvm\n* bllvm-sdk\n\n";
    assert!(text.contains(want), "{text}");
    assert!(!text.contains("## Components"), "{text}");
}

#[tokio::test]
async fn a_broken_template_is_refused_before_anything_is_dispatched() {
    let world = with_template("# {{ version }}\n\n{{ componets }}\n").await;
    let error = world.plan_as(&world.execution("one")).await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the template of the notes, .github/release-notes.md, line 3: undefined value"
    );
    let builds = world.stage.store.builds(&world.key()).await.unwrap();
    assert!(builds.is_empty());
}

#[tokio::test]
async fn a_template_that_fails_with_the_release_s_own_facts_only_is_refused_too() {
    let world = with_template("{% if components | length > 1 %}{{ nope }}{% endif %}").await;
    complete(&world).await;
    let error = world.publish().await.unwrap_err();
    assert!(matches!(error, StageError::Refused(_)), "{error:?}");
    let sentence = "the template of the notes, .github/release-notes.md, line 1: undefined value";
    assert_eq!(error.to_string(), sentence);
    assert!(world.github.releases(RELEASE_REPOSITORY)[0].draft);
}

#[tokio::test]
async fn what_people_wrote_into_the_release_stays() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    let new = NewRelease {
        tag_name: "v0.1.0".into(),
        target_commitish: None,
        name: "v0.1.0".into(),
        body: "Our **best** one.\r\n".into(),
        draft: true,
        prerelease: false,
    };
    let github = &world.stage.github;
    let draft = github.create_release(&home(), &new).await.unwrap();
    complete(&world).await;
    let first = published(&world).await;
    assert!(first.starts_with("Our **best** one.\r\n"), "{first}");
    assert!(first.contains("## Components"), "{first}");

    let edited = format!("{first}\n\nThanks to all.\n");
    let update = commons_github::ReleaseUpdate {
        body: Some(edited.clone()),
        ..commons_github::ReleaseUpdate::default()
    };
    github
        .update_release(&home(), draft.id, &update)
        .await
        .unwrap();
    publishing_again(&world).await;
    assert_eq!(published(&world).await, edited);
}

#[tokio::test]
async fn a_draft_that_is_not_finished_leaves_nothing_of_its_text() {
    let world = StageWorld::with_manifest(MANIFEST).await;
    complete(&world).await;
    world.fault(
        "POST",
        "/repos/{owner}/{repo}/releases/{release_id}/assets",
        FaultKind::Status(502, None),
    );
    assert_eq!(world.publish().await.unwrap().next, Next::Again);
    assert!(
        body(&world).contains("v0.1.0 is being assembled."),
        "{}",
        body(&world)
    );
    let text = published(&world).await;
    assert!(!text.contains("is being assembled"), "{text}");
}
