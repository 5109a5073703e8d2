//! The JSON of GitHub's answers and webhooks, in its shapes.

mod accounts;
mod actions;
mod apps;
mod releases;
mod repositories;
mod webhooks;

use jiff::Timestamp;

use crate::model::repo::Repo;

/// Where answers point to.
#[derive(Debug, Clone)]
pub(crate) struct Render {
    /// `http://127.0.0.1:PORT`.
    pub(crate) api: String,
}

/// Times as GitHub writes them: UTC, whole seconds.
pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Render {
    pub(crate) fn html(&self) -> String {
        format!("{}/_html", self.api)
    }

    fn repo_url(&self, repo: &Repo) -> String {
        format!("{}/repos/{}", self.api, repo.name)
    }

    fn repo_html(&self, repo: &Repo) -> String {
        format!("{}/{}", self.html(), repo.name)
    }
}
