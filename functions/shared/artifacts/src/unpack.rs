//! From a zip to files, each hashed as it is written. Names that lead elsewhere,
//! links, doubles and bombs are refused before anything is uploaded.

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::path::Path;

use commons_domain::names::Sha256;
use sha2::{Digest as _, Sha256 as Hasher};
use tempfile::NamedTempFile;

use crate::Verification;

/// No artifact has more entries.
const MOST_ENTRIES: usize = 10_000;
/// No artifact unpacks to more bytes: what fits a function's disk.
const MOST_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// One file of an artifact.
#[derive(Debug)]
pub struct Unpacked {
    /// Its path in the artifact.
    pub path: String,
    /// Its bytes.
    pub file: NamedTempFile,
    /// How many.
    pub size: u64,
    /// Their sum.
    pub sha256: Sha256,
}

/// Unpacks a zip; blocking. CRCs are checked by the reader.
pub fn unpack(artifact: &str, zip: &Path) -> Result<Vec<Unpacked>, Verification> {
    let bad = |why: String| Verification::BadArchive {
        artifact: artifact.to_owned(),
        why,
    };
    let file =
        std::fs::File::open(zip).map_err(|error| bad(format!("cannot be opened: {error}")))?;
    let mut archive =
        zip::ZipArchive::new(file).map_err(|error| bad(format!("is no readable zip: {error}")))?;
    if archive.len() > MOST_ENTRIES {
        return Err(bad(format!(
            "has {} entries, more than {MOST_ENTRIES}",
            archive.len()
        )));
    }
    let mut seen = BTreeSet::new();
    let mut left = MOST_BYTES;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| bad(format!("entry {index}: {error}")))?;
        let name = entry
            .name()
            .map_err(|error| bad(format!("entry {index}: {error}")))?;
        let path = name.into_owned();
        check_path(&path).map_err(|why| bad(format!("entry '{}' {why}", path.escape_default())))?;
        if entry.is_symlink() {
            return Err(bad(format!("entry '{path}' is a link")));
        }
        if !seen.insert(path.to_lowercase()) {
            return Err(bad(format!("entry '{path}' is there twice")));
        }
        if entry.is_dir() {
            continue;
        }
        let (file, size, sha256) =
            copy(&mut entry, left).map_err(|why| bad(format!("entry '{path}': {why}")))?;
        left -= size;
        files.push(Unpacked {
            path,
            file,
            size,
            sha256,
        });
    }
    Ok(files)
}

/// A path that stays within its artifact and that people can read.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.chars().any(|c| c.is_control() || is_bidi(c)) {
        return Err("has characters that do not show");
    }
    if path.starts_with('/') || path.contains('\\') || path.as_bytes().get(1) == Some(&b':') {
        return Err("is no relative path");
    }
    if path.split('/').any(|part| part == ".." || part == ".") {
        return Err("leads elsewhere");
    }
    Ok(())
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn copy(from: &mut impl Read, most: u64) -> Result<(NamedTempFile, u64, Sha256), String> {
    let text = |error: std::io::Error| error.to_string();
    let mut file = NamedTempFile::new().map_err(text)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let n = from.read(&mut buffer).map_err(text)?;
        if n == 0 {
            break;
        }
        size += n as u64;
        if size > most {
            return Err(format!(
                "the artifact unpacks to more than {MOST_BYTES} bytes"
            ));
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n]).map_err(text)?;
    }
    file.flush().map_err(text)?;
    Ok((file, size, Sha256::from_bytes(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn zip(entries: &[(&str, &[u8])]) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        let mut writer = ZipWriter::new(file.reopen().unwrap());
        for (name, bytes) in entries {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    fn refusal(entries: &[(&str, &[u8])]) -> String {
        unpack("a", zip(entries).path()).unwrap_err().to_string()
    }

    #[test]
    fn files_come_out_with_their_sums() {
        let files = unpack("a", zip(&[("dir/x", b"1"), ("y", b"22")]).path()).unwrap();
        let paths: Vec<(&str, u64)> = files.iter().map(|f| (f.path.as_str(), f.size)).collect();
        assert_eq!(paths, [("dir/x", 1), ("y", 2)]);
        assert_eq!(files[1].sha256, Sha256::of(b"22"));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        assert!(refusal(&[("../x", b"")]).contains("leads elsewhere"));
        assert!(refusal(&[("/etc/x", b"")]).contains("no relative path"));
        assert!(refusal(&[("c:x", b"")]).contains("no relative path"));
        assert!(refusal(&[("a\\b", b"")]).contains("no relative path"));
    }

    #[test]
    fn names_that_do_not_show_are_refused() {
        assert!(refusal(&[("a\u{202e}b", b"")]).contains("do not show"));
        assert!(refusal(&[("a\nb", b"")]).contains("do not show"));
    }

    #[test]
    fn names_that_differ_in_case_only_are_refused() {
        assert!(refusal(&[("A", b"1"), ("a", b"2")]).contains("twice"));
    }

    #[test]
    fn what_is_no_zip_is_refused() {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"not a zip").unwrap();
        assert!(
            unpack("a", file.path())
                .unwrap_err()
                .to_string()
                .contains("no readable zip")
        );
    }
}
