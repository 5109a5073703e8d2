//! Which published release another one is compared with.

use jiff::Timestamp;

use crate::names::Version;

/// A published release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id at GitHub.
    pub id: u64,
    /// Its version.
    pub version: Version,
    /// Whether it is marked as a prerelease.
    pub prerelease: bool,
    /// When everybody saw it first.
    pub at: Option<Timestamp>,
}

/// The last one before `version`: the greatest lower version by semver, so that what is
/// released of an older line is compared with its own line; of nightlies the one of the
/// day before, or of the same day, that came last. A prerelease counts for a prerelease
/// only, and a nightly for a nightly.
pub fn last_before<'a>(
    version: &Version,
    prerelease: bool,
    published: &'a [Published],
) -> Option<&'a Published> {
    let others = published.iter().filter(|p| p.version != *version);
    let Some(this) = version.semver() else {
        return others
            .filter(|p| p.version.night().is_some() && p.version.night() <= version.night())
            .max_by_key(|p| (p.version.night(), p.at, p.id));
    };
    let prerelease = prerelease || version.is_prerelease();
    others
        .filter(|p| prerelease || !(p.prerelease || p.version.is_prerelease()))
        .filter_map(|p| Some((p.version.semver()?, p)))
        .filter(|(other, _)| *other < this)
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, p)| p)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last before `version` of these; one with `*` is marked as a prerelease.
    fn last(version: &str, prerelease: bool, of: &[&str]) -> Option<String> {
        let published: Vec<Published> = (1..)
            .zip(of)
            .map(|(id, text)| Published {
                id,
                version: Version::new(text.trim_end_matches('*')).unwrap(),
                prerelease: text.ends_with('*'),
                at: Timestamp::from_second(i64::try_from(id).unwrap()).ok(),
            })
            .collect();
        let last = last_before(&Version::new(version).unwrap(), prerelease, &published);
        last.map(|p| p.version.to_string())
    }

    #[test]
    fn a_release_is_compared_with_the_one_before_it() {
        let many = [
            "v1.0.0",
            "v2.0.0",
            "v1.0.1",
            "v1.1.0-rc.1",
            "v1.0.2*",
            "v1.1.0",
        ];
        for (version, prerelease, want) in [
            ("v2.0.1", false, Some("v2.0.0")),
            ("v1.1.1", false, Some("v1.1.0")),
            ("v1.1.0", false, Some("v1.0.1")),
            ("v1.1.0-rc.2", true, Some("v1.1.0-rc.1")),
            ("v1.1.0-rc.2", false, Some("v1.1.0-rc.1")),
            ("v1.0.3", true, Some("v1.0.2")),
            ("v1.0.0", false, None),
            ("v0.9.0", false, None),
            ("nightly-20260102-0a1b2c3", true, None),
        ] {
            let got = last(version, prerelease, &many);
            assert_eq!(got.as_deref(), want, "{version}");
        }
    }

    #[test]
    fn a_nightly_is_compared_with_the_one_before_it() {
        let many = [
            "nightly-20260103-ccccccc*",
            "nightly-20260101-aaaaaaa*",
            "nightly-20260102-bbbbbbb*",
            "v1.0.0",
        ];
        let got = |version: &str| last(version, true, &many);
        assert_eq!(
            got("nightly-20260102-0a1b2c3").as_deref(),
            Some(many[2].trim_end_matches('*'))
        );
        assert_eq!(
            got("nightly-20260102-bbbbbbb").as_deref(),
            Some("nightly-20260101-aaaaaaa")
        );
        assert_eq!(got("nightly-20251231-0a1b2c3"), None);
        assert_eq!(last("v1.1.0-rc.1", true, &many).as_deref(), Some("v1.0.0"));
    }
}
