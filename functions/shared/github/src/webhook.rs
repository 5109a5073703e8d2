//! Webhook signatures: `X-Hub-Signature-256` over the raw body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// The signature is missing, malformed or wrong; which of these is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the webhook's signature is missing or wrong")]
pub struct SignatureError;

/// Checks that one of the secrets signed the body, in constant time.
pub fn verify(
    secrets: &[SecretString],
    raw_body: &[u8],
    header: Option<&str>,
) -> Result<(), SignatureError> {
    let signature = header
        .and_then(|header| header.strip_prefix("sha256="))
        .and_then(|hex| hex::decode(hex).ok())
        .ok_or(SignatureError)?;
    let signed_by = |secret: &SecretString| {
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .is_ok_and(|mac| mac.chain_update(raw_body).verify_slice(&signature).is_ok())
    };
    if secrets.iter().any(signed_by) {
        Ok(())
    } else {
        Err(SignatureError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn github_s_own_example_verifies() {
        let right = secret("It's a Secret to Everybody");
        assert_eq!(
            verify(
                std::slice::from_ref(&right),
                b"Hello, World!",
                Some(SIGNATURE)
            ),
            Ok(())
        );
        assert_eq!(
            verify(&[secret("old"), right], b"Hello, World!", Some(SIGNATURE)),
            Ok(())
        );
    }

    #[test]
    fn anything_else_does_not() {
        let secrets = [secret("It's a Secret to Everybody")];
        for header in [
            None,
            Some(""),
            Some("sha256="),
            Some("sha256=zz"),
            Some(&SIGNATURE[7..]),
        ] {
            assert_eq!(
                verify(&secrets, b"Hello, World!", header),
                Err(SignatureError),
                "{header:?}"
            );
        }
        assert_eq!(
            verify(&secrets, b"Hello, World?", Some(SIGNATURE)),
            Err(SignatureError)
        );
        assert_eq!(
            verify(&[], b"Hello, World!", Some(SIGNATURE)),
            Err(SignatureError)
        );
    }
}
