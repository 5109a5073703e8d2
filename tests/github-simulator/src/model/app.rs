//! An App's calls: the JWT that it shows, the tokens that it mints, and what they may do.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rustls::SignatureScheme;
use rustls::crypto::ring;
use serde::Deserialize;
use serde_json::Value;

use super::World;
use super::archive::sha256;
use super::refusal::Refusal;
use crate::app::{App, Installation};

/// How long a minted token is good for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// How far a JWT may reach, in seconds.
const FURTHEST: i64 = 600;
/// A token may be narrowed to so many repositories.
const MOST_REPOSITORIES: usize = 500;

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Nobody who is known.
    Nobody,
    /// The user of the settings.
    User,
    /// The App as itself, by a JWT.
    App,
    /// The App by a token that it minted.
    Token(Minted),
}

/// A token that was minted.
#[derive(Debug, Clone)]
pub(crate) struct Minted {
    pub(crate) token: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) owner: String,
    /// Names without the owner; none: all that the installation has.
    pub(crate) repositories: Option<Vec<String>>,
    pub(crate) permissions: BTreeMap<String, String>,
}

/// What a token is to be narrowed to.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Narrowing {
    pub(crate) repositories: Option<Vec<String>>,
    pub(crate) permissions: Option<BTreeMap<String, String>>,
}

/// What an App needs for a call, by GitHub's "Permissions required for GitHub Apps": the
/// route below the repository, the permission, and whether it is to be written.
const NEEDED: [(&str, &str, &str, bool); 36] = [
    ("GET", "", "metadata", false),
    ("GET", "/contents", "contents", false),
    ("GET", "/contents/{path}", "contents", false),
    ("GET", "/git/ref/tags/{tag}", "contents", false),
    ("GET", "/git/ref/heads/{branch}", "contents", false),
    ("GET", "/git/tags/{tag_sha}", "contents", false),
    ("POST", "/git/refs", "contents", true),
    ("GET", "/commits/{ref}", "contents", false),
    ("GET", "/compare/{basehead}", "contents", false),
    ("GET", "/immutable-releases", "administration", false),
    ("POST", "/dispatches", "contents", true),
    ("GET", "/actions/workflows", "actions", false),
    ("GET", "/actions/workflows/{workflow_id}", "actions", false),
    (
        "POST",
        "/actions/workflows/{workflow_id}/dispatches",
        "actions",
        true,
    ),
    ("GET", "/actions/runs", "actions", false),
    ("GET", "/actions/runs/{run_id}", "actions", false),
    ("GET", "/actions/runs/{run_id}/jobs", "actions", false),
    (
        "GET",
        "/actions/runs/{run_id}/pending_deployments",
        "actions",
        false,
    ),
    ("POST", "/actions/runs/{run_id}/rerun", "actions", true),
    (
        "POST",
        "/actions/runs/{run_id}/rerun-failed-jobs",
        "actions",
        true,
    ),
    ("POST", "/actions/runs/{run_id}/cancel", "actions", true),
    (
        "POST",
        "/actions/runs/{run_id}/force-cancel",
        "actions",
        true,
    ),
    ("GET", "/actions/runs/{run_id}/artifacts", "actions", false),
    ("GET", "/actions/artifacts/{artifact_id}", "actions", false),
    (
        "GET",
        "/actions/artifacts/{artifact_id}/zip",
        "actions",
        false,
    ),
    ("GET", "/releases", "contents", false),
    ("POST", "/releases", "contents", true),
    ("GET", "/releases/latest", "contents", false),
    ("GET", "/releases/tags/{tag}", "contents", false),
    ("GET", "/releases/{release_id}", "contents", false),
    ("PATCH", "/releases/{release_id}", "contents", true),
    ("DELETE", "/releases/{release_id}", "contents", true),
    ("GET", "/releases/{release_id}/assets", "contents", false),
    ("POST", "/releases/{release_id}/assets", "contents", true),
    ("GET", "/releases/assets/{asset_id}", "contents", false),
    ("DELETE", "/releases/assets/{asset_id}", "contents", true),
];

