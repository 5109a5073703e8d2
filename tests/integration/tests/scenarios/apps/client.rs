//! The client by itself: what is minted, how long it is used, what follows a 401.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use commons_domain::names::RepoName;
use commons_domain::times::Speed;
use commons_github::{Error, GitHub, Reading, Settings, Source, Work};
use github_simulator::{App, Fault, FaultKind, Installation, Repository, Simulator};
use integration::{MANIFEST, MovedClock, RELEASE_REPOSITORY, fixture, oracle, repository, tools};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{MINT, OWNER, app, secret};

/// A simulator and a client that go by clocks of their own.
struct Pair {
    simulator: Simulator,
    theirs: Arc<MovedClock>,
    ours: Arc<MovedClock>,
    github: GitHub,
}

impl Pair {
    async fn new(app: App, source: impl Source + 'static) -> Pair {
        let (theirs, ours) = (Arc::<MovedClock>::default(), Arc::<MovedClock>::default());
        let settings = github_simulator::Settings {
            clock: theirs.clone(),
            record: true,
            ..github_simulator::Settings::default()
        };
        let simulator = Simulator::start(settings).await.unwrap();
        for repository in fixture(MANIFEST) {
            simulator.add_repository(repository);
        }
        simulator.set_app(app);
        let url = simulator.api_url();
        let settings = Settings::new(&url, source, Work::Plan, Speed(60.0), ours.clone(), true);
        Pair {
            github: GitHub::new(settings.unwrap()).unwrap(),
            simulator,
            theirs,
            ours,
        }
    }

    async fn of_app() -> Pair {
        let app = app();
        let source = secret(&app);
        Pair::new(app, source).await
    }

    /// Moves both clocks.
    fn pass(&self, duration: Duration) {
        self.theirs.advance(duration);
        self.ours.advance(duration);
    }

    fn mints(&self) -> u64 {
        self.simulator
            .calls()
            .get(MINT)
            .copied()
            .unwrap_or_default()
    }

    async fn ask(&self) -> Result<(), Error> {
        self.github.repository(&home()).await.map(drop)
    }

    /// What was asked for at each minting.
    fn asked(&self) -> Vec<Value> {
        let exchanges = self.simulator.exchanges().into_iter();
        let mints = exchanges.filter(|e| format!("{} {}", e.method, e.route) == MINT);
        mints.filter_map(|mint| mint.request).collect()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            oracle::check(&self.simulator);
        }
    }
}

async fn dispatch(github: &GitHub) -> Result<(), Error> {
    let (sdk, payload) = (repository("bllvm-sdk"), json!({}));
    github
        .repository_dispatch(&sdk, "build-chain", &payload)
        .await
}

fn home() -> RepoName {
    RepoName::new(RELEASE_REPOSITORY).unwrap()
}

