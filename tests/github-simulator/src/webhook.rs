//! Webhooks on their way: signed, sent once, never redelivered.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::model::Hook;
use crate::settings::Error;

/// GitHub waits no longer for a receiver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The value of `X-Hub-Signature-256`.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// A client that follows nothing and asks no proxy.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    // Another crate of a workspace may switch TLS on without choosing who does
    // it; reqwest then panics. A second installation is refused: no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("GitHub-Hookshot/51m4143")
        .build()
}

/// Sends one and returns the receiver's status.
pub(crate) async fn deliver(
    client: &reqwest::Client,
    (url, secret): &(String, String),
    hook: &Hook,
    serial: u64,
) -> Result<u16, Error> {
    let body = hook.payload.to_string();
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("x-github-event", &hook.event)
        .header("x-github-delivery", delivery_id(serial, &body))
        .header("x-hub-signature-256", signature(secret, body.as_bytes()))
        .body(body)
        .send()
        .await
        .map_err(Error::Webhook)?;
    Ok(answer.status().as_u16())
}

/// Looks like a UUID and is different for every delivery.
fn delivery_id(serial: u64, body: &str) -> String {
    let hash = hex::encode(Sha256::digest(format!("{serial}{body}")));
    [
        &hash[..8],
        &hash[8..12],
        &hash[12..16],
        &hash[16..20],
        &hash[20..32],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_vector_is_signed_as_documented() {
        let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            expected
        );
    }

    #[test]
    fn deliveries_have_ids_like_uuids() {
        let id = delivery_id(1, "{}");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_ne!(id, delivery_id(2, "{}"));
    }
}
