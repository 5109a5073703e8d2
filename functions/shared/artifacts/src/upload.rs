//! One object, part by part: S3 confirms the sum of each, and of all of them together.

use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use commons_domain::names::Sha256;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::task::JoinSet;

use crate::store::failed;
use crate::{Store, StoreError};

/// Parts that are on their way at a time.
const AT_A_TIME: usize = 2;

/// An object on its way to the bucket. What is begun and not ended is aborted by the
/// bucket's lifecycle, and by [`Upload::abort`] where there is time for it.
pub struct Upload {
    store: Store,
    key: String,
    /// The part before the next: an object of one part is put at once.
    first: Option<(Bytes, Sha256)>,
    many: Option<Many>,
}

struct Many {
    id: String,
    sums: Vec<Sha256>,
    sending: JoinSet<Result<CompletedPart, StoreError>>,
    sent: Vec<CompletedPart>,
}

impl Upload {
    /// To a key; nothing is there before it is finished.
    pub fn new(store: &Store, key: String) -> Self {
        Self {
            store: store.clone(),
            key,
            first: None,
            many: None,
        }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Sends a part, of S3's smallest size or more but for the last.
    pub async fn part(&mut self, bytes: Bytes, sha256: Sha256) -> Result<(), StoreError> {
        if self.many.is_none() {
            let Some((first, sum)) = self.first.take() else {
                self.first = Some((bytes, sha256));
                return Ok(());
            };
            let id = self.begin().await?;
            self.many = Some(Many {
                id,
                sums: Vec::new(),
                sending: JoinSet::new(),
                sent: Vec::new(),
            });
            self.send(first, sum).await?;
        }
        self.send(bytes, sha256).await
    }

    /// The object is there, whole.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let Some(many) = &mut self.many else {
            let (bytes, sha256) = self
                .first
                .take()
                .unwrap_or_else(|| (Bytes::new(), Sha256::of(b"")));
            return self.store.put(&self.key, bytes.into(), &sha256).await;
        };
        while let Some(sent) = many.sending.join_next().await {
            many.sent.push(joined(&self.key, sent)?);
        }
        many.sent.sort_by_key(|part| part.part_number());
        let together = composite(&many.sums);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(many.sent.clone()));
        let answer = self
            .store
            .s3
            .complete_multipart_upload()
            .bucket(&self.store.bucket)
            .key(&self.key)
            .upload_id(&many.id)
            .multipart_upload(parts.build())
            .send()
            .await
            .map_err(|error| failed("CompleteMultipartUpload", &self.key, &error))?;
        match answer.checksum_sha256() {
            Some(sum) if sum == together => Ok(()),
            sum => Err(StoreError {
                action: "CompleteMultipartUpload",
                key: self.key.clone(),
                why: format!("S3 confirms the sum {sum:?}, and not {together}"),
            }),
        }
    }

    /// Gives it up; nothing is left in the bucket.
    pub async fn abort(self) -> Result<(), StoreError> {
        let Some(mut many) = self.many else {
            return Ok(());
        };
        many.sending.shutdown().await;
        let aborted = self
            .store
            .s3
            .abort_multipart_upload()
            .bucket(&self.store.bucket)
            .key(&self.key)
            .upload_id(&many.id)
            .send()
            .await;
        aborted
            .map(drop)
            .map_err(|error| failed("AbortMultipartUpload", &self.key, &error))
    }

    async fn begin(&self) -> Result<String, StoreError> {
        let answer = self
            .store
            .s3
            .create_multipart_upload()
            .bucket(&self.store.bucket)
            .key(&self.key)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .server_side_encryption(ServerSideEncryption::Aes256)
            .send()
            .await
            .map_err(|error| failed("CreateMultipartUpload", &self.key, &error))?;
        answer.upload_id.ok_or_else(|| StoreError {
            action: "CreateMultipartUpload",
            key: self.key.clone(),
            why: "S3 gives no upload id".into(),
        })
    }

    async fn send(&mut self, bytes: Bytes, sha256: Sha256) -> Result<(), StoreError> {
        let Some(many) = &mut self.many else {
            return Ok(());
        };
        while many.sending.len() >= AT_A_TIME {
            if let Some(sent) = many.sending.join_next().await {
                many.sent.push(joined(&self.key, sent)?);
            }
        }
        let sum = STANDARD.encode(sha256.bytes());
        many.sums.push(sha256);
        let number = i32::try_from(many.sums.len()).unwrap_or(i32::MAX);
        let (store, key, id) = (self.store.clone(), self.key.clone(), many.id.clone());
        many.sending.spawn(async move {
            let answer = store
                .s3
                .upload_part()
                .bucket(&store.bucket)
                .key(&key)
                .upload_id(id)
                .part_number(number)
                .checksum_sha256(&sum)
                .body(bytes.into())
                .customize()
                // The sum is signed, and S3 holds the bytes against it.
                .disable_payload_signing()
                .send()
                .await
                .map_err(|error| failed("UploadPart", &key, &error))?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .checksum_sha256(sum)
                .build())
        });
        Ok(())
    }
}

fn joined(
    key: &str,
    sent: Result<Result<CompletedPart, StoreError>, tokio::task::JoinError>,
) -> Result<CompletedPart, StoreError> {
    sent.unwrap_or_else(|error| {
        Err(StoreError {
            action: "UploadPart",
            key: key.to_owned(),
            why: error.to_string(),
        })
    })
}

/// What S3 calls the checksum of an object of parts: the sum of their sums, and how many
/// ([S3: checking object integrity](https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html)).
fn composite(sums: &[Sha256]) -> String {
    let mut hasher = Hasher::new();
    for sum in sums {
        hasher.update(sum.bytes());
    }
    format!("{}-{}", STANDARD.encode(hasher.finalize()), sums.len())
}
