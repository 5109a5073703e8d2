//! Newtypes for identities, each checked where it enters.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};
use unicode_normalization::UnicodeNormalization as _;

/// A name that is not what it should be; its `Display` is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

macro_rules! string_newtype {
    ($name:ident) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

/// A GitHub repository's full name, `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName(String);
string_newtype!(RepoName);

impl RepoName {
    /// Checks `owner/name`: letters, digits, `-`, `_` and `.`, as GitHub allows.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let part = |s: &str| {
            !s.is_empty()
                && s != "."
                && s != ".."
                && s.len() <= 100
                && s.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match text.split_once('/') {
            Some((owner, name)) if part(owner) && part(name) => Ok(Self(text.to_owned())),
            _ => Err(InvalidName(format!(
                "'{text}' is not a repository name of the form owner/name"
            ))),
        }
    }

    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

/// A release's version: `v<semver>` or `nightly-<yyyymmdd>-<sha>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);
string_newtype!(Version);

impl Version {
    /// Checks the form; build metadata is refused, since GitHub's tag and our
    /// keys would then differ from what semver calls equal.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let valid = if let Some(rest) = text.strip_prefix("nightly-") {
            rest.split_once('-').is_some_and(|(date, sha)| {
                is_date(date)
                    && (7..=40).contains(&sha.len())
                    && sha.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
            })
        } else {
            text.strip_prefix('v')
                .and_then(|rest| semver::Version::parse(rest).ok())
                .is_some_and(|version| version.build.is_empty())
        };
        if valid && text.len() <= 100 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(format!(
                "version '{text}' is neither v<semver>, as v0.1.0, nor nightly-<yyyymmdd>-<sha>"
            )))
        }
    }

    /// Whether the version by itself is a prerelease: a semver pre-release part,
    /// or a nightly.
    pub fn is_prerelease(&self) -> bool {
        self.semver().is_none_or(|version| !version.pre.is_empty())
    }

    /// What is compared; none for a nightly.
    pub fn semver(&self) -> Option<semver::Version> {
        let rest = self.0.strip_prefix('v')?;
        semver::Version::parse(rest).ok()
    }

    /// The day of a nightly, as `20260102`.
    pub fn night(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("nightly-")?;
        rest.split_once('-').map(|(day, _)| day)
    }

    /// Whether it is the greatest of these tags, as semver orders them. Tags that are no
    /// versions, nightlies among them, do not count; nor does a version that is one.
    pub fn is_latest_of<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> bool {
        let semver = |tag: &str| semver::Version::parse(tag.strip_prefix('v')?).ok();
        let greatest = tags.into_iter().filter_map(semver).max();
        semver(&self.0).is_some_and(|own| greatest.is_none_or(|greatest| own >= greatest))
    }

    /// The commit that a nightly is named after, shortened.
    pub fn nightly_commit(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("nightly-")?;
        rest.split_once('-').map(|(_, commit)| commit)
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 8
        && text.chars().all(|c| c.is_ascii_digit())
        && jiff::civil::Date::strptime("%Y%m%d", text).is_ok()
}

/// `<owner>/<release repository>/<version>`: the partition of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseKey(String);
string_newtype!(ReleaseKey);

impl ReleaseKey {
    /// Parses `owner/name/version`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let wrong = || {
            InvalidName(format!(
                "'{text}' is not a release of the form owner/name/version"
            ))
        };
        let (repository, version) = text.rsplit_once('/').ok_or_else(wrong)?;
        RepoName::new(repository)?;
        Version::new(version)?;
        Ok(Self(text.to_owned()))
    }

    /// The key of `version` in the release repository.
    pub fn of(repository: &RepoName, version: &Version) -> Self {
        Self(format!("{repository}/{version}"))
    }

    /// The release repository.
    pub fn repository(&self) -> RepoName {
        RepoName(
            self.0
                .rsplit_once('/')
                .map_or("", |(repository, _)| repository)
                .to_owned(),
        )
    }

    /// The version.
    pub fn version(&self) -> Version {
        Version(
            self.0
                .rsplit_once('/')
                .map_or("", |(_, version)| version)
                .to_owned(),
        )
    }
}

/// The id of a GitHub Actions workflow run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256, as 64 lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(String);
string_newtype!(Sha256);

impl Sha256 {
    /// Parses hex digits, with or without GitHub's `sha256:` before them.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let hex = text
            .strip_prefix("sha256:")
            .unwrap_or(text)
            .to_ascii_lowercase();
        if hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()) {
            Ok(Self(hex))
        } else {
            Err(InvalidName(format!("'{text}' is not a SHA-256")))
        }
    }

    /// As [`Sha256::parse`].
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        Self::parse(text)
    }

    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Hasher::digest(bytes)))
    }

    /// From a finished hasher's 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The 32 bytes, as S3's checksum headers want them (base64 of these).
    pub fn bytes(&self) -> Vec<u8> {
        hex::decode(&self.0).unwrap_or_default()
    }
}

