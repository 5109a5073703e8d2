//! Releases and their assets.

use bytes::Bytes;
use jiff::Timestamp;

use super::archive::sha256;
use super::latest::MakeLatest;
use super::names::asset_name;
use super::refusal::Refusal;
use super::repo::Repo;
use crate::view::{AssetView, ReleaseView};

/// GitHub's limit of assets of one release.
const MAX_ASSETS: usize = 1000;

/// The state of one release.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    pub(crate) id: u64,
    pub(crate) tag_name: String,
    pub(crate) name: String,
    pub(crate) body: String,
    pub(crate) draft: bool,
    pub(crate) prerelease: bool,
    pub(crate) target_commitish: String,
    pub(crate) author: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) published_at: Option<Timestamp>,
    /// Assets and tag are locked.
    pub(crate) immutable: bool,
    /// It is the latest only if it is made so.
    pub(crate) never_latest: bool,
    pub(crate) assets: Vec<Asset>,
}

/// One file of a release.
#[derive(Debug, Clone)]
pub(crate) struct Asset {
    pub(crate) id: u64,
    pub(crate) uploader: String,
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
    pub(crate) digest: Option<String>,
    /// `uploaded`, or `starter` when the upload broke off.
    pub(crate) state: &'static str,
    pub(crate) created_at: Timestamp,
}

/// What a call may set; absent leaves it as it is.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Change {
    pub(crate) tag_name: Option<String>,
    pub(crate) target_commitish: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) draft: Option<bool>,
    pub(crate) prerelease: Option<bool>,
    pub(crate) make_latest: Option<String>,
}

/// What publishing brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The tag that was made.
    pub(crate) tag_created: Option<String>,
    /// Whether the release became public by this.
    pub(crate) published: bool,
}

impl Release {
    pub(crate) fn new(id: u64, author: &str, default_branch: &str, now: Timestamp) -> Self {
        Self {
            id,
            tag_name: String::new(),
            name: String::new(),
            body: String::new(),
            draft: true,
            prerelease: false,
            target_commitish: default_branch.into(),
            author: author.into(),
            created_at: now,
            updated_at: now,
            published_at: None,
            immutable: false,
            never_latest: false,
            assets: Vec::new(),
        }
    }

    /// The last part of its `html_url`: drafts have no tag yet.
    pub(crate) fn html_tag(&self) -> String {
        if self.draft {
            let digest = sha256(&self.id.to_be_bytes());
            format!("untagged-{}", &digest["sha256:".len()..][..20])
        } else {
            self.tag_name.clone()
        }
    }

    pub(crate) fn add_asset(&mut self, upload: Upload, now: Timestamp) -> Result<Asset, Refusal> {
        if self.immutable {
            let message = "Cannot upload assets to an immutable release.";
            return Err(Refusal::new(422, message));
        }
        let name = asset_name(&upload.name);
        if name.is_empty() {
            return Err(Refusal::invalid("ReleaseAsset", "missing_field", "name"));
        }
        if self.assets.iter().any(|asset| asset.name == name) {
            return Err(Refusal::invalid("ReleaseAsset", "already_exists", "name"));
        }
        if self.assets.len() >= MAX_ASSETS {
            let message = format!("file_count limited to {MAX_ASSETS} assets per release");
            return Err(Refusal::custom(
                "ReleaseAsset",
                Some("file_count"),
                &message,
            ));
        }
        let asset = Asset {
            id: upload.id,
            uploader: upload.uploader,
            name,
            label: upload.label,
            content_type: upload.content_type,
            digest: (upload.digest && !upload.broken).then(|| sha256(&upload.content)),
            content: if upload.broken {
                Bytes::new()
            } else {
                upload.content
            },
            state: if upload.broken { "starter" } else { "uploaded" },
            created_at: now,
        };
        self.assets.push(asset.clone());
        self.updated_at = now;
        Ok(asset)
    }

    pub(crate) fn view(&self) -> ReleaseView {
        let assets = self.assets.iter().map(|asset| AssetView {
            id: asset.id,
            name: asset.name.clone(),
            size: asset.content.len() as u64,
            digest: asset.digest.clone(),
            state: asset.state.into(),
            content: asset.content.clone(),
        });
        ReleaseView {
            id: self.id,
            tag_name: self.tag_name.clone(),
            name: self.name.clone(),
            draft: self.draft,
            prerelease: self.prerelease,
            immutable: self.immutable,
            body: self.body.clone(),
            target_commitish: self.target_commitish.clone(),
            assets: assets.collect(),
        }
    }
}

