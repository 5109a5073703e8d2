//! The bucket.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use commons_domain::names::Sha256;
use futures_util::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StoreError;

/// Objects by key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) s3: Client,
    pub(crate) bucket: String,
}

impl Store {
    /// Over one bucket.
    pub fn new(s3: Client, bucket: impl Into<String>) -> Self {
        Self {
            s3,
            bucket: bucket.into(),
        }
    }

    /// Writes a value as JSON; the sum of its bytes.
    pub async fn put_json<T: Serialize>(&self, key: &str, value: &T) -> Result<Sha256, StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| StoreError {
            action: "PutObject",
            key: key.to_owned(),
            why: error.to_string(),
        })?;
        let sha256 = Sha256::of(&bytes);
        self.put(key, ByteStream::from(bytes), &sha256).await?;
        Ok(sha256)
    }

    /// Writes a file; S3 refuses it if the bytes that arrive have another sum.
    pub async fn put_file(
        &self,
        key: &str,
        path: &Path,
        sha256: &Sha256,
    ) -> Result<(), StoreError> {
        let body = ByteStream::from_path(path)
            .await
            .map_err(|error| StoreError {
                action: "PutObject",
                key: key.to_owned(),
                why: error.to_string(),
            })?;
        self.put(key, body, sha256).await
    }

    pub(crate) async fn put(
        &self,
        key: &str,
        body: ByteStream,
        sha256: &Sha256,
    ) -> Result<(), StoreError> {
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_sha256(STANDARD.encode(sha256.bytes()))
            .server_side_encryption(ServerSideEncryption::Aes256)
            .body(body)
            .customize()
            // The sum is signed, and S3 holds the bytes against it.
            .disable_payload_signing()
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("PutObject", key, &error))
    }

    /// Deletes every object whose key begins so, as far as it is there.
    pub async fn delete_all(&self, prefix: &str) -> Result<(), StoreError> {
        let mut pages = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failed("ListObjectsV2", prefix, &error))?;
            for object in page.contents() {
                let Some(key) = object.key() else {
                    continue;
                };
                let deleted = self.s3.delete_object().bucket(&self.bucket).key(key);
                let deleted = deleted.send().await;
                deleted.map_err(|error| failed("DeleteObject", key, &error))?;
            }
        }
        Ok(())
    }

    /// Writes a small object unless there is one of this key: whether it did.
    pub async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let put = self
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .server_side_encryption(ServerSideEncryption::Aes256)
            .body(bytes.into())
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("PreconditionFailed") => Ok(false),
            Err(error) => Err(failed("PutObject", key, &error)),
        }
    }

    /// A value that was written as JSON; none where there is no such object.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let object = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await;
        let body = match object {
            Ok(object) => object.body,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => {
                return Ok(None);
            }
            Err(error) => return Err(failed("GetObject", key, &error)),
        };
        serde_json::from_slice(&whole(key, body).await?)
            .map(Some)
            .map_err(|error| unread(key, &error))
    }

    /// An object's length and bytes.
    pub async fn get_stream(&self, key: &str) -> Result<(u64, ByteStream), StoreError> {
        let object = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| failed("GetObject", key, &error))?;
        let length = object
            .content_length()
            .and_then(|length| u64::try_from(length).ok())
            .unwrap_or_default();
        Ok((length, object.body))
    }

    /// A small object's bytes.
    pub async fn get_bytes(&self, key: &str) -> Result<Vec<u8>, StoreError> {
        let (_, body) = self.get_stream(key).await?;
        whole(key, body).await
    }
}

async fn whole(key: &str, body: ByteStream) -> Result<Vec<u8>, StoreError> {
    let bytes = body.collect().await;
    Ok(bytes.map_err(|error| unread(key, &error))?.to_vec())
}

fn unread(key: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError {
        action: "GetObject",
        key: key.to_owned(),
        why: error.to_string(),
    }
}

pub(crate) fn failed<E: ProvideErrorMetadata, R>(
    action: &'static str,
    key: &str,
    error: &aws_sdk_s3::error::SdkError<E, R>,
) -> StoreError {
    let why = format!(
        "{} {}",
        error.code().unwrap_or("no answer"),
        error.message().unwrap_or_default()
    );
    StoreError {
        action,
        key: key.to_owned(),
        why: why.trim().to_owned(),
    }
}

/// An object's bytes as a stream for another client's body.
pub fn chunks(
    body: ByteStream,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    futures_util::stream::unfold(body, |mut body| async {
        body.next()
            .await
            .map(|chunk| (chunk.map_err(std::io::Error::other), body))
    })
}
