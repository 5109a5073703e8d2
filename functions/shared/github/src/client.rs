//! The client: one request, its deadline, its classification, its pages.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use commons_domain::clock::Clock;
use commons_domain::names::RepoName;
use commons_domain::times::Speed;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, RequestBuilder, Response, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::auth::{Auth, Source};
use crate::permissions::Work;
use crate::{Error, transfer};

pub use reqwest::Body;

/// Every call but a transfer is over by then.
const DEADLINE: Duration = Duration::from_secs(10);
/// A transfer's bytes may not stop for longer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What is asked for, unless it is a file.
pub(crate) const JSON: &str = "application/vnd.github+json";
/// Pages are of this size, GitHub's largest.
pub(crate) const PER_PAGE: usize = 100;

/// How to reach GitHub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://api.github.com`, or a GitHub Enterprise Server's.
    pub api_url: Url,
    /// What authorises calls.
    pub source: Arc<dyn Source>,
    /// Whose calls they are.
    pub work: Work,
    /// Divides the sleeps between tries.
    pub speed: Speed,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whether artifacts may come from private addresses, and over http: of a GitHub
    /// Enterprise Server within, or in a rehearsal.
    pub private_transfers: bool,
}

impl Settings {
    /// Checks the URL.
    pub fn new(
        api_url: &str,
        source: impl Source + 'static,
        work: Work,
        speed: Speed,
        clock: Arc<dyn Clock>,
        private_transfers: bool,
    ) -> Result<Self, url::ParseError> {
        Ok(Self {
            api_url: Url::parse(api_url)?,
            source: Arc::new(source),
            work,
            speed,
            clock,
            private_transfers,
        })
    }
}

/// GitHub's REST API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GitHub {
    http: reqwest::Client,
    transfers: reqwest::Client,
    uploads: reqwest::Client,
    settings: Settings,
    auth: Arc<Auth>,
    together: Arc<[RepoName]>,
}