/// A file on its way into a release.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) id: u64,
    pub(crate) uploader: String,
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) content_type: String,
    pub(crate) content: Bytes,
    /// Breaks off and leaves a `starter` behind.
    pub(crate) broken: bool,
    /// Whether the asset has a digest.
    pub(crate) digest: bool,
}

impl Repo {
    pub(crate) fn release(&mut self, id: u64) -> Result<&mut Release, Refusal> {
        self.releases
            .iter_mut()
            .find(|r| r.id == id)
            .ok_or_else(Refusal::not_found)
    }

    /// Creates (`release.draft` is then only its starting point) or changes a
    /// release: checks everything first, so that a refusal changes nothing.
    pub(crate) fn put_release(
        &mut self,
        mut release: Release,
        change: Change,
        now: Timestamp,
    ) -> Result<(Release, Effect), Refusal> {
        let was_draft = release.draft;
        let locked = |field| Err(Refusal::invalid("Release", "immutable", field));
        if release.immutable && change.draft == Some(true) {
            return locked("draft");
        }
        let other_tag = change
            .tag_name
            .as_ref()
            .is_some_and(|tag| *tag != release.tag_name);
        if release.immutable && other_tag {
            return locked("tag_name");
        }
        let set = |field: &mut String, value: Option<String>| {
            if let Some(value) = value {
                *field = value;
            }
        };
        set(&mut release.tag_name, change.tag_name);
        set(&mut release.target_commitish, change.target_commitish);
        set(&mut release.name, change.name);
        set(&mut release.body, change.body);
        release.draft = change.draft.unwrap_or(release.draft);
        release.prerelease = change.prerelease.unwrap_or(release.prerelease);
        release.updated_at = now;
        if release.tag_name.is_empty() {
            return Err(Refusal::invalid("Release", "missing_field", "tag_name"));
        }
        let asked = change.make_latest.as_deref().map(MakeLatest::parse);
        let mut asked = asked.transpose()?;
        if asked == Some(MakeLatest::True) && !release.may_be_latest() {
            let message = "Latest release cannot be draft or prerelease.";
            return Err(Refusal::custom("Release", None, message));
        }
        let mut effect = Effect::default();
        if !release.draft {
            let other =
                |r: &Release| r.id != release.id && !r.draft && r.tag_name == release.tag_name;
            if self.releases.iter().any(other) {
                return Err(Refusal::invalid("Release", "already_exists", "tag_name"));
            }
            if was_draft && self.locked_tags.contains(&release.tag_name) {
                return Err(Refusal::tag_of_immutable());
            }
            if !self.tags.contains_key(&release.tag_name) {
                let (commit, _) = self
                    .resolve(&release.target_commitish)
                    .ok_or_else(|| Refusal::invalid("Release", "invalid", "target_commitish"))?;
                let sha = commit.sha.clone();
                self.tags.insert(release.tag_name.clone(), sha);
                effect.tag_created = Some(release.tag_name.clone());
            }
            if was_draft {
                release.published_at = Some(now);
                release.immutable = self.immutable_releases;
                if release.immutable {
                    self.locked_tags.insert(release.tag_name.clone());
                }
                effect.published = true;
                asked.get_or_insert(MakeLatest::True);
            }
            if let Some(asked) = asked {
                self.make_latest(&mut release, asked);
            }
        }
        match self.releases.iter_mut().find(|r| r.id == release.id) {
            Some(old) => *old = release.clone(),
            None => self.releases.push(release.clone()),
        }
        Ok((release, effect))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Repository;

    fn draft(repo: &mut Repo, id: u64) -> Release {
        let release = Release::new(id, "bot", "main", Timestamp::UNIX_EPOCH);
        let change = Change {
            tag_name: Some("v1".into()),
            draft: Some(true),
            ..Change::default()
        };
        repo.put_release(release, change, Timestamp::UNIX_EPOCH)
            .unwrap()
            .0
    }

    #[test]
    fn the_tag_is_made_when_the_draft_is_published() {
        let mut repo = Repo::new(1, Repository::default(), Timestamp::UNIX_EPOCH);
        let (first, second) = (draft(&mut repo, 1), draft(&mut repo, 2));
        assert!(repo.tags.is_empty());
        let publish = || Change {
            draft: Some(false),
            ..Change::default()
        };
        let (_, effect) = repo
            .put_release(first, publish(), Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(
            effect,
            Effect {
                tag_created: Some("v1".into()),
                published: true
            }
        );
        assert_eq!(repo.tags["v1"], repo.head());
        let refused = repo
            .put_release(second, publish(), Timestamp::UNIX_EPOCH)
            .unwrap_err();
        assert_eq!(
            refused,
            Refusal::invalid("Release", "already_exists", "tag_name")
        );
    }
}
