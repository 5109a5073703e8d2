//! Whether a declared binary is among files: by name, as a member of an archive,
//! or as an archive that is named after it.

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
}
