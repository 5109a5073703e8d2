//! What calls are authorised with: a token, or the tokens of a GitHub App, which are minted
//! when one is needed and kept in memory.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use commons_domain::names::RepoName;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::app::{App, Key};
use crate::permissions::Work;
use crate::{Error, GitHub};

/// A minted token is used until so long before its end.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// The fields of an App's JSON.
pub const APP_FIELDS: [&str; 3] = ["app_id", "installation_id", "private_key"];

/// A read of a [`Source`].
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<SecretString, Error>> + Send + 'a>>;

/// Where what authorises calls is kept: a token as it is, or an App as JSON with `app_id`,
/// `private_key` and, where it is not to be looked up, `installation_id`.
pub trait Source: fmt::Debug + Send + Sync {
    /// What is there now.
    fn read(&self) -> Reading<'_>;
}

/// One that stays.
impl Source for SecretString {
    fn read(&self) -> Reading<'_> {
        Box::pin(async { Ok(self.clone()) })
    }
}

/// Whose calls they are.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// A user's, by a token.
    Token(SecretString),
    /// An App's.
    App(App),
}

/// A token that was minted.
pub(crate) struct Minted {
    pub(crate) token: SecretString,
    pub(crate) expires_at: Timestamp,
    /// All of one installation.
    pub(crate) repositories: Vec<RepoName>,
    pub(crate) work: Work,
}

/// The credentials, and the tokens minted with them. They are not written anywhere.
pub(crate) struct Auth {
    source: Arc<dyn Source>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What was read last, and what it says.
    read: Option<(SecretString, Credentials)>,
    minted: Vec<Minted>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        let known = Mutex::default();
        Self { source, known }
    }

    /// Reads the source again; tokens that were minted with other credentials are forgotten.
    /// Tells whether there are others now.
    pub(crate) async fn renew(&self) -> Result<bool, Error> {
        self.read(&mut self.known.lock().await).await
    }

    async fn read(&self, known: &mut MutexGuard<'_, Known>) -> Result<bool, Error> {
        let text = self.source.read().await?;
        let before = known.read.as_ref().map(|(text, _)| text.expose_secret());
        if before == Some(text.expose_secret()) {
            return Ok(false);
        }
        // Where it is no good, what was there before is not used either.
        **known = Known::default();
        let credentials = Credentials::parse(&text)?;
        known.read = Some((text, credentials));
        Ok(true)
    }

    async fn credentials(&self, known: &mut MutexGuard<'_, Known>) -> Result<Credentials, Error> {
        if known.read.is_none() {
            self.read(known).await?;
        }
        let read = known.read.as_ref().map(|(_, credentials)| credentials);
        read.cloned()
            .ok_or_else(|| Error::Secret("nothing authorises calls to GitHub".into()))
    }

    /// The App, where it is one.
    pub(crate) async fn app(&self) -> Result<Option<App>, Error> {
        let mut known = self.known.lock().await;
        Ok(match self.credentials(&mut known).await? {
            Credentials::App(app) => Some(app),
            Credentials::Token(_) => None,
        })
    }

    /// The token for a call about a repository; about none there is a user's only. Whoever
    /// asks meanwhile waits, and finds what was minted.
    pub(crate) async fn token(
        &self,
        github: &GitHub,
        repository: Option<&RepoName>,
    ) -> Result<SecretString, Error> {
        let mut known = self.known.lock().await;
        loop {
            let app = match self.credentials(&mut known).await? {
                Credentials::Token(token) => return Ok(token),
                Credentials::App(app) => app,
            };
            let Some(repository) = repository else {
                return Err(Error::Secret("an App's token is for repositories".into()));
            };
            let (now, work) = (github.now(), github.work());
            known.minted.retain(|m| m.expires_at > now + MARGIN);
            let found = known.minted.iter().find(|m| m.serves(work, repository));
            if let Some(found) = found {
                return Ok(found.token.clone());
            }
            match github.mint(&app, repository).await {
                // The App's key may have been replaced since it was read.
                Err(Error::Unauthorized { .. }) if self.read(&mut known).await? => {}
                minted => {
                    let minted = minted?;
                    let token = minted.token.clone();
                    known.minted.push(minted);
                    return Ok(token);
                }
            }
        }
    }

    /// After GitHub refused this token: whether there is another to try.
    pub(crate) async fn refused(&self, token: &SecretString) -> Result<bool, Error> {
        let mut known = self.known.lock().await;
        let same = |other: &SecretString| other.expose_secret() == token.expose_secret();
        if self.read(&mut known).await? {
            return Ok(true);
        }
        // What ended one may have ended all of them.
        if known.minted.iter().any(|minted| same(&minted.token)) {
            known.minted.clear();
        }
        Ok(match &known.read {
            // Another call has read its successor meanwhile.
            Some((_, Credentials::Token(now))) => !same(now),
            _ => true,
        })
    }
}

