//! Releases and their assets.

use serde_json::{Value, json};

use super::{Render, time};
use crate::model::release::{Asset, Release};
use crate::model::repo::Repo;

impl Render {
    pub(crate) fn release(&self, repo: &Repo, release: &Release) -> Value {
        let url = format!("{}/releases/{}", self.repo_url(repo), release.id);
        let upload = format!(
            "{}/uploads/repos/{}/releases/{}/assets{{?name,label}}",
            self.api, repo.name, release.id
        );
        let assets = release
            .assets
            .iter()
            .map(|asset| self.asset(repo, release, asset));
        json!({
            "url": url,
            "assets_url": format!("{url}/assets"),
            "upload_url": upload,
            "html_url": format!("{}/releases/tag/{}", self.repo_html(repo), release.html_tag()),
            "id": release.id,
            "node_id": format!("RE_{}", release.id),
            "author": self.user(&release.author),
            "tag_name": release.tag_name,
            "target_commitish": release.target_commitish,
            "name": release.name,
            "body": release.body,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "immutable": release.immutable,
            "created_at": time(release.created_at),
            "updated_at": time(release.updated_at),
            "published_at": release.published_at.map(time),
            "tarball_url": null,
            "zipball_url": null,
            "assets": assets.collect::<Vec<_>>(),
        })
    }

    pub(crate) fn asset(&self, repo: &Repo, release: &Release, asset: &Asset) -> Value {
        json!({
            "url": format!("{}/releases/assets/{}", self.repo_url(repo), asset.id),
            "id": asset.id,
            "node_id": format!("RA_{}", asset.id),
            "name": asset.name,
            "label": asset.label,
            "uploader": self.user(&asset.uploader),
            "content_type": asset.content_type,
            "state": asset.state,
            "size": asset.content.len(),
            "digest": asset.digest,
            "download_count": 0,
            "created_at": time(asset.created_at),
            "updated_at": time(asset.created_at),
            "browser_download_url": format!(
                "{}/{}/releases/download/{}/{}",
                self.html(), repo.name, release.html_tag(), asset.name
            ),
        })
    }
}