/// The name that GitHub gives an uploaded release asset: diacritics stripped, a
/// run of characters outside `[A-Za-z0-9-_+@.]` made one `.`, `default` before a
/// leading dot. What clients imitate; the answer of the upload is the truth.
pub fn github_asset_name(name: &str) -> String {
    let mut renamed = String::new();
    let mut in_run = false;
    for c in name
        .nfd()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
    {
        if c.is_ascii_alphanumeric() || "-_+@.".contains(c) {
            renamed.push(c);
            in_run = false;
        } else if !in_run {
            renamed.push('.');
            in_run = true;
        }
    }
    if renamed.starts_with('.') {
        format!("default{renamed}")
    } else {
        renamed
    }
}

/// An execution name of at most 80 characters from a version and a delivery id:
/// one delivery starts one execution, however often it arrives.
pub fn execution_name(version: &Version, delivery: &str) -> String {
    let clean = |s: &str, most: usize| -> String {
        s.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "-_".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .take(most)
            .collect()
    };
    format!("{}-{}", clean(version.as_str(), 40), clean(delivery, 39))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backport_is_not_the_latest() {
        let latest = |own: &str, tags: &[&str]| {
            Version::new(own)
                .unwrap()
                .is_latest_of(tags.iter().copied())
        };
        assert!(latest("v0.1.0", &[]));
        assert!(latest(
            "v0.10.0",
            &["v0.9.0", "release-7", "nightly-20260101-abcdef0"]
        ));
        assert!(latest("v0.10.0", &["v0.10.0"]));
        assert!(!latest("v0.9.1", &["v0.9.0", "v0.10.0"]));
        assert!(!latest("nightly-20260101-abcdef0", &[]));
    }

    #[test]
    fn versions_are_semver_or_nightly() {
        for good in ["v0.1.0", "v1.2.3-rc.1", "nightly-20260102-0a1b2c3"] {
            assert!(Version::new(good).is_ok(), "{good}");
        }
        for bad in [
            "0.1.0",
            "v1",
            "v1.2",
            "v01.2.3",
            "v1.2.3+x",
            "nightly-20261302-0a1b2c3",
            "nightly-2026-0a1b2c3",
            "",
            "v0.1.0/x",
        ] {
            assert!(Version::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_nightly_is_named_after_its_commit() {
        let of = |v: &str| Version::new(v).unwrap().nightly_commit().map(str::to_owned);
        assert_eq!(of("nightly-20260102-0a1b2c3").as_deref(), Some("0a1b2c3"));
        assert_eq!(of("v1.0.0"), None);
    }

    #[test]
    fn prereleases_are_told_by_the_version() {
        let pre = |v: &str| Version::new(v).unwrap().is_prerelease();
        assert!(!pre("v1.0.0"));
        assert!(pre("v1.0.0-rc.1"));
        assert!(pre("nightly-20260102-0a1b2c3"));
    }

    #[test]
    fn a_release_key_gives_back_its_parts() {
        let repository = RepoName::new("BTCDecoded/bllvm").unwrap();
        let version = Version::new("v0.1.0").unwrap();
        let key = ReleaseKey::of(&repository, &version);
        assert_eq!(key.as_str(), "BTCDecoded/bllvm/v0.1.0");
        assert_eq!((key.repository(), key.version()), (repository, version));
        assert!(ReleaseKey::new("bllvm/v0.1.0").is_err());
    }

    #[test]
    fn asset_names_are_renamed_as_github_does() {
        assert_eq!(
            github_asset_name("bllvm-0.1.0.tar.gz"),
            "bllvm-0.1.0.tar.gz"
        );
        assert_eq!(github_asset_name("café (1).zip"), "cafe.1..zip");
        assert_eq!(github_asset_name(".hidden"), "default.hidden");
        assert_eq!(github_asset_name("a~~b+c@d"), "a.b+c@d");
    }

    #[test]
    fn execution_names_fit_and_hold_no_odd_characters() {
        let version = Version::new("v1.2.3-rc.1").unwrap();
        let name = execution_name(&version, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert_eq!(name, "v1-2-3-rc-1-72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert!(execution_name(&version, &"x".repeat(200)).len() <= 80);
    }

    #[test]
    fn sha256_of_nothing() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::of(b"").as_str(), empty);
        assert_eq!(
            Sha256::parse(&format!("sha256:{empty}")).unwrap(),
            Sha256::of(b"")
        );
        assert!(Sha256::parse("sha256:12").is_err());
    }
}
