//! Scripts made ready: the zips of their artifacts are built once, not at the
//! end of every run.

use std::io::Write as _;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::input::{Artifact, Corrupt, Raw, Script, Storage};

/// A script and the zips of its artifacts.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) script: Script,
    pub(crate) archives: Vec<Archive>,
    pub(crate) failed_archives: Vec<Archive>,
}

/// What an artifact declares, and what its download serves.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) digest: Option<String>,
    pub(crate) expired: bool,
    pub(crate) served: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) disposition: Option<String>,
    pub(crate) storage: Storage,
    /// Whether `served` is what is declared.
    pub(crate) sound: bool,
    /// What is packed.
    pub(crate) files: Vec<(String, Bytes)>,
}

impl Prepared {
    pub(crate) fn new(script: Script) -> Self {
        let made = |artifacts: &[Artifact]| artifacts.iter().map(Archive::new).collect();
        Self {
            archives: made(&script.artifacts),
            failed_archives: made(&script.failed_artifacts),
            script,
        }
    }

    /// The conclusion of the given attempt, counted from 1.
    pub(crate) fn conclusion(&self, attempt: u32) -> String {
        let conclusions = &self.script.conclusions;
        let index = (attempt as usize).min(conclusions.len()).saturating_sub(1);
        conclusions
            .get(index)
            .cloned()
            .unwrap_or_else(|| "success".into())
    }
}

impl Archive {
    pub(crate) fn new(artifact: &Artifact) -> Self {
        let (full, content_type, disposition) = match artifact.raw.clone() {
            Some(Raw {
                content,
                content_type,
                disposition,
            }) => (Bytes::from(content), content_type, disposition),
            None => {
                // Writing to memory fails only for what a test author got wrong.
                let zip = zip(&artifact.files);
                let zip = zip.expect("file names of an artifact are unique and short");
                let name = format!("{}.zip", artifact.name);
                (zip, Some("application/zip".into()), Some(attachment(&name)))
            }
        };
        let mut digest = sha256(&full);
        let mut served = full.clone();
        match artifact.corrupt {
            Some(Corrupt::WrongDigest) => digest = sha256(digest.as_bytes()),
            Some(Corrupt::Truncated) => served.truncate(full.len() / 2),
            Some(Corrupt::Inside) => {
                let mut changed = full.to_vec();
                changed[full.len() / 2] ^= 1;
                digest = sha256(&changed);
                served = changed.into();
            }
            None => {}
        }
        let files = artifact.files.iter();
        let files = files.map(|(name, content)| (name.clone(), content.clone().into()));
        Self {
            name: artifact.name.clone(),
            size: full.len() as u64,
            digest: artifact.digest.then_some(digest),
            expired: artifact.expired,
            served,
            content_type,
            disposition,
            storage: artifact.storage.clone(),
            sound: artifact.corrupt.is_none(),
            files: files.collect(),
        }
    }
}

/// The Content-Disposition of a file.
pub(crate) fn attachment(name: &str) -> String {
    format!("attachment; filename=\"{}\"", name.replace('"', ""))
}

/// `sha256:<hex>`, as GitHub writes digests.
pub(crate) fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Zips the way upload-artifact does: deflated, in one pass, so sizes stand in
/// data descriptors after the data. No times, so that it is deterministic.
fn zip(files: &[(String, Vec<u8>)]) -> zip::result::ZipResult<Bytes> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new_stream(Vec::new());
    for (name, content) in files {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(content)?;
    }
    Ok(Bytes::from(writer.finish()?.into_inner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zips_are_streamed_and_deterministic() {
        let files = vec![
            ("bllvm".to_string(), vec![7; 3000]),
            ("LICENSE".to_string(), vec![]),
        ];
        let bytes = zip(&files).unwrap();
        assert_eq!(bytes, zip(&files).unwrap());
        assert_eq!(&bytes[..4], b"PK\x03\x04");
        // Bit 3 of the general purpose flags: sizes follow in a data descriptor.
        assert_eq!(bytes[6] & 0b1000, 0b1000);
    }

    #[test]
    fn the_last_conclusion_repeats() {
        let script = Script {
            conclusions: vec!["failure".into(), "success".into()],
            ..Script::default()
        };
        let prepared = Prepared::new(script);
        let seen: Vec<_> = (1..=3)
            .map(|attempt| prepared.conclusion(attempt))
            .collect();
        assert_eq!(seen, ["failure", "success", "success"]);
    }

    #[test]
    fn corruption_spares_the_declared_size() {
        let artifact = Artifact {
            files: vec![("a".into(), vec![1; 100])],
            corrupt: Some(Corrupt::Truncated),
            ..Artifact::default()
        };
        let archive = Archive::new(&artifact);
        assert_eq!(archive.served.len() as u64, archive.size / 2);
        assert_ne!(archive.digest.unwrap(), sha256(&archive.served));
    }
}
