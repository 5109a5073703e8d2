//! `commons verify`: as anybody sees a release, without a token.

use std::path::Path;

use commons_domain::documents::{PROVENANCE, RELEASE_MANIFEST, SIGNATURE, SUMS, VERSIONS};
use commons_domain::names::Sha256;
use commons_domain::signature::PublicKey;
use commons_publish::Next;
use commons_verify::checks;
use commons_verify::source::{File, Seen, download};
use commons_verify::target::Target;
use integration::{RELEASE_REPOSITORY, StageWorld};

use crate::stages::publish::{ORDER, completed};

struct Release {
    world: StageWorld,
    target: Target,
    folder: tempfile::TempDir,
    seen: Seen,
    key: PublicKey,
}

/// A published and downloaded release.
async fn release() -> Release {
    released(StageWorld::start().await).await
}

async fn released(world: StageWorld) -> Release {
    let world = completed(world.signed().await).await;
    assert_eq!(world.publish().await.unwrap().next, Next::Published);
    let api = world.github.api_url();
    let target = Target::parse("v0.1.0", Some(RELEASE_REPOSITORY), Some(&api)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seen = download(&target, folder.path()).await.unwrap();
    let key = world.public_key().await;
    Release {
        world,
        target,
        folder,
        seen,
        key,
    }
}

impl Release {
    /// Every fault, by what was looked at: the first word of it.
    fn faults(&self, key: Option<&PublicKey>) -> Vec<String> {
        let checks = checks::all(&self.target, &self.seen, self.folder.path(), key);
        let told = checks.iter().flat_map(|check| {
            let what = check.what.split([',', ' ']).next().unwrap();
            check
                .faults
                .iter()
                .map(move |fault| format!("{what}: {fault}"))
        });
        told.collect()
    }

    /// Changes a file as who has the release's rights can: GitHub tells its new digest.
    fn change(&mut self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
        let (size, sha256) = (bytes.len() as u64, Sha256::of(bytes));
        let asset = self.seen.release.assets.iter_mut().find(|a| a.name == name);
        let asset = asset.unwrap();
        (asset.size, asset.digest) = (size, Some(format!("sha256:{sha256}")));
        self.seen
            .files
            .insert(name.to_owned(), File { size, sha256 });
    }

    /// And writes the sums anew over all that is there.
    fn sum_up(&mut self) {
        let files = self.seen.files.iter();
        let summed = files.filter(|(name, _)| *name != SUMS && *name != SIGNATURE);
        let lines = summed.map(|(name, file)| format!("{}  {name}\n", file.sha256));
        let text: String = lines.collect();
        self.change(SUMS, text.as_bytes());
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

#[tokio::test]
async fn a_release_without_files_has_no_provenance_and_verifies() {
    let line = |name| {
        format!("{name} = {{ version = \"0.1.0\", git_tag = \"v0.1.0\", git_commit = \"\" }}\n")
    };
    let manifest: String = ORDER.iter().map(line).collect();
    let world = StageWorld::with_manifest(&format!("[versions]\n{manifest}")).await;
    let release = released(world).await;
    let names: Vec<&str> = release.seen.files.keys().map(String::as_str).collect();
    assert_eq!(names, [SUMS, SIGNATURE, RELEASE_MANIFEST, VERSIONS]);
    assert_eq!(release.faults(Some(&release.key)), Vec::<String>::new());
}

#[tokio::test]
async fn a_release_of_ours_is_verified_with_and_without_a_key() {
    let release = release().await;
    assert_eq!(release.faults(Some(&release.key)), [""; 0]);
    assert_eq!(release.faults(None), [""; 0]);
    let other = StageWorld::start().await.signed().await;
    let other = other.public_key().await;
    let faults = release.faults(Some(&other));
    assert!(
        faults.contains(&"SHA256SUMS.sig: it is not this key's signature of SHA256SUMS".into())
    );
    assert!(faults.contains(&format!(
        "{PROVENANCE}: line 1: it is not signed by this key"
    )));
}

#[tokio::test]
async fn what_was_changed_is_told_however_far_the_change_goes() {
    let mut release = release().await;
    let key = release.key.clone();
    let built = "bllvm-keygen";
    // One file, and nothing else.
    release.change(built, b"evil");
    let told = release.faults(Some(&key));
    assert!(
        told.iter()
            .any(|f| f.starts_with("SHA256SUMS: bllvm-keygen has the sum")),
        "{told:?}"
    );
    // The sums with it.
    release.sum_up();
    let told = release.faults(Some(&key));
    assert!(
        !told.iter().any(|f| f.starts_with("SHA256SUMS: ")),
        "{told:?}"
    );
    assert!(told.contains(&"SHA256SUMS.sig: it is not this key's signature of SHA256SUMS".into()));
    assert!(told.contains(&"release-manifest.json: bllvm-keygen is not what was built".into()));
    // The release manifest with them: the provenance is left.
    let manifest = release.read(RELEASE_MANIFEST);
    let mut manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    for asset in manifest["assets"].as_array_mut().unwrap() {
        if asset["name"] == built {
            (asset["size"], asset["sha256"]) = (4.into(), Sha256::of(b"evil").as_str().into());
        }
    }
    release.change(RELEASE_MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    release.sum_up();
    let told = release.faults(Some(&key));
    assert!(
        told.contains(&format!("{PROVENANCE}: it says otherwise of {built}")),
        "{told:?}"
    );
    // Without a key nothing of that is told: so it says that the release is not signed.
    assert_eq!(release.faults(None), [""; 0]);
}

#[tokio::test]
async fn what_is_missing_or_foreign_or_of_another_commit_is_told() {
    let mut release = release().await;
    let key = release.key.clone();
    release.seen.files.remove("bllvm-keygen");
    let sha256 = Sha256::of(b"x");
    release
        .seen
        .files
        .insert("theirs".into(), File { size: 1, sha256 });
    release.seen.commit = "0".repeat(40);
    let versions = release.read(VERSIONS);
    let pin = release.world.build("bllvm-sdk").await.pin;
    release.change(VERSIONS, versions.replace(&pin, &"1".repeat(40)).as_bytes());
    let told = release.faults(Some(&key)).join("\n");
    for fault in [
        "SHA256SUMS: bllvm-keygen is listed and not there",
        "SHA256SUMS: theirs is there and not listed",
        "release-manifest.json: bllvm-keygen was built and is not there",
        "release-manifest.json: theirs is there, and nothing built it",
        "release-manifest.json: the tag is at 0000000000000000000000000000000000000000",
        "versions.toml: bllvm-sdk was built at ",
    ] {
        assert!(told.contains(fault), "{fault} is not in:\n{told}");
    }
}
