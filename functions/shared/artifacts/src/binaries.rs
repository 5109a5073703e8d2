//! Whether a declared binary is among files: by name, as a member of an archive,
//! or as an archive that is named after it.

use std::io::Read;
use std::path::Path;

/// The names within an archive (tar, tar.gz, zip) by its file name; none for other
/// files. Blocking. What cannot be read has no members.
pub fn members(name: &str, path: &Path) -> Vec<String> {
    let Ok(file) = std::fs::File::open(path) else {
        return Vec::new();
    };
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        tar_members(flate2::read::GzDecoder::new(file))
    } else if name.ends_with(".tar") {
        tar_members(file)
    } else if name.ends_with(".zip") {
        zip::ZipArchive::new(file)
            .map(|archive| {
                archive
                    .file_names()
                    .filter_map(Result::ok)
                    .map(|name| base_name(&name))
                    .collect()
            })
            .unwrap_or_default()
    } else {
        Vec::new()
    }
}

fn tar_members(reader: impl Read) -> Vec<String> {
    let mut archive = tar::Archive::new(reader);
    let Ok(entries) = archive.entries() else {
        return Vec::new();
    };
    entries
        .map_while(Result::ok)
        .filter(|entry| entry.header().entry_type().is_file())
        .filter_map(|entry| {
            entry
                .path()
                .ok()
                .map(|path| base_name(&path.to_string_lossy()))
        })
        .collect()
}

/// The last part of a path.
pub fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Whether one file, with these members, is or holds the binary. An archive named
/// `<binary>-<version>-<platform>` counts by its name.
pub fn holds(binary: &str, version: &str, name: &str, members: &[String]) -> bool {
    let is = |name: &str| name == binary || name.strip_suffix(".exe") == Some(binary);
    let archive = [".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar", ".zip"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    let named_after = archive
        .and_then(|stem| stem.strip_prefix(binary)?.strip_prefix('-'))
        .map(|rest| rest.strip_prefix('v').unwrap_or(rest))
        .and_then(|rest| rest.strip_prefix(version)?.strip_prefix('-'))
        .is_some_and(|platform| !platform.is_empty());
    is(name) || named_after || members.iter().any(|member| is(member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_that_name_counts_exe_allowed() {
        assert!(holds("bllvm", "0.1.0", "bllvm", &[]));
        assert!(holds("bllvm", "0.1.0", "bllvm.exe", &[]));
        assert!(!holds("bllvm", "0.1.0", "bllvm-node", &[]));
    }

    #[test]
    fn an_archive_named_after_it_counts() {
        assert!(holds(
            "bllvm",
            "0.1.0",
            "bllvm-0.1.0-x86_64-linux.tar.gz",
            &[]
        ));
        assert!(holds("bllvm", "0.1.0", "bllvm-v0.1.0-windows.zip", &[]));
        assert!(!holds("bllvm", "0.1.0", "bllvm-0.2.0-linux.tar.gz", &[]));
        assert!(!holds("bllvm", "0.1.0", "bllvm-0.1.0-linux.txt", &[]));
    }

    #[test]
    fn a_member_counts() {
        assert!(holds(
            "bllvm",
            "0.1.0",
            "all.tar.gz",
            &["README".into(), "bllvm".into()]
        ));
        assert!(!holds("bllvm", "0.1.0", "all.tar.gz", &["README".into()]));
    }

    #[test]
    fn members_of_a_tarball_are_listed_by_their_last_part() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let gzip =
            flate2::write::GzEncoder::new(file.reopen().unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_cksum();
        tar.append_data(&mut header, "dir/bllvm", &b"1"[..])
            .unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        assert_eq!(members("x.tar.gz", file.path()), ["bllvm"]);
        assert!(members("x.bin", file.path()).is_empty());
    }
}
