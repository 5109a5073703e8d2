//! Apps, their installations and tokens.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::accounts::id_of;
use super::{Render, time};
use crate::app::{App, Installation};
use crate::model::app::Minted;

impl Render {
    pub(crate) fn app(&self, app: &App) -> Value {
        let installation = app.installations.first();
        let owner = installation.map_or("octo-org", |installation| &installation.owner);
        json!({
            "id": app.id,
            "slug": app.slug,
            "node_id": format!("A_{}", app.slug),
            "client_id": app.client_id,
            "owner": self.owner(owner),
            "name": app.slug,
            "description": null,
            "external_url": self.html(),
            "html_url": format!("{}/apps/{}", self.html(), app.slug),
            "created_at": time(Timestamp::UNIX_EPOCH),
            "updated_at": time(Timestamp::UNIX_EPOCH),
            "permissions": installation.map(|installation| &installation.permissions),
            "events": [],
            "installations_count": app.installations.len(),
        })
    }

    pub(crate) fn installation(&self, app: &App, installation: &Installation) -> Value {
        let id = installation.id;
        json!({
            "id": id,
            "account": self.owner(&installation.owner),
            "repository_selection": selection(installation.repositories.is_some()),
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", self.api),
            "repositories_url": format!("{}/installation/repositories", self.api),
            "html_url": format!("{}/organizations/{}/settings/installations/{id}", self.html(), installation.owner),
            "app_id": app.id,
            "client_id": app.client_id,
            "app_slug": app.slug,
            "target_id": id_of(&installation.owner),
            "target_type": "Organization",
            "permissions": installation.permissions,
            "events": [],
            "created_at": time(Timestamp::UNIX_EPOCH),
            "updated_at": time(Timestamp::UNIX_EPOCH),
            "single_file_name": null,
            "has_multiple_single_files": false,
            "single_file_paths": [],
            "suspended_by": null,
            "suspended_at": null,
        })
    }

    pub(crate) fn access_token(&self, minted: &Minted, repositories: Vec<Value>) -> Value {
        let mut token = json!({
            "token": minted.token,
            "expires_at": time(minted.expires_at),
            "permissions": minted.permissions,
            "repository_selection": selection(minted.repositories.is_some()),
        });
        if minted.repositories.is_some() {
            token["repositories"] = repositories.into();
        }
        token
    }
}

fn selection(selected: bool) -> &'static str {
    if selected { "selected" } else { "all" }
}
