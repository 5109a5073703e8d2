//! Bytes from where GitHub redirects to: another host, which never gets our token, and
//! which must not be one that only we can reach.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use commons_domain::names::RepoName;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Response, StatusCode};
use url::{Host, Url};

use crate::disposition::file_name;
use crate::{Error, GitHub};

/// A transfer from GitHub.
pub struct Download {
    /// Bytes of the whole, if that is told.
    pub total: Option<u64>,
    /// Whether only the range that was asked for comes: not every server does that.
    pub is_part: bool,
    /// `application/zip` for what it is; lowercase, without parameters.
    pub content_type: Option<String>,
    /// From Content-Disposition.
    pub file_name: Option<String>,
    /// The bytes.
    pub body: BoxStream<'static, Result<Bytes, Error>>,
}

impl GitHub {
    /// Where an artifact's bytes are, for a minute: `GET …/actions/artifacts/{id}/zip`.
    pub async fn artifact_location(
        &self,
        repository: &RepoName,
        artifact: u64,
    ) -> Result<Url, Error> {
        let path = format!("/repos/{repository}/actions/artifacts/{artifact}/zip");
        let call = format!("GET {path}");
        let redirect = self.read(&path, "application/vnd.github+json").await?;
        self.location(&call, &redirect)
    }

    /// Where a redirect leads, if we go there.
    pub(crate) fn location(&self, call: &str, redirect: &Response) -> Result<Url, Error> {
        let location = redirect.headers().get("location");
        let location = location
            .and_then(|location| location.to_str().ok())
            .and_then(|location| Url::parse(location).ok())
            .ok_or_else(|| Error::Unexpected {
                call: call.to_owned(),
                message: "no redirect to the bytes".into(),
            })?;
        if !self.settings().private_transfers {
            check(&location).map_err(|message| Error::UnsafeRedirect {
                call: call.to_owned(),
                message,
            })?;
        }
        Ok(location)
    }

    /// The bytes at a location, from the first or from `from` on. A server that knows no
    /// ranges sends all of them. What it refuses is no refusal of GitHub's: the location
    /// may be a minute old.
    pub async fn download(&self, location: &Url, from: u64) -> Result<Download, Error> {
        let call = format!(
            "GET the bytes at {}",
            location.host_str().unwrap_or_default()
        );
        let mut request = self.transfers().get(location.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(of_connection(call, error)),
        };
        let status = response.status();
        if !matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
            return Err(of_storage(call, status));
        }
        let header = |name| response.headers().get(name);
        let text = |name| header(name).and_then(|value| value.to_str().ok());
        let is_part = status == StatusCode::PARTIAL_CONTENT;
        let total = if is_part {
            text(CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        } else {
            response.content_length()
        };
        let content_type = text(CONTENT_TYPE).and_then(|kind| kind.split(';').next());
        Ok(Download {
            total,
            is_part,
            content_type: content_type.map(|kind| kind.trim().to_ascii_lowercase()),
            file_name: header(CONTENT_DISPOSITION).and_then(|value| file_name(value.as_bytes())),
            body: response
                .bytes_stream()
                .map(move |chunk| chunk.map_err(|error| Error::of_transport(&call, error)))
                .boxed(),
        })
    }
}

/// What a storage's status means. Its body is not read: nobody knows how long it is.
fn of_storage(call: String, status: StatusCode) -> Error {
    let message = format!("the storage answers {}", status.as_u16());
    match status {
        StatusCode::GONE => Error::Gone { call, message },
        StatusCode::RANGE_NOT_SATISFIABLE => Error::RangeNotSatisfiable { call, message },
        status if status.is_redirection() => Error::UnsafeRedirect {
            call,
            message: "the storage redirects once more".into(),
        },
        _ => Error::Unavailable {
            call,
            sent: true,
            message,
        },
    }
}

/// From a request that got no answer, perhaps since its host is at no public address.
fn of_connection(call: String, error: reqwest::Error) -> Error {
    let mut cause = error.source();
    while let Some(one) = cause {
        if let Some(refusal) = one.downcast_ref::<NotPublic>() {
            let message = refusal.to_string();
            return Error::UnsafeRedirect { call, message };
        }
        cause = one.source();
    }
    Error::of_transport(&call, error)
}

/// A location on the internet, over TLS. A host's addresses are checked when they are
/// looked up.
fn check(location: &Url) -> Result<(), String> {
    if location.scheme() != "https" {
        return Err(format!(
            "it leads to {}, and not to https",
            location.scheme()
        ));
    }
    let address = match location.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    match address.filter(|address| is_private(*address)) {
        Some(address) => Err(format!("it leads to {address}, which is no public address")),
        None => Ok(()),
    }
}

/// Not of the internet: this machine, its network, or set apart
/// ([IANA's special-purpose registries](https://www.iana.org/assignments/iana-ipv4-special-registry)).
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_documentation()
                || address.is_multicast()
                || matches!((a, b), (0 | 240.., _) | (100, 64..=127) | (198, 18..=19))
                || address.octets()[..3] == [192, 0, 0]
        }
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            // Nothing else is given out
            // ([IANA](https://www.iana.org/assignments/ipv6-unicast-address-assignments)).
            !(0x2000..0x4000).contains(&first)
                || (first == 0x2001 && (second < 0x200 || second == 0xdb8))
                || first == 0x2002
                || (first == 0x3fff && second < 0x1000)
        }
    }
}

/// Why a host is not found.
#[derive(Debug, thiserror::Error)]
#[error("{host} is at {address}, which is no public address")]
struct NotPublic {
    host: String,
    address: IpAddr,
}

/// Looks hosts up as the system does, and knows only their public addresses.
#[derive(Debug)]
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (private, public): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| is_private(address.ip()));
            if let (Some(private), true) = (private.first(), public.is_empty()) {
                let (host, address) = (name.as_str().to_owned(), private.ip());
                return Err(NotPublic { host, address }.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// The resolver of transfers, if not every address is allowed.
pub(crate) fn resolver(private: bool) -> Option<Arc<PublicOnly>> {
    (!private).then(|| Arc::new(PublicOnly))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_asked() {
        let checked = |location: &str| check(&Url::parse(location).unwrap());
        for good in [
            "https://x.blob.core.windows.net/a?sig=1",
            "https://20.60.1.1/a",
            "https://[2603:1030::1]/a",
        ] {
            assert_eq!(checked(good), Ok(()), "{good}");
        }
        for bad in [
            "http://x.blob.core.windows.net/a",
            "file:///etc/passwd",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://10.1.2.3/",
            "https://172.16.0.1/",
            "https://192.168.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[fec0::1]/",
            "https://[::7f00:1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2001:db8::1]/",
            "https://[ff02::1]/",
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_host_that_is_at_a_private_address_is_not_found() {
        let name = "localhost".parse::<Name>().unwrap();
        let Err(error) = PublicOnly.resolve(name).await else {
            panic!("localhost was found");
        };
        assert!(error.to_string().contains("no public address"), "{error}");
    }
}
