//! A GitHub App as its owner has it: its name, where it is installed, and its key.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// An App, and its installations.
#[derive(Debug, Clone)]
pub struct App {
    /// Its ID.
    pub id: u64,
    /// Its client ID, which stands for it as well.
    pub client_id: String,
    /// Its runs are of `<slug>[bot]`.
    pub slug: String,
    /// Where it is installed: one per owner.
    pub installations: Vec<Installation>,
}

/// Where an App is installed, and what it may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its ID.
    pub id: u64,
    /// Who installed it.
    pub owner: String,
    /// Names of the repositories that were selected; none: all of the owner's.
    pub repositories: Option<Vec<String>>,
    /// As `contents` to `write`.
    pub permissions: BTreeMap<String, String>,
}

impl App {
    /// An App that this owner installed for all repositories with these permissions.
    pub fn of<'a>(owner: &str, permissions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let permissions = permissions.into_iter();
        let installation = Installation {
            id: 1001,
            owner: owner.into(),
            repositories: None,
            permissions: permissions
                .map(|(name, access)| (name.into(), access.into()))
                .collect(),
        };
        Self {
            id: 4711,
            client_id: "Iv1.0123456789abcdef".into(),
            slug: "release-train".into(),
            installations: vec![installation],
        }
    }

    /// Its private key, PKCS#1 in PEM, as GitHub hands it out.
    pub fn private_key(&self) -> String {
        pem("RSA PRIVATE KEY", &pkcs1())
    }

    /// The same key as PKCS#8.
    pub fn private_key_pkcs8(&self) -> String {
        // rsaEncryption, without parameters.
        let algorithm = sequence(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", b"\x05\x00"]);
        let octets = tagged(0x04, &pkcs1());
        pem(
            "PRIVATE KEY",
            &sequence(&[&integer(&[0]), &algorithm, &octets]),
        )
    }

    /// Its public key: an `RSAPublicKey` in DER.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        sequence(&[&number(KEY[0]), &number(KEY[1])])
    }
}

/// The key that RFC 7515 signs its example with (appendix A.2): n, e, d, p, q, dp, dq, qi.
/// Everybody knows it.
const KEY: [&str; 8] = [
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    "AQAB",
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];

fn pkcs1() -> Vec<u8> {
    let numbers: Vec<Vec<u8>> = KEY.into_iter().map(number).collect();
    let mut parts = vec![integer(&[0])];
    parts.extend(numbers);
    sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A number of the key, as DER.
fn number(text: &str) -> Vec<u8> {
    integer(&URL_SAFE_NO_PAD.decode(text).unwrap_or_default())
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    // One that begins with a set bit would be negative.
    let positive = bytes.first().is_some_and(|first| *first >= 0x80);
    let mut value = vec![0; usize::from(positive)];
    value.extend(bytes);
    tagged(0x02, &value)
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

/// DER: tag, length, value.
fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![tag];
    if value.len() >= 0x80 {
        der.push(0x80 | length.len() as u8);
    }
    der.extend(length);
    der.extend(value);
    der
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
