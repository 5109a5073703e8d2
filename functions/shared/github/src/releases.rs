//! Releases and their assets.

use std::time::Duration;

use commons_domain::names::RepoName;
use reqwest::Method;

use crate::client::{Body, segment};
use crate::{Asset, Error, GitHub, NewRelease, Release, ReleaseUpdate};

/// GitHub takes so many assets in a release, each of fewer bytes than [`LARGEST_ASSET`]
/// ([GitHub: about releases](https://docs.github.com/en/repositories/releasing-projects-on-github/about-releases#storage-and-bandwidth-quotas)).
pub const MOST_ASSETS: usize = 1_000;
/// See [`MOST_ASSETS`]; in bytes.
pub const LARGEST_ASSET: u64 = 2 << 30;
/// More pages than a list may have.
const ALL_PAGES: usize = 1_000;

impl GitHub {
    /// `GET …/releases`, all pages, drafts included.
    pub async fn releases(&self, repository: &RepoName) -> Result<Vec<Release>, Error> {
        self.pages(
            &format!("/repos/{repository}/releases"),
            |page: Vec<Release>| page,
            ALL_PAGES,
            |_| false,
        )
        .await
    }

    /// `GET …/releases/{id}`.
    pub async fn release(&self, repository: &RepoName, id: u64) -> Result<Release, Error> {
        self.get(&format!("/repos/{repository}/releases/{id}"))
            .await
    }

    /// The published release of a tag: `GET …/releases/tags/{tag}`.
    pub async fn release_by_tag(
        &self,
        repository: &RepoName,
        tag: &str,
    ) -> Result<Option<Release>, Error> {
        match self
            .get(&format!(
                "/repos/{repository}/releases/tags/{}",
                segment(tag)
            ))
            .await
        {
            Ok(release) => Ok(Some(release)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST …/releases`.
    pub async fn create_release(
        &self,
        repository: &RepoName,
        new: &NewRelease,
    ) -> Result<Release, Error> {
        self.write_for(
            Method::POST,
            &format!("/repos/{repository}/releases"),
            &json(new)?,
        )
        .await
    }

    /// `PATCH …/releases/{id}`.
    pub async fn update_release(
        &self,
        repository: &RepoName,
        id: u64,
        update: &ReleaseUpdate,
    ) -> Result<Release, Error> {
        self.write_for(
            Method::PATCH,
            &format!("/repos/{repository}/releases/{id}"),
            &json(update)?,
        )
        .await
    }

    /// `GET …/releases/{id}/assets`, all pages.
    pub async fn release_assets(
        &self,
        repository: &RepoName,
        id: u64,
    ) -> Result<Vec<Asset>, Error> {
        self.pages(
            &format!("/repos/{repository}/releases/{id}/assets"),
            |page: Vec<Asset>| page,
            ALL_PAGES,
            |_| false,
        )
        .await
    }

    /// `DELETE …/releases/assets/{id}`.
    pub async fn delete_asset(&self, repository: &RepoName, id: u64) -> Result<(), Error> {
        self.write(
            Method::DELETE,
            &format!("/repos/{repository}/releases/assets/{id}"),
            None,
        )
        .await
        .map(drop)
    }

    /// Uploads an asset of `length` bytes to a release's `upload_url`, over within `time`.
    pub async fn upload_asset(
        &self,
        upload_url: &str,
        name: &str,
        length: u64,
        body: Body,
        time: Duration,
    ) -> Result<Asset, Error> {
        let target = upload_url.split('{').next().unwrap_or_default();
        let call = format!("POST the asset {name}");
        let request = self
            .uploads()
            .post(format!("{target}?name={}", segment(name)))
            .timeout(time)
            .header("Accept", "application/vnd.github+json")
            .header("Content-Type", "application/octet-stream")
            .header("Content-Length", length)
            .body(body);
        let response = self.answer(&call, request).await?;
        let bytes = response
            .bytes()
            .await
            .map_err(|error| Error::of_transport(&call, error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unexpected {
            call,
            message: error.to_string(),
        })
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::Unexpected {
        call: "a request".into(),
        message: error.to_string(),
    })
}
