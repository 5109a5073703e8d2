//! The release's own documents: written after the files, in an order in which each may
//! tell of those before it, and the sums of all come last.
//!
//! Each is a function of what stands in the table, so that a second call writes the same
//! bytes; but a signature is another each time it is made. So what is signed is kept in
//! the bucket under the sum of what was signed, where it is written once: what is there
//! already is what is published.

use commons_domain::build::Build;
use commons_domain::documents::dsse::{self, Envelope};
use commons_domain::documents::{
    Asset, PROVENANCE, RELEASE_MANIFEST, ReleaseManifest, SIGNATURE, SUMS, VERSIONS, resolved,
    statements,
};
use commons_domain::names::Sha256;
use commons_domain::release::Release;
use commons_domain::signature::PublicKey;
use commons_domain::sums;
use commons_runtime::{Signer, Stage, StageError, web_address};

use crate::files::File;
use crate::limits::{Pause, Writes};
use crate::upload::Draft;

/// A signer and its public key.
pub struct Signing<'a> {
    stage: &'a Stage,
    signer: &'a Signer,
    /// What verifies.
    pub key: PublicKey,
}

impl<'a> Signing<'a> {
    /// The key that this stage signs with, if there is one.
    pub async fn of(stage: &'a Stage) -> Result<Option<Self>, StageError> {
        let Some(signer) = &stage.signer else {
            return Ok(None);
        };
        let key = signer.public_key().await?;
        Ok(Some(Self { stage, signer, key }))
    }

    /// A signature of these bytes that verifies.
    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, StageError> {
        let signature = self.signer.sign(bytes).await?;
        if self.key.verifies(bytes, &signature) {
            return Ok(signature);
        }
        // The alias may lead to another key since it was asked for.
        Err(StageError::Unavailable(format!(
            "what was signed is not verified by the key {}",
            self.key.id()
        )))
    }

    /// The signature of these bytes: the one that was made before, if there is one.
    async fn signature(&self, release: &Release, bytes: &[u8]) -> Result<Vec<u8>, StageError> {
        let (key, sum) = (self.key.id(), Sha256::of(bytes));
        let at = format!("{}/signatures/{key}/{sum}", release.key);
        let objects = &self.stage.objects;
        let unavailable =
            |error: commons_artifacts::StoreError| StageError::Unavailable(error.to_string());
        let made = self.sign(bytes).await?;
        if objects
            .put_new(&at, made.clone())
            .await
            .map_err(unavailable)?
        {
            return Ok(made);
        }
        objects.get_bytes(&at).await.map_err(unavailable)
    }
}

/// Uploads every document, in their order; answers the files by their names on GitHub.
pub async fn put(
    draft: &Draft<'_>,
    release: &Release,
    builds: &[Build],
    assets: &[Asset],
    signing: Option<&Signing<'_>>,
    writes: &Writes<'_>,
) -> Result<Vec<File>, Pause> {
    let stage = draft.stage;
    let files = assets
        .iter()
        .map(|asset| (asset.name.clone(), asset.sha256.clone()));
    let mut sums: Vec<(String, Sha256)> = files.collect();
    let path = &stage.config.manifest_path;
    let manifest = ReleaseManifest::of(release, path, builds, assets.to_vec());
    let internal = |error: serde_json::Error| StageError::Internal(error.to_string());

    let mut documents = vec![File::text(
        RELEASE_MANIFEST,
        manifest.render().map_err(internal)?.into_bytes(),
    )];
    if let Some(signing) = signing {
        let web = web_address(&stage.config.github_api_url);
        let statements = statements(&manifest, builds, &web).map_err(internal)?;
        // Where no component has files there is nobody to tell of, and GitHub takes no
        // empty file.
        if !statements.is_empty() {
            let lines = provenance(release, &statements, signing).await?;
            documents.push(File::text(PROVENANCE, lines));
        }
    }
    documents.push(File::text(
        VERSIONS,
        versions(stage, release, builds).await?,
    ));
    sums.extend(
        documents
            .iter()
            .map(|file| (file.name.clone(), file.sha256.clone())),
    );
    let sums = sums::render(&sums).into_bytes();
    documents.push(File::text(SUMS, sums.clone()));
    if let Some(signing) = signing {
        let signature = signing.signature(release, &sums).await?;
        documents.push(File::text(SIGNATURE, signature));
    }
    for file in &documents {
        let name = draft.put(file, writes).await?;
        if name != file.name {
            let why = format!("GitHub has {} as {name}", file.name);
            return Err(StageError::VerificationFailed(why).into());
        }
    }
    Ok(documents)
}

/// Each statement in its envelope, a line each.
async fn provenance(
    release: &Release,
    statements: &[String],
    signing: &Signing<'_>,
) -> Result<Vec<u8>, StageError> {
    let key = signing.key.id();
    let mut lines = Vec::new();
    for statement in statements {
        let signed = dsse::signed_bytes(statement.as_bytes());
        let signature = signing.signature(release, &signed).await?;
        let envelope = Envelope::new(statement.as_bytes(), key.as_str(), &signature);
        serde_json::to_writer(&mut lines, &envelope)
            .map_err(|error| StageError::Internal(error.to_string()))?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The manifest at the commit that Plan read it at, with every commit that was built.
async fn versions(stage: &Stage, release: &Release, builds: &[Build]) -> Result<Vec<u8>, Pause> {
    let commit = release.manifest_commit.as_deref().ok_or_else(|| {
        StageError::Internal("the release does not say which manifest it was planned from".into())
    })?;
    let repository = &stage.config.release_repository;
    let path = &stage.config.manifest_path;
    let text = stage.github.file(repository, path, commit).await?;
    let text = String::from_utf8(text)
        .map_err(|_| StageError::Refused("the manifest is not UTF-8".into()))?;
    let resolved = resolved(&text, builds).map_err(StageError::Refused)?;
    Ok(resolved.into_bytes())
}