impl Caller {
    /// Whether drafts are shown to it.
    pub(crate) fn may_push(&self) -> bool {
        match self {
            Self::User => true,
            Self::Token(minted) => minted.has("contents", true),
            Self::App | Self::Nobody => false,
        }
    }

    /// Refuses a route that is not for this caller.
    pub(crate) fn may(&self, method: &str, template: &str, path: &str) -> Result<(), Refusal> {
        let of_app = template.starts_with("/app") || template.ends_with("/installation");
        match self {
            Self::App if of_app => Ok(()),
            Self::App => Err(Refusal::new(401, "Bad credentials")),
            _ if of_app => Err(Refusal::new(401, "A JSON web token could not be decoded")),
            Self::Token(minted) => minted.may(method, template, path),
            Self::User | Self::Nobody => Ok(()),
        }
    }
}

impl Minted {
    /// Refuses what the token does not reach: another repository is not found, another
    /// permission is not accessible.
    fn may(&self, method: &str, template: &str, path: &str) -> Result<(), Refusal> {
        let refused = || Err(Refusal::new(403, "Resource not accessible by integration"));
        let Some(below) = template.strip_prefix("/repos/{owner}/{repo}") else {
            return refused();
        };
        let path = path.strip_prefix("/uploads").unwrap_or(path);
        let mut parts = path.split('/').skip(2);
        let (owner, name) = (parts.next().unwrap_or_default(), parts.next());
        if !self.owner.eq_ignore_ascii_case(owner) || !name.is_some_and(|name| self.reaches(name)) {
            return Err(Refusal::not_found());
        }
        let needed = NEEDED
            .iter()
            .find(|(m, route, ..)| *m == method && *route == below);
        match needed {
            Some((_, _, permission, write)) if self.has(permission, *write) => Ok(()),
            _ => refused(),
        }
    }

    /// Whether a permission was given, to read or to write.
    pub(crate) fn has(&self, permission: &str, write: bool) -> bool {
        let given = self.permissions.get(permission);
        given.is_some_and(|access| !write || access == "write")
    }

    fn reaches(&self, name: &str) -> bool {
        let reached = self.repositories.as_ref();
        reached.is_none_or(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }
}

/// Whether a JWT is the App's at this moment, in GitHub's words.
pub(crate) fn check_jwt(app: &App, jwt: &str, now: Timestamp) -> Result<(), Refusal> {
    let odd = || Refusal::new(401, "A JSON web token could not be decoded");
    let (signed, signature) = jwt.rsplit_once('.').ok_or_else(odd)?;
    let (header, claims) = signed.split_once('.').ok_or_else(odd)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| odd());
    let json = |part: &str| serde_json::from_slice::<Value>(&decode(part)?).map_err(|_| odd());
    if json(header)?["alg"] != "RS256" {
        return Err(odd());
    }
    let known = ring::default_provider().signature_verification_algorithms;
    let rs256 = known
        .mapping
        .iter()
        .find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256);
    let (_, algorithms) = rs256.ok_or_else(odd)?;
    let (key, signature) = (app.public_key(), decode(signature)?);
    let holds = |message: &[u8]| {
        let mut each = algorithms.iter();
        each.any(|one| one.verify_signature(&key, message, &signature).is_ok())
    };
    if !holds(signed.as_bytes()) {
        return Err(odd());
    }
    let claims = json(claims)?;
    let seconds = |name: &str| claims[name].as_i64();
    let wrong = |message: &str| Err(Refusal::new(401, message));
    let now = now.as_second();
    match seconds("iat") {
        Some(at) if at <= now => {}
        _ => {
            return wrong(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            );
        }
    }
    match seconds("exp") {
        Some(at) if at > now + FURTHEST => {
            return wrong("'Expiration time' claim ('exp') is too far in the future");
        }
        Some(at) if at > now => {}
        _ => {
            return wrong(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            );
        }
    }
    let issuer = match &claims["iss"] {
        Value::String(issuer) => issuer.clone(),
        other => other.to_string(),
    };
    if issuer == app.id.to_string() || issuer == app.client_id {
        Ok(())
    } else {
        Err(Refusal::new(404, "Integration not found"))
    }
}

