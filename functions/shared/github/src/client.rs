//! The client: one request, its deadline, its classification, its pages.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use commons_domain::clock::Clock;
use commons_domain::times::Speed;
use jiff::Timestamp;
use reqwest::{Method, Response, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{Error, transfer};

pub use reqwest::Body;

/// Every call but a transfer is over by then.
const DEADLINE: Duration = Duration::from_secs(10);
/// A transfer's bytes may not stop for longer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages are of this size, GitHub's largest.
pub(crate) const PER_PAGE: usize = 100;

/// How to reach GitHub.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://api.github.com`, or a GitHub Enterprise Server's.
    pub api_url: Url,
    /// A token.
    pub token: SecretString,
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
        token: SecretString,
        speed: Speed,
        clock: Arc<dyn Clock>,
        private_transfers: bool,
    ) -> Result<Self, url::ParseError> {
        Ok(Self {
            api_url: Url::parse(api_url)?,
            token,
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
            settings,
        })
    }

    /// The same client with another token.
    pub fn with_token(&self, token: SecretString) -> Self {
        let mut other = self.clone();
        other.settings.token = token;
        other
    }

    /// A read: tried again where GitHub could not be seen, not where it limits.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let call = format!("GET {path}");
        let response = self.read(path, "application/vnd.github+json").await?;
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&call, error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
            call,
            message: error.to_string(),
        })
    }

    /// A read whose answer is not parsed.
    pub(crate) async fn read(&self, path: &str, accept: &str) -> Result<Response, Error> {
        self.repeatable(Method::GET, path, accept).await
    }

    /// A write without a body that may be made twice: tried again as a read is.
    pub(crate) async fn write_again(&self, method: Method, path: &str) -> Result<Response, Error> {
        self.repeatable(method, path, "application/vnd.github+json")
            .await
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
        self.send(method, path, body, "application/vnd.github+json")
            .await
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
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&call, error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
            call,
            message: error.to_string(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        accept: &str,
    ) -> Result<Response, Error> {
        let base = self.settings.api_url.as_str().trim_end_matches('/');
        let call = format!("{method} {path}");
        let mut request = self
            .http
            .request(method, format!("{base}{path}"))
            .timeout(DEADLINE)
            .header("Accept", accept);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.answer(&call, request).await
    }

    /// Sends an authorised request; any answer but 2xx and 302 is an error.
    pub(crate) async fn answer(
        &self,
        call: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, Error> {
        let response = request
            .header("X-GitHub-Api-Version", "2022-11-28")
            .bearer_auth(self.settings.token.expose_secret())
            .send()
            .await
            .map_err(|error| Error::of_transport(call, error))?;
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
    fn names_are_encoded_plus_included() {
        assert_eq!(super::segment("a+b c/d.tar.gz"), "a%2Bb%20c%2Fd.tar.gz");
    }
}