impl GitHub {
    /// A client; redirects are not followed by it, since they go to other hosts.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        // A second caller finds the provider installed, which is what it wants.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("bllvm-commons/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(DEADLINE)
        };
        let build = |client: reqwest::ClientBuilder| {
            client.build().map_err(|error| Error::Unexpected {
                call: "a new client".into(),
                message: error.to_string(),
            })
        };
        let transfers = match transfer::resolver(settings.private_transfers) {
            Some(resolver) => client().dns_resolver(resolver),
            None => client(),
        };
        Ok(Self {
            http: build(client())?,
            transfers: build(transfers.read_timeout(READ_TIMEOUT))?,
            // Nothing is read while a body is sent: reqwest's read time-out would end it.
            uploads: build(client())?,
            auth: Arc::new(Auth::new(Arc::clone(&settings.source))),
            together: Arc::default(),
            settings,
        })
    }

    /// The same client for another stage's calls.
    pub fn working_as(&self, work: Work) -> Self {
        let mut other = self.clone();
        other.settings.work = work;
        other
    }

    /// The same client for calls about these repositories, for which an App's tokens are
    /// minted together.
    pub fn touching(&self, repositories: impl IntoIterator<Item = RepoName>) -> Self {
        let together = repositories.into_iter().collect::<BTreeSet<_>>();
        Self {
            together: together.into_iter().collect(),
            ..self.clone()
        }
    }

    /// Reads what authorises calls again: while a release waits for its runs, it may be
    /// replaced. What is wrong with it is told here.
    pub async fn renew(&self) -> Result<(), Error> {
        self.auth.renew().await.map(drop)
    }

    /// A read: tried again where GitHub could not be seen, not where it limits.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.read(path, JSON).await?;
        self.read_json(&format!("GET {path}"), response).await
    }

    /// The object that an answer holds.
    pub(crate) async fn read_json<T: DeserializeOwned>(
        &self,
        call: &str,
        response: Response,
    ) -> Result<T, Error> {
        let bytes = response.bytes().await;
        let bytes = bytes.map_err(|error| Error::of_transport(call, error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
            call: call.to_owned(),
            message: error.to_string(),
        })
    }

    /// A read whose answer is not parsed.
    pub(crate) async fn read(&self, path: &str, accept: &str) -> Result<Response, Error> {
        self.repeatable(Method::GET, path, accept).await
    }

    /// A write without a body that may be made twice: tried again as a read is.
    pub(crate) async fn write_again(&self, method: Method, path: &str) -> Result<Response, Error> {
        self.repeatable(method, path, JSON).await
    }

    async fn repeatable(
        &self,
        method: Method,
        path: &str,
        accept: &str,
    ) -> Result<Response, Error> {
        let once = || self.send(method.clone(), path, None, accept);
        let wait = self.settings.speed.real(Duration::from_millis(500));
        once.retry(
            ExponentialBuilder::default()
                .with_min_delay(wait)
                .with_max_times(2)
                .with_jitter(),
        )
        .when(|error| matches!(error, Error::Unavailable { .. }))
        .await
    }

    /// A write: once.
    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, Error> {
        self.send(method, path, body, JSON).await
    }

    /// A write whose answer is an object.
    pub(crate) async fn write_for<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, Error> {
        let call = format!("{method} {path}");
        let response = self.write(method, path, Some(body)).await?;
        self.read_json(&call, response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> Result<Response, Error> {
        let call = format!("{method} {path}");
        let request = self.request(method, path, body, accept);
        // All of it, with what it takes to get a token: others count on the deadline.
        let answer = tokio::time::timeout(DEADLINE, self.answer(&call, request)).await;
        answer.unwrap_or_else(|_| {
            Err(Error::Unavailable {
                call,
                sent: true,
                message: "no answer in time".into(),
            })
        })
    }

    /// A request that nothing authorises yet.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> RequestBuilder {
        let base = self.settings.api_url.as_str().trim_end_matches('/');
        let request = self
            .http
            .request(method, format!("{base}{path}"))
            .timeout(DEADLINE)
            .header("Accept", accept);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// Authorises and sends a request; any answer but 2xx and 302 is an error. After a 401
    /// GitHub has done nothing: where there is another token by now, it is sent once more.
    /// A body that is a stream is gone by then: that is told as an answer that did not come.
    ///
    /// Boxed, since what it takes to mint is deep within the futures of all that call this.
    pub(crate) fn answer<'a>(
        &'a self,
        call: &'a str,
        request: RequestBuilder,
    ) -> BoxFuture<'a, Result<Response, Error>> {
        Box::pin(async move {
            let (client, request) = request.build_split();
            let request = request.map_err(|error| Error::of_transport(call, error))?;
            let again = request.try_clone();
            let token = self.token(request.url()).await?;
            let refused = match self.sent(&client, call, request, &token).await {
                Err(error @ Error::Unauthorized { .. }) => error,
                answered => return answered,
            };
            if !self.auth.refused(&token).await? {
                return Err(refused);
            }
            tracing::warn!(%refused, "the token is dead; there is another");
            match again {
                Some(request) => {
                    let token = self.token(request.url()).await?;
                    self.sent(&client, call, request, &token).await
                }
                None => Err(Error::Unavailable {
                    call: call.to_owned(),
                    sent: false,
                    message: "its token was dead, and there is another now".into(),
                }),
            }
        })
    }

    /// The token for a call. What went wrong before it was sent did not happen to the call.
    async fn token(&self, url: &Url) -> Result<SecretString, Error> {
        let repository = repository_of(url);
        let token = self.auth.token(self, repository.as_ref()).await;
        token.map_err(|error| match error {
            Error::Unavailable { call, message, .. } | Error::Unexpected { call, message } => {
                Error::Unavailable {
                    call,
                    sent: false,
                    message,
                }
            }
            other => other,
        })
    }

    /// Sends a request once.
    pub(crate) async fn sent(
        &self,
        client: &reqwest::Client,
        call: &str,
        mut request: Request,
        token: &SecretString,
    ) -> Result<Response, Error> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut bearer = bearer.map_err(|_| Error::Secret("a token has odd characters".into()))?;
        bearer.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(
            "X-GitHub-Api-Version",
            HeaderValue::from_static("2022-11-28"),
        );
        let response = client.execute(request).await;
        let response = response.map_err(|error| Error::of_transport(call, error))?;
        self.accept(call, response).await
    }

    /// The answer if it is 2xx or 302, else what it means.
    pub(crate) async fn accept(&self, call: &str, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() || status.as_u16() == 302 {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let body = response.text().await.unwrap_or_default();
        let now = self.now().as_second();
        let status = status.as_u16();
        Err(Error::of_status(call, status, &headers, &body, now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// The HTTP client for uploads, whose every request has a time of its own.
    pub(crate) fn uploads(&self) -> &reqwest::Client {
        &self.uploads
    }

    /// The HTTP client for downloads from other hosts.
    pub(crate) fn transfers(&self) -> &reqwest::Client {
        &self.transfers
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    pub(crate) fn work(&self) -> Work {
        self.settings.work
    }

    pub(crate) fn together(&self) -> &[RepoName] {
        &self.together
    }

    /// Every page of a list, until one is short or `enough` of it was seen.
    pub(crate) async fn pages<T, P>(
        &self,
        path: &str,
        items: impl Fn(P) -> Vec<T>,
        most: usize,
        enough: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, Error>
    where
        P: DeserializeOwned,
    {
        let mut all = Vec::new();
        for page in 1..=most {
            let more = items(
                self.get(&format!("{path}?per_page={PER_PAGE}&page={page}"))
                    .await?,
            );
            let last = more.len() < PER_PAGE || enough(&more);
            all.extend(more);
            if last {
                return Ok(all);
            }
        }
        Ok(all)
    }
}

/// The repository that a call is about: its path names it, at whatever base.
fn repository_of(url: &Url) -> Option<RepoName> {
    let mut segments = url.path_segments()?.skip_while(|part| *part != "repos");
    let (_, owner, name) = (segments.next()?, segments.next()?, segments.next()?);
    RepoName::new(&format!("{owner}/{name}")).ok()
}

/// One segment of a path, encoded.
pub(crate) fn segment(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_call_names_its_repository() {
        for (url, name) in [
            ("https://api.github.com/repos/o/r", Some("o/r")),
            (
                "https://h/api/v3/repos/o/repos/commits/a%2Fb",
                Some("o/repos"),
            ),
            (
                "https://uploads.github.com/repos/o/r/releases/1/assets?name=x",
                Some("o/r"),
            ),
            ("https://api.github.com/user", None),
        ] {
            let found = super::repository_of(&url.parse().unwrap());
            assert_eq!(found.as_ref().map(|name| name.as_str()), name, "{url}");
        }
    }

    #[test]
    fn names_are_encoded_plus_included() {
        assert_eq!(super::segment("a+b c/d.tar.gz"), "a%2Bb%20c%2Fd.tar.gz");
    }
}
