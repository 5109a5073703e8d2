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
    use proptest::prelude::*;

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
    fn sign(secret: &str, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        let sum = mac.chain_update(body).finalize().into_bytes();
        format!("sha256={}", hex::encode(sum))
    }

    proptest! {
        #[test]
        fn what_one_of_the_secrets_signed_verifies_and_nothing_near_it(
            secrets in prop::collection::btree_set(".{1,40}", 1..4),
            signer in any::<prop::sample::Index>(),
            stranger in ".{41,50}",
            body in prop::collection::vec(any::<u8>(), 1..200),
            at in any::<prop::sample::Index>(),
            bit in 0..8u32,
        ) {
            let known: Vec<SecretString> = secrets.iter().map(|text| secret(text)).collect();
            let signature = sign(secrets.iter().nth(signer.index(secrets.len())).unwrap(), &body);
            prop_assert_eq!(verify(&known, &body, Some(&signature)), Ok(()));
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(verify(&known, &changed, Some(&signature)), Err(SignatureError));
            let mut digits = signature.clone().into_bytes();
            let digit = "sha256=".len() + at.index(64);
            digits[digit] = if digits[digit] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(digits).unwrap();
            prop_assert_eq!(verify(&known, &body, Some(&forged)), Err(SignatureError));
            let cut = &signature[..signature.len() - 2];
            prop_assert_eq!(verify(&known, &body, Some(cut)), Err(SignatureError));
            let theirs = sign(&stranger, &body);
            prop_assert_eq!(verify(&known, &body, Some(&theirs)), Err(SignatureError));
        }

        #[test]
        fn no_header_verifies_by_chance(header in "(sha256=)?\\PC{0,80}", body in prop::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(verify(&[secret("s")], &body, Some(&header)), Err(SignatureError));
        }
    }
}