impl World {
    /// Who shows this token or JWT.
    pub(crate) fn caller(&self, token: &str, now: Timestamp) -> Result<Caller, Refusal> {
        if self.tokens.iter().any(|known| known == token) {
            return Ok(Caller::User);
        }
        let minted = self.minted.iter().find(|minted| minted.token == token);
        if let Some(minted) = minted.filter(|minted| minted.expires_at > now) {
            return Ok(Caller::Token(minted.clone()));
        }
        match &self.app {
            Some(app) if token.split('.').count() == 3 => {
                check_jwt(app, token, now).map(|()| Caller::App)
            }
            _ => Err(Refusal::new(401, "Bad credentials")),
        }
    }

    /// The login of who calls.
    pub(crate) fn login_of(&self, caller: &Caller) -> String {
        match (caller, &self.app) {
            (Caller::Token(_), Some(app)) => format!("{}[bot]", app.slug),
            _ => self.login.clone(),
        }
    }

    /// The App, for its own calls.
    pub(crate) fn app(&self) -> Result<&App, Refusal> {
        self.app.as_ref().ok_or_else(Refusal::not_found)
    }

    /// Mints a token of an installation.
    pub(crate) fn mint(
        &mut self,
        installation: u64,
        asked: Narrowing,
        now: Timestamp,
    ) -> Result<(Installation, Minted), Refusal> {
        let installation = self.app()?.installation(installation)?.clone();
        let names = asked
            .repositories
            .as_ref()
            .or(installation.repositories.as_ref());
        if names.is_some_and(|names| names.len() > MOST_REPOSITORIES) {
            return Err(Refusal::new(
                422,
                "There are too many repositories in the request.",
            ));
        }
        for name in names.into_iter().flatten() {
            let full = format!("{}/{name}", installation.owner);
            if !installation.covers(&full) || self.repo(&full).is_err() {
                return Err(Refusal::new(
                    422,
                    "There is at least one repository that does not exist or is not accessible to the parent installation.",
                ));
            }
        }
        let mut permissions = installation.permissions.clone();
        if let Some(narrowed) = asked.permissions {
            let granted = |(name, access): (&String, &String)| {
                let granted = installation.permissions.get(name);
                granted.is_some_and(|granted| granted == access || granted == "write")
            };
            if !narrowed.iter().all(granted) {
                return Err(Refusal::new(
                    422,
                    "The permissions requested are not granted to this installation.",
                ));
            }
            permissions = narrowed;
        }
        permissions.insert("metadata".into(), "read".into());
        self.serial += 1;
        let token = sha256(format!("{:?}{}{now}", self.tokens, self.serial).as_bytes());
        let minted = Minted {
            token: format!("ghs_{}", &token["sha256:".len()..][..36]),
            expires_at: now + LIFETIME,
            owner: installation.owner.clone(),
            repositories: names.cloned(),
            permissions,
        };
        self.minted.push(minted.clone());
        Ok((installation, minted))
    }
}

impl App {
    pub(crate) fn installation(&self, id: u64) -> Result<&Installation, Refusal> {
        let mut all = self.installations.iter();
        all.find(|installation| installation.id == id)
            .ok_or_else(Refusal::not_found)
    }
}

impl Installation {
    /// Whether it was installed for this `owner/name`.
    pub(crate) fn covers(&self, full: &str) -> bool {
        let (owner, name) = full.split_once('/').unwrap_or_default();
        let selected = self.repositories.as_ref();
        self.owner.eq_ignore_ascii_case(owner)
            && selected.is_none_or(|names| names.iter().any(|n| n.eq_ignore_ascii_case(name)))
    }
}
