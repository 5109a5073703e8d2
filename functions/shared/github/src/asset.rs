//! The bytes of a release's asset.

use bytes::Bytes;
use commons_domain::names::{RepoName, Sha256};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::StatusCode;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::{Error, GitHub};

impl GitHub {
    /// An asset, if it has at most so many bytes.
    pub async fn release_asset(
        &self,
        repository: &RepoName,
        asset: u64,
        most: usize,
    ) -> Result<Vec<u8>, Error> {
        let (call, mut body) = self.asset_bytes(repository, asset).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() > most {
                return Err(Error::Unprocessable {
                    call,
                    message: format!("it has more than {most} bytes"),
                });
            }
        }
        Ok(bytes)
    }

    /// The sum of an asset's bytes, of which GitHub tells none: all of them are read.
    pub async fn asset_sha256(&self, repository: &RepoName, asset: u64) -> Result<Sha256, Error> {
        let (_, mut body) = self.asset_bytes(repository, asset).await?;
        let mut sum = Hasher::new();
        while let Some(chunk) = body.next().await {
            sum.update(&chunk?);
        }
        Ok(Sha256::from_bytes(sum.finalize().into()))
    }

    /// `GET …/releases/assets/{id}`, which sends an asset's bytes or says where they are.
    async fn asset_bytes(
        &self,
        repository: &RepoName,
        asset: u64,
    ) -> Result<(String, BoxStream<'static, Result<Bytes, Error>>), Error> {
        let path = format!("/repos/{repository}/releases/assets/{asset}");
        let call = format!("GET {path}");
        let response = self.read(&path, "application/octet-stream").await?;
        let body = if response.status() == StatusCode::FOUND {
            let location = self.location(&call, &response)?;
            self.download(&location, 0).await?.body
        } else {
            let call = call.clone();
            let chunks = response.bytes_stream();
            chunks
                .map(move |chunk| chunk.map_err(|error| Error::of_transport(&call, error)))
                .boxed()
        };
        Ok((call, body))
    }
}
