//! The release as GitHub shows it to everybody, downloaded.

use std::collections::BTreeMap;
use std::path::Path;

use commons_domain::names::Sha256;
use futures_util::StreamExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::io::AsyncWriteExt as _;

use crate::target::Target;

/// `GET /repos/{owner}/{repo}/releases/tags/{tag}`, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// What it says of itself.
    pub body: Option<String>,
    /// Its files.
    pub assets: Vec<Asset>,
}

/// One file.
#[derive(Debug, Clone, Deserialize)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// `sha256:<hex>`, where GitHub tells it.
    pub digest: Option<String>,
    /// Where its bytes are.
    pub browser_download_url: String,
}

/// What a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: Sha256,
}

/// What GitHub shows of a release.
#[derive(Debug)]
pub struct Seen {
    /// Its notes and files.
    pub release: Release,
    /// The commit of its tag.
    pub commit: String,
    /// Its files by name, as they were downloaded.
    pub files: BTreeMap<String, File>,
}

/// Downloads a release into a folder. A fault is one sentence.
pub async fn download(target: &Target, folder: &Path) -> Result<Seen, String> {
    // A second caller finds the provider installed, which is what it wants.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(concat!("commons-verify/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())?;
    let repository = format!("{}/repos/{}", target.api, target.repository);
    let tag = utf8_percent_encode(target.version.as_str(), NON_ALPHANUMERIC);
    let release: Release = json(&client, &format!("{repository}/releases/tags/{tag}")).await?;
    let commit = commit(&client, &format!("{repository}/commits/tags%2F{tag}")).await?;
    let mut files = BTreeMap::new();
    for asset in &release.assets {
        if Path::new(&asset.name)
            .file_name()
            .is_none_or(|name| name != asset.name.as_str())
        {
            return Err(format!("'{}' is not the name of a file", asset.name));
        }
        let path = folder.join(&asset.name);
        let file = fetch(&client, &asset.browser_download_url, &path).await?;
        files.insert(asset.name.clone(), file);
    }
    Ok(Seen {
        release,
        commit,
        files,
    })
}

async fn commit(client: &Client, url: &str) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Commit {
        sha: String,
    }
    Ok(json::<Commit>(client, url).await?.sha)
}

async fn get(client: &Client, url: &str) -> Result<reqwest::Response, String> {
    let answer = client.get(url).send().await;
    let answer = answer.map_err(|error| format!("{url} is not reached: {}", root(&error)))?;
    if answer.status().is_success() {
        Ok(answer)
    } else {
        Err(format!("{url} answers {}", answer.status()))
    }
}

async fn json<T: DeserializeOwned>(client: &Client, url: &str) -> Result<T, String> {
    let answer = get(client, url).await?;
    let answer = answer.json().await;
    answer.map_err(|error| format!("{url} answers what GitHub does not: {}", root(&error)))
}

async fn fetch(client: &Client, url: &str, path: &Path) -> Result<File, String> {
    let mut chunks = get(client, url).await?.bytes_stream();
    let unwritten = |error: std::io::Error| format!("{} is not written: {error}", path.display());
    let mut file = tokio::fs::File::create(path).await.map_err(unwritten)?;
    let (mut size, mut sum) = (0, Hasher::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| format!("{url} breaks off: {}", root(&error)))?;
        size += chunk.len() as u64;
        sum.update(&chunk);
        file.write_all(&chunk).await.map_err(unwritten)?;
    }
    file.flush().await.map_err(unwritten)?;
    Ok(File {
        size,
        sha256: Sha256::from_bytes(sum.finalize().into()),
    })
}

/// What is at the bottom of an error.
fn root(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