#[tokio::test]
async fn a_token_is_minted_for_the_repository_and_what_the_stage_may_do() {
    let pair = Pair::of_app().await;
    pair.ask().await.unwrap();
    let collector = pair.github.working_as(Work::Collect);
    collector
        .runs_since(&repository("bllvm-sdk"), jiff::Timestamp::now())
        .await
        .unwrap();
    let read = json!({"metadata": "read", "actions": "read"});
    let plan = json!({
        "metadata": "read",
        "contents": "write",
        "actions": "read",
        "administration": "read",
    });
    assert_eq!(
        pair.asked(),
        [
            json!({"repositories": ["bllvm"], "permissions": plan}),
            json!({"repositories": ["bllvm-sdk"], "permissions": read}),
        ]
    );
    // What it was not minted for, GitHub refuses.
    let refused = dispatch(&collector).await.unwrap_err().to_string();
    assert!(
        refused.contains("Resource not accessible by integration"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_token_is_used_until_a_minute_before_its_end() {
    let pair = Pair::of_app().await;
    pair.ask().await.unwrap();
    pair.pass(Duration::from_secs(58 * 60 + 50));
    pair.ask().await.unwrap();
    assert_eq!(pair.mints(), 1);
    pair.pass(Duration::from_secs(15));
    pair.ask().await.unwrap();
    assert_eq!(pair.mints(), 2);
    // Nothing was refused: both were good when they were used.
    assert!(
        pair.simulator
            .requests()
            .iter()
            .all(|r| r.status == 200 || r.status == 201)
    );
}

#[tokio::test]
async fn those_who_ask_at_once_share_what_is_minted() {
    let pair = Pair::of_app().await;
    let (one, two, three) = tokio::join!(pair.ask(), pair.ask(), pair.ask());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(pair.mints(), 1);
}

#[tokio::test]
async fn repositories_that_are_asked_about_together_have_one_token() {
    let pair = Pair::of_app().await;
    let components = ["bllvm-sdk", "bllvm-node", "bllvm-protocol"].map(repository);
    let github = pair.github.touching(components.clone());
    for component in &components {
        github.repository(component).await.unwrap();
    }
    let names: Vec<Value> = pair
        .asked()
        .iter()
        .map(|a| a["repositories"].clone())
        .collect();
    assert_eq!(
        names,
        [json!(["bllvm-node", "bllvm-protocol", "bllvm-sdk"])]
    );

    // One that is not the installation's keeps nobody from the others, and is named.
    let outsider = RepoName::new("BTCDecoded/elsewhere").unwrap();
    let sdk = repository("bllvm-sdk");
    let github = github
        .working_as(Work::Poll)
        .touching([sdk.clone(), outsider.clone()]);
    github
        .runs_since(&sdk, jiff::Timestamp::now())
        .await
        .unwrap();
    let error = github.repository(&outsider).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    assert!(
        error
            .to_string()
            .contains("not installed for BTCDecoded/elsewhere"),
        "{error}"
    );
}

#[tokio::test]
async fn every_owner_has_an_installation_and_tokens_of_its_own() {
    let mut app = app();
    let other = Installation {
        id: 2002,
        owner: "octo-org".into(),
        repositories: Some(vec!["octo-repo".into()]),
        ..app.installations[0].clone()
    };
    app.installations.push(other);
    let source = secret(&app);
    let pair = Pair::new(app.clone(), source).await;
    pair.simulator.add_repository(Repository::default());
    let octo = RepoName::new("octo-org/octo-repo").unwrap();
    let github = pair.github.touching([home(), octo.clone()]);
    for name in [home(), octo.clone()] {
        github.repository(&name).await.unwrap();
    }
    let owners: Vec<String> = pair
        .simulator
        .minted()
        .into_iter()
        .map(|m| m.owner)
        .collect();
    assert_eq!(owners, [OWNER, "octo-org"]);

    // Where the installation is named, it is the only one.
    let named = json!({
        "app_id": app.client_id,
        "installation_id": 2002,
        "private_key": app.private_key_pkcs8(),
    });
    let pair = Pair::new(app, SecretString::from(named.to_string())).await;
    pair.simulator.add_repository(Repository::default());
    pair.github.repository(&octo).await.unwrap();
    let error = pair.ask().await.unwrap_err().to_string();
    assert!(error.contains("installation_id"), "{error}");
}

#[tokio::test]
async fn a_token_that_dies_is_minted_anew_and_the_call_is_made_again() {
    let pair = Pair::of_app().await;
    pair.ask().await.unwrap();
    let dead = pair.simulator.minted().remove(0);
    pair.simulator.revoke_token(&dead.token);
    // A write: after a 401 nothing has happened.
    let dispatcher = pair.github.working_as(Work::Dispatch);
    dispatch(&dispatcher).await.unwrap();
    let dead = pair.simulator.minted().pop().unwrap();
    pair.simulator.revoke_token(&dead.token);
    dispatch(&dispatcher).await.unwrap();
    assert_eq!(pair.simulator.runs("BTCDecoded/bllvm-sdk").len(), 2);
    pair.ask().await.unwrap();
    assert_eq!(pair.mints(), 4);

    // Refused again, it is told as it always was.
    pair.simulator.fault(Fault {
        method: "GET".into(),
        route: "/repos/{owner}/{repo}".into(),
        repo: None,
        times: 2,
        kind: FaultKind::Status(401, None),
    });
    let error = pair.ask().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(
        error.to_string().contains("GET /repos/BTCDecoded/bllvm"),
        "{error}"
    );
    pair.ask().await.unwrap();
}

/// A secret that is replaced, and how often it was read.
#[derive(Debug, Clone, Default)]
struct Replaced(Arc<Mutex<(String, usize)>>);

impl Replaced {
    fn put(&self, text: &str) {
        self.0.lock().unwrap().0 = text.to_owned();
    }

    fn reads(&self) -> usize {
        self.0.lock().unwrap().1
    }
}

impl Source for Replaced {
    fn read(&self) -> Reading<'_> {
        let mut kept = self.0.lock().unwrap();
        kept.1 += 1;
        let text = SecretString::from(kept.0.clone());
        Box::pin(async { Ok(text) })
    }
}

#[tokio::test]
async fn a_token_that_was_rotated_is_read_again_once() {
    let stored = Replaced::default();
    stored.put("the-first");
    let pair = Pair::new(app(), stored.clone()).await;
    pair.simulator.add_token("the-first");
    pair.simulator.add_token("the-second");
    pair.ask().await.unwrap();
    pair.ask().await.unwrap();
    assert_eq!(stored.reads(), 1);
    stored.put("the-second");
    pair.simulator.revoke_token("the-first");
    pair.ask().await.unwrap();
    assert_eq!(stored.reads(), 2);
    pair.simulator.revoke_token("the-second");
    let error = pair.ask().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(stored.reads(), 3);

    // An App takes the place of the token, which is told by the next read.
    stored.put(secrecy::ExposeSecret::expose_secret(&secret(&app())));
    pair.ask().await.unwrap();
    assert_eq!(pair.github.login().await.unwrap(), "release-train[bot]");
}

#[tokio::test]
async fn clocks_may_differ_by_a_minute() {
    for (seconds, ahead, good) in [
        (55, true, true),
        (65, true, false),
        (530, false, true),
        (550, false, false),
    ] {
        let pair = Pair::of_app().await;
        let clock = if ahead { &pair.ours } else { &pair.theirs };
        clock.advance(Duration::from_secs(seconds));
        let asked = pair.ask().await;
        assert_eq!(asked.is_ok(), good, "{seconds}: {asked:?}");
        if let Err(error) = asked {
            assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        }
    }
}

/// GitHub's own client takes what the simulator says, and the simulator its JWT.
#[tokio::test]
async fn github_s_own_client_mints_a_token() {
    let Some(folder) = tools::octokit() else {
        return;
    };
    let pair = Pair::of_app().await;
    let script = folder.join("mint.mjs");
    let text = r#"
        import { createAppAuth } from "@octokit/auth-app";
        import { request } from "@octokit/request";
        const [baseUrl, appId, privateKey] = process.argv.slice(2);
        const auth = createAppAuth({ appId, privateKey, request: request.defaults({ baseUrl }) });
        const { token, permissions } = await auth({
            type: "installation",
            installationId: 1001,
            repositoryNames: ["bllvm-sdk"],
            permissions: { actions: "read" },
        });
        console.log(JSON.stringify({ token, permissions }));
    "#;
    std::fs::write(&script, text).unwrap();
    let mut node = tokio::process::Command::new("node");
    let app = app();
    let arguments = [
        pair.simulator.api_url(),
        app.id.to_string(),
        app.private_key(),
    ];
    let output = node.arg(&script).args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let minted: Value = serde_json::from_slice(&output.stdout).unwrap();
    let there = pair.simulator.minted().remove(0);
    assert_eq!(minted["token"], there.token.as_str());
    assert_eq!(
        minted["permissions"],
        json!({"actions": "read", "metadata": "read"})
    );
    assert_eq!(there.repositories, Some(vec!["bllvm-sdk".to_owned()]));
}

#[tokio::test]
async fn an_app_that_is_not_known_is_told_so() {
    let stranger = App { id: 1, ..app() };
    let pair = Pair::new(app(), secret(&stranger)).await;
    let error = pair.ask().await.unwrap_err().to_string();
    assert!(error.contains("Integration not found"), "{error}");
    let pair = Pair::of_app().await;
    pair.simulator.set_app(App {
        installations: Vec::new(),
        ..app()
    });
    let error = pair.ask().await.unwrap_err().to_string();
    assert!(
        error.contains("the App is not installed for BTCDecoded/bllvm"),
        "{error}"
    );
}

#[tokio::test]
async fn a_mint_that_is_not_answered_leaves_the_call_unsent() {
    let pair = Pair::of_app().await;
    let mint = |kind| Fault {
        method: "POST".into(),
        route: "/app/installations/{installation_id}/access_tokens".into(),
        repo: None,
        times: 1,
        kind,
    };
    for kind in [
        FaultKind::Status(502, None),
        FaultKind::LostAnswer,
        FaultKind::CutShort,
    ] {
        pair.simulator.fault(mint(kind.clone()));
        let dispatcher = pair.github.working_as(Work::Dispatch);
        let error = dispatch(&dispatcher).await.unwrap_err();
        assert!(
            error.is_cannot_see() && error.definitely_not_done(),
            "{kind:?}: {error}"
        );
    }
    // A read is tried again by itself.
    pair.simulator.fault(mint(FaultKind::Status(502, None)));
    pair.ask().await.unwrap();
}
