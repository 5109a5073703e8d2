//! Releases by a GitHub App: tokens that are minted when one is needed, each for the
//! repositories and permissions of a stage.

mod client;
mod release;

use commons_github::permissions::PERMISSIONS;
use github_simulator::App;
use secrecy::SecretString;
use serde_json::json;

const OWNER: &str = "BTCDecoded";
const MINT: &str = "POST /app/installations/{installation_id}/access_tokens";

/// An App that has what the table says, and no more.
pub(super) fn app() -> App {
    let all = PERMISSIONS.iter();
    App::of(
        OWNER,
        all.filter_map(|p| Some((p.name, p.most()?.as_str()))),
    )
}

/// What is stored of it.
pub(super) fn secret(app: &App) -> SecretString {
    let app = json!({"app_id": app.id, "private_key": app.private_key()});
    app.to_string().into()
}
