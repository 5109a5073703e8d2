//! The handle that a test or a demo holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::input::{ForeignRelease, Repository, Script};
use crate::model::app::Minted;
use crate::model::{Hook, World};
use crate::render::Render;
use crate::routes;
use crate::server::{self, Acceptor, Cutter};
use crate::settings::{Error, Fault, Settings, WebhookFault};
use crate::view::{Delivery, Exchange, Moment, ReleaseView, Request, RunView, TokenView};
use crate::webhook;

/// A running simulator; dropping it stops it.
///
/// Methods that take a repository's `owner/name` panic when there is none: that
/// is a mistake in the test.
#[derive(Debug)]
pub struct Simulator {
    app: Arc<server::App>,
    render: Render,
    server: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Simulator {
    /// Binds 127.0.0.1 (`settings.port` or any free port) and serves in
    /// background tasks.
    pub async fn start(settings: Settings) -> Result<Simulator, Error> {
        let listener = TcpListener::bind(("127.0.0.1", settings.port.unwrap_or(0)));
        let listener = listener.await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let render = Render {
            api: format!("http://{address}"),
        };
        let client = webhook::client().map_err(Error::Webhook)?;
        let clock = Arc::clone(&settings.clock);
        let app = server::App::new(World::new(settings, render.clone()), clock, client);
        let (stop, mut stopped) = watch::channel(false);
        let service =
            routes::router(Arc::clone(&app)).into_make_service_with_connect_info::<Cutter>();
        let server = tokio::spawn(async move {
            let stopping = async move {
                // An error means that the handle is gone: stop as well.
                let _ = stopped.changed().await;
            };
            let serving = axum::serve(Acceptor(listener), service);
            if let Err(error) = serving.with_graceful_shutdown(stopping).await {
                tracing::warn!(%error, "the simulator stopped");
            }
        });
        Ok(Self {
            app,
            render,
            server: Some(server),
            stop,
        })
    }

    /// `http://127.0.0.1:PORT`: the base of the REST API.
    pub fn api_url(&self) -> String {
        self.render.api.clone()
    }

    /// `http://127.0.0.1:PORT/_html`: what every `html_url` lies below. A
    /// release's page lists its assets.
    pub fn html_url(&self) -> String {
        self.render.html()
    }

    /// Adds a repository, or replaces the one of this name.
    pub fn add_repository(&self, repo: Repository) {
        self.app.with(|world, now| world.add_repository(repo, now));
    }

    /// Replaces the script for the runs that are dispatched from now on.
    pub fn script(&self, repo: &str, script: Script) {
        self.app
            .with(|world, _| world.set_script(repo, script))
            .unwrap_or_else(|_| missing(repo));
    }

    /// Commits a fault on the next calls that match; earlier faults go first.
    pub fn fault(&self, fault: Fault) {
        self.app.with(|world, _| world.faults.push(fault));
    }

    /// Commits no fault any more that was told until now.
    pub fn heal(&self) {
        self.app.with(|world, _| {
            world.faults.clear();
            world.webhook_faults.clear();
        });
    }

    /// Commits a fault on the next webhooks that match; earlier faults go first.
    pub fn webhook_fault(&self, fault: WebhookFault) {
        self.app.with(|world, _| world.webhook_faults.push(fault));
    }

    /// From now on filtered lists of runs show those only that are there now: the index
    /// that they are made of stands still. Unfiltered lists stay correct.
    pub fn freeze_search_index(&self, repo: &str) {
        let frozen = self.app.with(|world, _| {
            let repo = world.repo(repo)?;
            repo.indexed = Some(repo.runs.len());
            Ok(())
        });
        frozen.unwrap_or_else(|_: crate::model::refusal::Refusal| missing(repo));
    }

    /// Lets another token of the same user in as well.
    pub fn add_token(&self, token: &str) {
        self.app.with(|world, _| world.tokens.push(token.into()));
    }

    /// Answers this token 401 from now on, an App's too.
    pub fn revoke_token(&self, token: &str) {
        self.app.with(|world, _| {
            world.tokens.retain(|known| known != token);
            world.minted.retain(|known| known.token != token);
        });
    }

    /// Lets an App in, instead of the one before; tokens that were minted stay.
    pub fn set_app(&self, app: App) {
        self.app.with(|world, _| world.app = Some(app));
    }

    /// The tokens that the App minted and nobody revoked, oldest first.
    pub fn minted(&self) -> Vec<TokenView> {
        let view = |minted: &Minted| TokenView {
            token: minted.token.clone(),
            expires_at: minted.expires_at,
            owner: minted.owner.clone(),
            repositories: minted.repositories.clone(),
            permissions: minted.permissions.clone(),
        };
        self.app
            .with(|world, _| world.minted.iter().map(view).collect())
    }

    /// Sets where webhooks go and the secret that signs them.
    pub fn set_webhook(&self, url: &str, secret: &str) {
        self.app
            .with(|world, _| world.webhook = Some((url.into(), secret.into())));
    }

    /// Moves the default branch's head and returns the new commit.
    pub fn push_commit(&self, repo: &str) -> String {
        let pushed = self
            .app
            .with(|world, now| Ok(world.repo(repo)?.push_commit(now)));
        pushed.unwrap_or_else(|_: crate::model::refusal::Refusal| missing(repo))
    }

    /// As [`push_commit`](Self::push_commit), with a message.
    pub fn commit(&self, repo: &str, message: &str) -> String {
        self.commit_as(repo, message, false)
    }

    /// As [`commit`](Self::commit); the commit merges a branch.
    pub fn merge(&self, repo: &str, message: &str) -> String {
        self.commit_as(repo, message, true)
    }

    fn commit_as(&self, repo: &str, message: &str, merge: bool) -> String {
        let pushed = self.app.with(|world, now| {
            let repo = world.repo(repo)?;
            Ok(repo.commit_as(message.into(), merge, now))
        });
        pushed.unwrap_or_else(|_: crate::model::refusal::Refusal| missing(repo))
    }

    /// Points a tag at the head, sends the `create` webhook, returns the commit.
    pub fn create_tag(&self, repo: &str, tag: &str) -> String {
        self.app
            .with(|world, _| world.create_tag(repo, tag))
            .unwrap_or_else(|_| missing(repo))
    }

    /// Points an annotated tag at the head, sends the `create` webhook, returns the id of
    /// the tag's object.
    pub fn annotate_tag(&self, repo: &str, tag: &str, message: &str) -> String {
        self.app
            .with(|world, now| world.annotate_tag(repo, tag, message, now))
            .unwrap_or_else(|_| missing(repo))
    }

    /// Sends a signed webhook at once and returns the receiver's HTTP status.
    pub async fn send_webhook(&self, event: &str, payload: Value) -> Result<u16, Error> {
        let hook = Hook {
            event: event.into(),
            payload,
        };
        self.app.deliver(&hook, false).await
    }

    /// A `repository_dispatch` by somebody else; returns the id of the run that
    /// it starts, or of the first of them.
    ///
    /// # Panics
    /// If GitHub would refuse it, or no workflow listens.
    pub fn dispatch_as(&self, actor: &str, repo: &str, event_type: &str, payload: Value) -> u64 {
        let started = self
            .app
            .with(|world, now| world.repository_dispatch(repo, actor, event_type, payload, now));
        match started.as_deref() {
            Ok([first, ..]) => *first,
            Ok([]) => panic!("no workflow of {repo} listens to {event_type}"),
            Err(refusal) => panic!("{repo} refuses the dispatch: {}", refusal.message),
        }
    }

    /// A release of somebody else's, with these assets; its id. No webhook is sent.
    ///
    /// # Panics
    /// If GitHub would refuse it.
    pub fn release_as(&self, actor: &str, repo: &str, release: ForeignRelease) -> u64 {
        let made = self
            .app
            .with(|world, now| world.release_as(repo, actor, release, now));
        made.unwrap_or_else(|refusal| panic!("{repo} refuses the release: {}", refusal.message))
    }

    /// The runs of a repository, oldest first.
    pub fn runs(&self, repo: &str) -> Vec<RunView> {
        self.app
            .with(|world, _| {
                let repo = world.repo(repo).ok()?;
                Some(repo.runs.iter().map(|run| run.view()).collect())
            })
            .unwrap_or_default()
    }

    /// The releases of a repository, oldest first, drafts included.
    pub fn releases(&self, repo: &str) -> Vec<ReleaseView> {
        self.app
            .with(|world, _| {
                let repo = world.repo(repo).ok()?;
                Some(repo.releases.iter().map(|release| release.view()).collect())
            })
            .unwrap_or_default()
    }

    /// How often each route was called, as `POST /repos/{owner}/{repo}/dispatches`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.app.with(|world, _| world.calls.clone())
    }

    /// Every call, in the order in which they were done with.
    pub fn requests(&self) -> Vec<Request> {
        self.app.with(|world, _| world.requests.clone())
    }

    /// Every call of the API that was carried out, with what was sent and answered, if
    /// the settings say `record`; not those that a fault answered.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.app.with(|world, _| world.exchanges.clone())
    }

    /// Every webhook, in the order in which it came about, if the settings say `record`.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.app.with(|world, _| world.deliveries.clone())
    }

    /// How releases changed, in the order in which they did, if the settings say `record`.
    pub fn moments(&self) -> Vec<Moment> {
        self.app.with(|world, _| world.moments.clone())
    }

    /// What receivers said to each of [`deliveries`](Self::deliveries) that is over: its
    /// event and the HTTP status, none where it was lost.
    pub fn answers(&self) -> Vec<(String, Option<u16>)> {
        self.app.with(|world, _| world.answers.clone())
    }

    /// Stops, and waits a moment for calls that are under way.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(Duration::from_millis(500), &mut server)
                .await
                .is_err()
        {
            server.abort();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

fn missing<T>(repo: &str) -> T {
    panic!("the simulator has no repository {repo}")
}
