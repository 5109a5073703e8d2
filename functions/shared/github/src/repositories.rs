//! Repositories, refs, files, users.

use commons_domain::names::RepoName;
use jiff::fmt::rfc2822;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::client::segment;
use crate::{Error, GitHub, Head, Repository};

impl GitHub {
    /// `GET /repos/{owner}/{repo}`. Of an App it says that it may not push, whatever it may
    /// do: that is left out, since its permissions are checked when a token is minted.
    pub async fn repository(&self, repository: &RepoName) -> Result<Repository, Error> {
        let mut found: Repository = self.get(&format!("/repos/{repository}")).await?;
        if self.auth().app().await?.is_some() {
            found.permissions = None;
        }
        Ok(found)
    }

    /// The commit that a branch, tag or commit is at: `GET …/commits/{ref}`.
    pub async fn head(&self, repository: &RepoName, git_ref: &str) -> Result<Head, Error> {
        #[derive(Deserialize)]
        struct Commit {
            sha: String,
        }
        let path = format!("/repos/{repository}/commits/{}", segment(git_ref));
        let call = format!("GET {path}");
        let response = self.read(&path, "application/vnd.github+json").await?;
        let date = response
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok())
            .map(str::to_owned);
        let seen_at = date
            .and_then(|date| rfc2822::parse(&date).ok())
            .map_or_else(|| self.now(), |zoned| zoned.timestamp());
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&call, error))?;
        let commit: Commit = serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
            call,
            message: error.to_string(),
        })?;
        Ok(Head {
            sha: commit.sha,
            seen_at,
        })
    }

    /// The commit that a tag is at, annotated or not: `GET …/commits/tags/{tag}`.
    pub async fn tag(&self, repository: &RepoName, tag: &str) -> Result<Option<String>, Error> {
        match self.head(repository, &format!("tags/{tag}")).await {
            Ok(head) => Ok(Some(head.sha)),
            // 422: no commit of this name. 404 is for the repository too, which the
            // calls that follow tell.
            Err(Error::NotFound { .. } | Error::Unprocessable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tags a commit: `POST …/git/refs`, 422 where there is such a tag.
    pub async fn create_tag(
        &self,
        repository: &RepoName,
        tag: &str,
        commit: &str,
    ) -> Result<(), Error> {
        let body = json!({ "ref": format!("refs/tags/{tag}"), "sha": commit });
        let path = format!("/repos/{repository}/git/refs");
        self.write(Method::POST, &path, Some(&body)).await.map(drop)
    }

    /// Whether releases are locked once they are published:
    /// `GET …/immutable-releases`, 404 where they are not.
    pub async fn immutable_releases(&self, repository: &RepoName) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Setting {
            enabled: bool,
        }
        let path = format!("/repos/{repository}/immutable-releases");
        match self.get::<Setting>(&path).await {
            Ok(setting) => Ok(setting.enabled),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file's bytes at a ref: `GET …/contents/{path}`.
    pub async fn file(
        &self,
        repository: &RepoName,
        path: &str,
        git_ref: &str,
    ) -> Result<Vec<u8>, Error> {
        let file: Vec<String> = path.split('/').map(segment).collect();
        let path = format!(
            "/repos/{repository}/contents/{}?ref={}",
            file.join("/"),
            segment(git_ref)
        );
        let response = self.read(&path, "application/vnd.github.raw+json").await?;
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&format!("GET {path}"), error))?;
        Ok(bytes.to_vec())
    }

    /// The login that the token belongs to: the actor of the runs it starts, and who uploads
    /// its assets. An App's is `<slug>[bot]`.
    pub async fn login(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct User {
            login: String,
        }
        match self.slug().await? {
            Some(slug) => Ok(format!("{slug}[bot]")),
            None => Ok(self.get::<User>("/user").await?.login),
        }
    }
}