impl Minted {
    fn serves(&self, work: Work, repository: &RepoName) -> bool {
        let (wanted, mut of) = (repository.as_str(), self.repositories.iter());
        self.work == work && of.any(|of| of.as_str().eq_ignore_ascii_case(wanted))
    }
}

impl Credentials {
    /// Errors name the field, and never what is in it.
    fn parse(text: &SecretString) -> Result<Self, Error> {
        let text = text.expose_secret().trim();
        let refused = |fault: &str| Error::Secret(format!("the secret for GitHub {fault}"));
        if !text.starts_with('{') {
            return if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
                Ok(Self::Token(text.to_owned().into()))
            } else {
                Err(refused(
                    "is neither a token nor an App as JSON with app_id and private_key",
                ))
            };
        }
        let json: Value = serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            refused(&format!("is no JSON at line {line}, column {column}"))
        })?;
        let mut names = json.as_object().into_iter().flat_map(|app| app.keys());
        if let Some(other) = names.find(|name| !APP_FIELDS.contains(&name.as_str())) {
            let known = APP_FIELDS.join(", ");
            return Err(refused(&format!("has a field {other}: it takes {known}")));
        }
        let id = match &json["app_id"] {
            Value::Number(id) if id.is_u64() => id.to_string(),
            Value::String(id) if id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') => {
                id.clone()
            }
            _ => String::new(),
        };
        if id.is_empty() {
            return Err(refused("needs app_id: the App's ID or its client ID"));
        }
        let installation = match &json["installation_id"] {
            Value::Null => None,
            Value::Number(id) if id.is_u64() => id.as_u64(),
            _ => return Err(refused("has an installation_id that is no number")),
        };
        let key = json["private_key"].as_str().and_then(Key::from_pem);
        let key = key.ok_or_else(|| {
            refused("needs private_key: the text of the PEM file with the RSA key that GitHub gives for the App")
        })?;
        Ok(Self::App(App {
            id,
            installation,
            key,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let Err(error) = Credentials::parse(&text.to_owned().into()) else {
            panic!("it was taken: {text}");
        };
        error.to_string()
    }

    #[test]
    fn a_token_is_a_token_whatever_its_shape() {
        for text in ["ghp_0123", " github_pat_11AA_x\n", "any-other=="] {
            let parsed = Credentials::parse(&text.to_owned().into());
            assert!(
                matches!(parsed, Ok(Credentials::Token(token)) if token.expose_secret() == text.trim())
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let secret = "SECRETCONTENT";
        for (text, names) in [
            (format!("{secret}\nsecond line"), "neither a token nor"),
            (String::new(), "neither a token nor"),
            (format!("{{\"app_id\": {secret}}}"), "no JSON at line 1"),
            (format!("{{\"private_key\": \"{secret}\"}}"), "app_id"),
            (format!("{{\"app_id\": [\"{secret}\"]}}"), "app_id"),
            (format!("{{\"app_id\": \"{secret} x\"}}"), "app_id"),
            (
                format!("{{\"app_id\": 1, \"installation_id\": \"{secret}\"}}"),
                "installation_id",
            ),
            (
                format!("{{\"app_id\": 1, \"private_key\": \"{secret}\"}}"),
                "private_key",
            ),
            (
                "{\"app_id\": 1, \"private_key\": 5}".to_owned(),
                "private_key",
            ),
            ("{\"app_id\": 1, \"key\": \"k\"}".to_owned(), "a field key"),
        ] {
            let told = fault(&text);
            assert!(told.contains(names), "{told}");
            assert!(!told.contains(secret), "{told}");
        }
    }
}
