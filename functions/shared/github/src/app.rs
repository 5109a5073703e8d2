//! A GitHub App: the JWT that it shows, and the tokens that are minted with it, each for
//! the repositories and permissions that a stage needs.
//!
//! Several owners are served by an installation each: a token is of one of them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commons_domain::names::RepoName;
use jiff::Timestamp;
use reqwest::Method;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::SigningKey;
use rustls::{SignatureScheme, crypto::ring};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::auth::Minted;
use crate::permissions::{Access, PERMISSIONS};
use crate::{Error, GitHub};

/// A JWT begins so many seconds ago, for clocks that differ, and ends so many from now:
/// GitHub takes at most ten minutes.
const BEGAN: i64 = 60;
const ENDS: i64 = 540;
/// A token may be narrowed to so many repositories.
const MOST_REPOSITORIES: usize = 500;

/// An App, as its secret names it.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// Its ID or client ID.
    pub(crate) id: String,
    /// Its only installation; otherwise that of each repository's owner is looked up.
    pub(crate) installation: Option<u64>,
    pub(crate) key: Key,
}

/// An RSA key. What signs for TLS signs here: that brings no other cryptography along.
#[derive(Clone)]
pub(crate) struct Key(Arc<dyn SigningKey>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// From PKCS#1, as GitHub gives it, or PKCS#8; none if it is something else.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let key = ring::sign::any_supported_type(&der).ok()?;
        key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        Some(Self(key))
    }

    /// RS256 ([RFC 7518](https://www.rfc-editor.org/rfc/rfc7518#section-3.3)).
    fn sign(&self, message: &str) -> Option<Vec<u8>> {
        let signer = self.0.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256])?;
        signer.sign(message.as_bytes()).ok()
    }
}

impl App {
    /// What it shows instead of a token
    /// ([GitHub: a JWT for an App](https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app)).
    fn jwt(&self, now: Timestamp) -> Result<SecretString, Error> {
        let now = now.as_second();
        let claims = json!({"iat": now - BEGAN, "exp": now + ENDS, "iss": self.id});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!(
            "{}.{}",
            part(json!({"alg": "RS256", "typ": "JWT"})),
            part(claims)
        );
        let signature = self.key.sign(&signed).ok_or_else(|| {
            Error::Secret("the private_key of the secret for GitHub does not sign".into())
        })?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

/// As much of `GET …/installation` as is read.
#[derive(Deserialize)]
struct Installation {
    id: u64,
    permissions: Map<String, Value>,
}

impl GitHub {
    /// The name of the App that the calls are of: its runs and assets are of `<slug>[bot]`.
    /// None for a user's token.
    pub(crate) async fn slug(&self) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Shown {
            slug: String,
        }
        let Some(app) = self.auth().app().await? else {
            return Ok(None);
        };
        let shown: Shown = self.as_app(&app, Method::GET, "/app", None).await?;
        Ok(Some(shown.slug))
    }

    /// Mints a token for a repository and those that are asked about with it, with what the
    /// stage may do.
    pub(crate) async fn mint(&self, app: &App, repository: &RepoName) -> Result<Minted, Error> {
        let installation = self.installation(app, repository).await?;
        let permissions = self.narrowed(repository, &installation)?;
        let group = self.group(repository);
        let mut minted = self
            .access_token(app, &installation, &group, &permissions)
            .await;
        if group.len() > 1 && matches!(minted, Err(Error::Unprocessable { .. })) {
            // One of them is not the installation's. The calls about it tell which.
            let alone = [repository.clone()];
            minted = self
                .access_token(app, &installation, &alone, &permissions)
                .await;
        }
        minted.map_err(|error| match error {
            Error::Unprocessable { call, message } => Error::NotFound {
                call,
                message: format!(
                    "the App's installation {} is not for {repository} ({message}); without installation_id each owner's is looked up",
                    installation.id
                ),
            },
            other => other,
        })
    }

    async fn installation(&self, app: &App, repository: &RepoName) -> Result<Installation, Error> {
        let path = match app.installation {
            Some(id) => format!("/app/installations/{id}"),
            None => format!("/repos/{repository}/installation"),
        };
        let found = self.as_app(app, Method::GET, &path, None).await;
        found.map_err(|error| match error {
            Error::NotFound { call, message } => Error::NotFound {
                call,
                message: format!("the App is not installed for {repository} ({message})"),
            },
            other => other,
        })
    }

    /// The stage's permissions, as far as the installation has them; all that are not
    /// optional must be among them.
    fn narrowed(
        &self,
        repository: &RepoName,
        installation: &Installation,
    ) -> Result<Map<String, Value>, Error> {
        let work = self.work();
        let mut narrowed = Map::new();
        for permission in &PERMISSIONS {
            let (name, Some(needed)) = (permission.name, permission.of(work)) else {
                continue;
            };
            let granted = installation.permissions.get(name).and_then(Value::as_str);
            if granted.and_then(Access::parse) >= Some(needed) {
                narrowed.insert(name.to_owned(), needed.as_str().into());
            } else if !permission.optional {
                let (owner, access) = (repository.owner(), needed.as_str());
                return Err(Error::Forbidden {
                    call: format!("act for {work} in {repository}"),
                    message: format!(
                        "the App's installation of {owner} lacks {name}: {access}; add it to the App, and let {owner} accept it"
                    ),
                });
            }
        }
        Ok(narrowed)
    }

    /// A repository with those of its owner that are asked about with it, as many as a token
    /// takes.
    fn group(&self, repository: &RepoName) -> Vec<RepoName> {
        let same = |other: &&RepoName| other.owner() == repository.owner();
        let of_owner: Vec<&RepoName> = self.together().iter().filter(same).collect();
        let mut chunks = of_owner.chunks(MOST_REPOSITORIES);
        match chunks.find(|chunk| chunk.contains(&repository)) {
            Some(chunk) => chunk.iter().copied().cloned().collect(),
            None => vec![repository.clone()],
        }
    }

    async fn access_token(
        &self,
        app: &App,
        installation: &Installation,
        repositories: &[RepoName],
        permissions: &Map<String, Value>,
    ) -> Result<Minted, Error> {
        #[derive(Deserialize)]
        struct Token {
            token: String,
            expires_at: Timestamp,
        }
        let path = format!("/app/installations/{}/access_tokens", installation.id);
        let names: Vec<&str> = repositories.iter().map(RepoName::name).collect();
        let body = json!({"repositories": names, "permissions": permissions});
        let minted: Token = self.as_app(app, Method::POST, &path, Some(&body)).await?;
        Ok(Minted {
            token: minted.token.into(),
            expires_at: minted.expires_at,
            repositories: repositories.to_vec(),
            work: self.work(),
        })
    }

    /// A call that the App makes as itself.
    async fn as_app<T: DeserializeOwned>(
        &self,
        app: &App,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let call = format!("{method} {path}");
        let jwt = app.jwt(self.now())?;
        let request = self.request(method, path, body, "application/vnd.github+json");
        let (client, request) = request.build_split();
        let request = request.map_err(|error| Error::of_transport(&call, error))?;
        let answered = self.sent(&client, &call, request, &jwt).await;
        let response = answered.map_err(|error| match error {
            Error::Unauthorized { call, message } => Error::Unauthorized {
                call,
                message: format!("{message}: app_id and private_key must be of one App"),
            },
            other => other,
        })?;
        self.read_json(&call, response).await
    }
}
