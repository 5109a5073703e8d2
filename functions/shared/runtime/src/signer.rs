//! The key that signs releases: in KMS, which it never leaves.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use commons_domain::names::Sha256;
use commons_domain::signature::PublicKey;

use crate::{StageError, aws_code};

/// Signs with one key: `ECC_NIST_P256`, `SIGN_VERIFY`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signer {
    kms: Client,
    key: String,
}

impl Signer {
    /// With the key of this id, ARN or alias.
    pub fn new(kms: Client, key: &str) -> Self {
        Self {
            kms,
            key: key.to_owned(),
        }
    }

    /// The key's public half: `GetPublicKey`.
    pub async fn public_key(&self) -> Result<PublicKey, StageError> {
        let answer = self.kms.get_public_key().key_id(&self.key).send().await;
        let answer = answer.map_err(|error| self.failed("GetPublicKey", &error))?;
        let der = answer.public_key().map(Blob::as_ref).unwrap_or_default();
        PublicKey::from_der(der)
            .map_err(|error| StageError::Refused(format!("the signing key {}: {error}", self.key)))
    }

    /// The signature of these bytes, DER. KMS is sent their digest only: `Sign` with
    /// `DIGEST`, ECDSA_SHA_256.
    pub async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, StageError> {
        let answer = self
            .kms
            .sign()
            .key_id(&self.key)
            .message(Blob::new(Sha256::of(bytes).bytes()))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
            .send()
            .await;
        let answer = answer.map_err(|error| self.failed("Sign", &error))?;
        let signature = answer.signature().map(Blob::as_ref).unwrap_or_default();
        Ok(signature.to_vec())
    }

    /// A key that is not there, may not be used or cannot sign so is a person's to mend;
    /// anything else is tried again.
    fn failed(&self, action: &str, error: &impl ProvideErrorMetadata) -> StageError {
        let code = aws_code(error);
        let message = error.message().unwrap_or_default();
        let why = format!("the signing key {}: {action}: {code} {message}", self.key);
        let why = why.trim().to_owned();
        match code {
            "NotFoundException"
            | "AccessDeniedException"
            | "DisabledException"
            | "KMSInvalidStateException"
            | "InvalidKeyUsageException"
            | "UnsupportedOperationException"
            | "InvalidArnException"
            | "ValidationException" => StageError::Refused(why),
            _ => StageError::Unavailable(why),
        }
    }
}
