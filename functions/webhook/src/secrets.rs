//! What may have signed a delivery: the secret's current value, and the one before,
//! so that GitHub and AWS need not be changed in the same moment.

use std::time::{Duration, Instant};

use commons_github::webhook::{SignatureError, verify};
use commons_runtime::StageError;
use secrecy::SecretString;
use tokio::sync::Mutex;

/// How long what was read is believed to be all there is.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// The signing secrets, read when the environment starts, and again when a
/// signature fits none of them.
pub struct SigningSecrets {
    aws: aws_config::SdkConfig,
    id: String,
    known: Mutex<Known>,
}

struct Known {
    secrets: Vec<SecretString>,
    read_at: Instant,
}

impl SigningSecrets {
    /// Reads the secret of this id.
    pub async fn read(aws: aws_config::SdkConfig, id: String) -> Result<Self, StageError> {
        let secrets = versions(&aws, &id).await?;
        let read_at = Instant::now();
        let known = Mutex::new(Known { secrets, read_at });
        Ok(Self { aws, id, known })
    }

    /// Whether one of them signed the body.
    pub async fn verify(&self, body: &[u8], signature: Option<&str>) -> Result<(), SignatureError> {
        let mut known = self.known.lock().await;
        let verified = verify(&known.secrets, body, signature);
        // Rotated since: one more read, and not one per forged delivery.
        if verified.is_ok() || signature.is_none() || known.read_at.elapsed() < READ_AGAIN_AFTER {
            return verified;
        }
        known.read_at = Instant::now();
        match versions(&self.aws, &self.id).await {
            Ok(secrets) => known.secrets = secrets,
            Err(error) => tracing::warn!(%error, "the signing secrets were not read again"),
        }
        verify(&known.secrets, body, signature)
    }
}

async fn versions(aws: &aws_config::SdkConfig, id: &str) -> Result<Vec<SecretString>, StageError> {
    let current = commons_runtime::secret(aws, id).await?;
    let previous = commons_runtime::secret_version(aws, id, "AWSPREVIOUS").await?;
    Ok([current].into_iter().chain(previous).collect())
}
