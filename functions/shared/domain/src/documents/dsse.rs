//! A signed in-toto statement:
//! [DSSE v1](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The type of a payload that is an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A payload and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The payload, base64.
    pub payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// Its signatures.
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Names the key: a hint for people.
    pub keyid: String,
    /// ECDSA in DER, base64.
    pub sig: String,
}

/// An envelope that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEnvelope(&'static str);

/// What is signed of an in-toto statement: the pre-authentication encoding.
///
/// ```
/// let signed = commons_domain::documents::dsse::signed_bytes(b"hello");
/// assert_eq!(signed, b"DSSEv1 28 application/vnd.in-toto+json 5 hello");
/// ```
pub fn signed_bytes(statement: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), statement.len()).into_bytes();
    bytes.extend_from_slice(statement);
    bytes
}

impl Envelope {
    /// A statement with the signature of its [`signed_bytes`], DER.
    pub fn new(statement: &[u8], key: &str, signature: &[u8]) -> Self {
        Self {
            payload: STANDARD.encode(statement),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature {
                keyid: key.to_owned(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The statement and its signatures, DER; it is for the caller to verify one.
    pub fn open(&self) -> Result<(Vec<u8>, Vec<Vec<u8>>), InvalidEnvelope> {
        if self.payload_type != IN_TOTO {
            return Err(InvalidEnvelope("its payload is no in-toto statement"));
        }
        let decode = |text: &String| {
            let bytes = STANDARD.decode(text);
            bytes.map_err(|_| InvalidEnvelope("it is not base64"))
        };
        let signatures = self.signatures.iter().map(|s| decode(&s.sig));
        Ok((
            decode(&self.payload)?,
            signatures.collect::<Result<_, _>>()?,
        ))
    }
}
