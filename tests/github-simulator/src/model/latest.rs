//! Which release is the latest one.

use semver::Version;

use super::refusal::Refusal;
use super::release::Release;
use super::repo::Repo;

/// What `make_latest` says of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MakeLatest {
    /// It is the latest from now on.
    True,
    /// It is not.
    False,
    /// That follows from commits and versions.
    Legacy,
}

impl MakeLatest {
    /// A string, unlike the other two values that could be bare.
    pub(crate) fn parse(given: &str) -> Result<Self, Refusal> {
        match given {
            "true" => Ok(Self::True),
            "false" => Ok(Self::False),
            "legacy" => Ok(Self::Legacy),
            _ => Err(Refusal::invalid("Release", "invalid", "make_latest")),
        }
    }
}

impl Repo {
    /// Takes `make_latest` of a release that is put as this; the release is not among the
    /// others yet.
    pub(crate) fn make_latest(&mut self, release: &mut Release, asked: MakeLatest) {
        release.never_latest = asked == MakeLatest::False;
        if asked == MakeLatest::True && release.may_be_latest() {
            self.latest = Some(release.id);
        } else if asked == MakeLatest::Legacy || self.latest == Some(release.id) {
            self.latest = None;
        }
    }

    /// The one that was made the latest; else the one of the newest commit and then of the
    /// highest version, of those that were not told not to be it.
    pub(crate) fn latest(&self) -> Option<&Release> {
        let possible = || self.releases.iter().filter(|r| r.may_be_latest());
        let made = possible().find(|release| Some(release.id) == self.latest);
        let legacy = || {
            let legacy = possible().filter(|release| !release.never_latest);
            legacy.max_by_key(|release| self.place(release))
        };
        made.or_else(legacy)
    }

    fn place(&self, release: &Release) -> (Option<usize>, Option<Version>) {
        let tag = &release.tag_name;
        let commit = self.tags.get(tag).map(|sha| self.depth(sha));
        let version = tag.strip_prefix('v').unwrap_or(tag);
        (commit, Version::parse(version).ok())
    }
}

impl Release {
    /// Published, and no prerelease.
    pub(crate) fn may_be_latest(&self) -> bool {
        !self.draft && !self.prerelease
    }
}
