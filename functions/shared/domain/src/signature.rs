//! The public half of the key that signs releases: ECDSA with P-256 and SHA-256, as KMS
//! makes it with an `ECC_NIST_P256` key and `ECDSA_SHA_256`.

use pem_rfc7468::LineEnding;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::names::Sha256;

/// What stands before the point of every P-256 key's SubjectPublicKeyInfo
/// ([RFC 5480](https://www.rfc-editor.org/rfc/rfc5480#section-2)): the key's algorithm and
/// curve, and that 65 bytes follow.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point.
const POINT: usize = 65;
const LABEL: &str = "PUBLIC KEY";

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// SubjectPublicKeyInfo.
    der: Vec<u8>,
}

/// A text or bytes that are no public key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no public key of ECDSA with P-256: PEM that begins with -----BEGIN PUBLIC KEY-----")]
pub struct InvalidKey;

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER, as KMS answers it.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidKey> {
        let fits = der.len() == P256.len() + POINT && der.starts_with(&P256);
        fits.then(|| Self { der: der.to_vec() }).ok_or(InvalidKey)
    }

    /// From PEM, as OpenSSL reads it.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        match pem_rfc7468::decode_vec(text.trim().as_bytes()) {
            Ok((LABEL, der)) => Self::from_der(&der),
            _ => Err(InvalidKey),
        }
    }

    /// As OpenSSL reads it, with a line break at its end.
    pub fn pem(&self) -> String {
        // Of 91 bytes: nothing in it can be too long.
        pem_rfc7468::encode_string(LABEL, LineEnding::LF, &self.der).unwrap_or_default()
    }

    /// Names the key: the SHA-256 of its DER.
    pub fn id(&self) -> Sha256 {
        Sha256::of(&self.der)
    }

    /// Whether this signature, DER, is this key's of these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let point = &self.der[P256.len()..];
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
            .verify(bytes, signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn a_key_verifies_what_it_signed_and_nothing_else() {
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pair.as_ref(), &random).unwrap();
        let der = [&P256[..], pair.public_key().as_ref()].concat();
        let key = PublicKey::from_der(&der).unwrap();
        let signature = pair.sign(&random, b"bytes").unwrap();
        assert!(key.verifies(b"bytes", signature.as_ref()));
        assert!(!key.verifies(b"other", signature.as_ref()));
        assert!(!key.verifies(b"bytes", b"no signature"));
        assert_eq!(PublicKey::from_pem(&key.pem()), Ok(key));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        ] {
            assert_eq!(PublicKey::from_pem(text), Err(InvalidKey));
        }
        assert_eq!(PublicKey::from_der(&P256), Err(InvalidKey));
    }
}
