//! Users, bots and organisations.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::Render;

/// What GitHub links from an account, under its API address.
const USER_LINKS: [(&str, &str); 9] = [
    ("events_url", "/events{/privacy}"),
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("organizations_url", "/orgs"),
    ("received_events_url", "/received_events"),
    ("repos_url", "/repos"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
];

/// The same of an organisation as such.
const ORGANIZATION_LINKS: [(&str, &str); 6] = [
    ("events_url", "/events"),
    ("hooks_url", "/hooks"),
    ("issues_url", "/issues"),
    ("members_url", "/members{/member}"),
    ("public_members_url", "/public_members{/member}"),
    ("repos_url", "/repos"),
];

/// An id that is the same whenever the same account is shown.
pub(super) fn id_of(login: &str) -> u64 {
    login
        .bytes()
        .fold(1000, |id, byte| (id * 31 + u64::from(byte)) % 100_000_000)
}

impl Render {
    pub(super) fn user(&self, login: &str) -> Value {
        let kind = if login.ends_with("[bot]") {
            "Bot"
        } else {
            "User"
        };
        self.account(login, kind)
    }

    /// The account that owns a repository.
    pub(super) fn owner(&self, login: &str) -> Value {
        self.account(login, "Organization")
    }

    fn account(&self, login: &str, kind: &str) -> Value {
        let in_url = utf8_percent_encode(login, NON_ALPHANUMERIC);
        let url = format!("{}/users/{in_url}", self.api);
        let mut account = json!({
            "login": login,
            "id": id_of(login),
            "node_id": format!("U_{login}"),
            "avatar_url": format!("{}/avatars/{in_url}", self.html()),
            "gravatar_id": "",
            "url": url,
            "html_url": format!("{}/{in_url}", self.html()),
            "type": kind,
            "site_admin": false,
        });
        link(&mut account, &url, &USER_LINKS);
        account
    }

    /// An account with its public profile.
    pub(crate) fn profile(&self, login: &str) -> Value {
        let mut profile = self.user(login);
        let own = json!({
            "name": null,
            "company": null,
            "blog": null,
            "location": null,
            "email": null,
            "hireable": null,
            "bio": null,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": "2011-01-25T18:44:36Z",
            "updated_at": "2011-01-25T18:44:36Z",
        });
        extend(&mut profile, own);
        profile
    }

    /// An organisation as webhooks show it.
    pub(super) fn organization(&self, login: &str) -> Value {
        let url = format!("{}/orgs/{login}", self.api);
        let mut organization = json!({
            "login": login,
            "id": id_of(login),
            "node_id": format!("O_{login}"),
            "url": url,
            "avatar_url": format!("{}/avatars/{login}", self.html()),
            "description": null,
        });
        link(&mut organization, &url, &ORGANIZATION_LINKS);
        organization
    }
}

/// Adds links under an address.
pub(super) fn link(to: &mut Value, url: &str, links: &[(&str, &str)]) {
    for (name, path) in links {
        to[*name] = format!("{url}{path}").into();
    }
}

/// Adds the fields of another object.
pub(super) fn extend(to: &mut Value, more: Value) {
    if let (Value::Object(to), Value::Object(more)) = (to, more) {
        to.extend(more);
    }
}
