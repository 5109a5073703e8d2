//! Bytes from where GitHub redirects to: another host, which never gets our token, and
//! which must not be one that only we can reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use commons_domain::names::RepoName;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::Response;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_RANGE, RANGE};
use url::{Host, Url};

use crate::{Error, GitHub};

/// A transfer from GitHub.
pub struct Download {
    /// Bytes of the whole, if that is told.
    pub total: Option<u64>,
    /// Whether only the range that was asked for comes: not every server does that.
    pub is_part: bool,
    /// `application/zip` for what it is.
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
    /// ranges sends all of them.
    pub async fn download(&self, location: &Url, from: u64) -> Result<Download, Error> {
        let call = format!(
            "GET the bytes at {}",
            location.host_str().unwrap_or_default()
        );
        let mut request = self.transfers().get(location.clone());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await;
        let response = response.map_err(|error| Error::of_transport(&call, error))?;
        let response = self.accept(&call, response).await?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let is_part = response.status() == reqwest::StatusCode::PARTIAL_CONTENT;
        let total = if is_part {
            header(CONTENT_RANGE.as_str()).and_then(|range| range.rsplit_once('/')?.1.parse().ok())
        } else {
            response.content_length()
        };
        Ok(Download {
            total,
            is_part,
            content_type: header("content-type"),
            file_name: header("content-disposition").as_deref().and_then(file_name),
            body: response
                .bytes_stream()
                .map(move |chunk| chunk.map_err(|error| Error::of_transport(&call, error)))
                .boxed(),
        })
    }
}

/// The file name of a Content-Disposition.
fn file_name(header: &str) -> Option<String> {
    let (_, rest) = header.split_once("filename=")?;
    let name = rest.split(';').next()?.trim().trim_matches('"');
    (!name.is_empty()).then(|| name.to_owned())
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
            let first = address.segments()[0];
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || first == 0x64
                || first == 0x100
                || (first == 0x2001 && address.segments()[1] < 0x200)
                || first == 0x2002
        }
    }
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
                let host = name.as_str();
                let why = format!("{host} is at {}, which is no public address", private.ip());
                return Err(why.into());
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
    fn the_file_name_is_read_from_content_disposition() {
        assert_eq!(
            file_name(r#"attachment; filename="a b.zip"; x=1"#).as_deref(),
            Some("a b.zip")
        );
        assert_eq!(file_name("attachment"), None);
    }

    #[test]
    fn only_the_internet_is_asked() {
        let checked = |location: &str| check(&Url::parse(location).unwrap());
        for good in [
            "https://x.blob.core.windows.net/a?sig=1",
            "https://20.60.1.1/a",
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
