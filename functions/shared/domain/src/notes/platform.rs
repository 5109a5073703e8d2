//! For which platform a file is, and which variant of it: told by its name.

use std::fmt;

/// Systems in the order in which they are shown, each with the words that name it.
const SYSTEMS: [(&str, &[&str]); 9] = [
    ("Linux", &["linux", "linux32", "linux64"]),
    ("macOS", &["macos", "darwin", "osx", "apple", "mac"]),
    (
        "Windows",
        &["windows", "win", "win32", "win64", "msvc", "mingw"],
    ),
    ("FreeBSD", &["freebsd"]),
    ("NetBSD", &["netbsd"]),
    ("OpenBSD", &["openbsd"]),
    ("Android", &["android", "androideabi"]),
    ("iOS", &["ios"]),
    (
        "WebAssembly",
        &["wasm", "wasm32", "wasm64", "wasi", "wasip1", "wasip2"],
    ),
];
/// Architectures in the order in which they are shown, each with the words that name it.
const ARCHITECTURES: [(&str, &[&str]); 12] = [
    ("x86_64", &[X86_64, "amd64", "x64", "win64", "linux64"]),
    ("arm64", &["arm64", "aarch64", "armv8"]),
    (
        "x86",
        &[
            "x86", "i386", "i486", "i586", "i686", "386", "win32", "linux32",
        ],
    ),
    (
        "armv7",
        &["armv7", "armv7l", "armv7hf", "armhf", "thumbv7neon"],
    ),
    (
        "arm",
        &["arm", "armv5", "armv5te", "armv6", "armv6l", "armel"],
    ),
    ("riscv64", &["riscv64", "riscv64gc"]),
    ("ppc64le", &["ppc64le", "powerpc64le", "ppc64el"]),
    ("ppc64", &["ppc64", "powerpc64"]),
    ("s390x", &["s390x"]),
    ("loongarch64", &["loongarch64", "loong64"]),
    ("mips64", &["mips64", "mips64el"]),
    ("universal", &["universal", "universal2"]),
];
/// Of a target triple: they say nothing by themselves.
const OF_TRIPLES: [&str; 11] = [
    "unknown",
    "pc",
    "gnu",
    "gnueabi",
    "gnueabihf",
    "eabi",
    "eabihf",
    "gnullvm",
    "gnux32",
    "64bit",
    "32bit",
];
/// Distributions: Linux, of a kind that is told.
const DISTRIBUTIONS: [&str; 7] = [
    "alpine", "arch", "centos", "debian", "fedora", "rhel", "ubuntu",
];
/// What `x86_64` is while words are parted at `_`.
const X86_64: &str = "x8664";
/// Endings that tell a system, and others; the longest of several that fit first.
const ENDINGS: [(&str, Option<&str>); 31] = [
    (".appimage", Some("Linux")),
    (".flatpak", Some("Linux")),
    (".snap", Some("Linux")),
    (".deb", Some("Linux")),
    (".rpm", Some("Linux")),
    (".exe", Some("Windows")),
    (".msix", Some("Windows")),
    (".msi", Some("Windows")),
    (".dll", Some("Windows")),
    (".dmg", Some("macOS")),
    (".pkg", Some("macOS")),
    (".wasm", Some("WebAssembly")),
    (".sha256", None),
    (".minisig", None),
    (".sig", None),
    (".asc", None),
    (".tar", None),
    (".tgz", None),
    (".txz", None),
    (".bz2", None),
    (".zst", None),
    (".zip", None),
    (".gz", None),
    (".xz", None),
    (".7z", None),
    (".crate", None),
    (".json", None),
    (".toml", None),
    (".txt", None),
    (".md", None),
    (".jar", None),
];

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    system: Option<usize>,
    architecture: Option<usize>,
}

impl fmt::Display for Platform {
    /// `Linux x86_64`, `Windows`, `arm64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = self.system.map(|n| SYSTEMS[n].0);
        let architecture = self.architecture.map(|n| ARCHITECTURES[n].0);
        let words: Vec<&str> = system.into_iter().chain(architecture).collect();
        f.write_str(&words.join(" "))
    }
}

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// For which platform it is; none where no word says so.
    pub platform: Option<Platform>,
    /// What is left of the name, as `experimental`; empty for the usual one.
    pub variant: String,
}

impl Named {
    /// Reads a file's name. `names` are those of its component, of its binaries, and what
    /// is put before its assets: they say nothing of the variant, nor do `versions`.
    pub fn of(name: &str, names: &[&str], versions: &[&str]) -> Self {
        let (stem, installer) = without_ending(name);
        let stem = without_versions(&stem, versions);
        let mut words = words(&stem);
        let mut names: Vec<Vec<String>> = names.iter().map(|name| self::words(name)).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        for name in names.iter().filter(|name| !name.is_empty()) {
            let same = |of: &[String]| of.iter().zip(name).all(|(a, b)| a.eq_ignore_ascii_case(b));
            if let Some(at) = words.windows(name.len()).position(same) {
                words.drain(at..at + name.len());
            }
        }
        let mut platform = Platform {
            system: installer,
            architecture: None,
        };
        let mut left: Vec<String> = Vec::new();
        for word in words {
            let lower = word.to_ascii_lowercase();
            let plain = lower.trim_end_matches(|c: char| c.is_ascii_digit());
            let is_macos = ["macos", "osx", "darwin"].contains(&plain);
            let system = position(&SYSTEMS, if is_macos { plain } else { &lower });
            let architecture = position(&ARCHITECTURES, &lower);
            // Of `aarch64-linux-android` the last word tells.
            platform.system = system.or(platform.system);
            platform.architecture = platform.architecture.or(architecture);
            if system.is_none() && architecture.is_none() {
                if DISTRIBUTIONS.contains(&plain) {
                    platform.system = platform.system.or(Some(0));
                }
                left.push(word);
            }
        }
        let platform = Some(platform).filter(|p| p.system.is_some() || p.architecture.is_some());
        left.retain(|word| {
            let of_triple = OF_TRIPLES.contains(&word.to_ascii_lowercase().as_str());
            // A package's own number.
            let number = installer.is_some() && word.chars().all(|c| c.is_ascii_digit());
            !(platform.is_some() && of_triple || number)
        });
        Self {
            platform,
            variant: left.join("-"),
        }
    }
}

fn position(table: &[(&str, &[&str])], word: &str) -> Option<usize> {
    table.iter().position(|(_, words)| words.contains(&word))
}

/// The name before its endings, and the system that they tell.
fn without_ending(name: &str) -> (String, Option<usize>) {
    let (mut stem, mut system) = (name, None);
    loop {
        let lower = stem.to_ascii_lowercase();
        let found = ENDINGS
            .iter()
            .find(|(ending, _)| lower.len() > ending.len() && lower.ends_with(ending));
        let Some((ending, tells)) = found else {
            return (stem.to_owned(), system);
        };
        stem = &stem[..stem.len() - ending.len()];
        let tells = tells.and_then(|tells| SYSTEMS.iter().position(|(name, _)| *name == tells));
        system = system.or(tells);
    }
}

/// Takes versions out, with the `v` before them, where they are whole words.
fn without_versions(stem: &str, versions: &[&str]) -> String {
    let parts = |c: char| !c.is_ascii_alphanumeric();
    let mut versions: Vec<&str> = versions.iter().map(|v| v.trim_start_matches('v')).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.len()));
    let mut stem = stem.to_owned();
    for version in versions.into_iter().filter(|version| !version.is_empty()) {
        let mut from = 0;
        while let Some(at) = stem[from..].find(version).map(|at| from + at) {
            let end = at + version.len();
            let before = stem[..at].strip_suffix(['v', 'V']).unwrap_or(&stem[..at]);
            let whole = (before.is_empty() || before.ends_with(parts))
                && (end == stem.len() || stem[end..].starts_with(parts));
            if whole {
                from = before.len();
                stem = format!("{before}{}", &stem[end..]);
            } else {
                from = end;
            }
        }
    }
    stem
}

/// The words of a name. Numbers with points stay one, `1.2.3` is none.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_ascii_lowercase();
    let mut name = name.to_owned();
    for (at, written) in lower
        .rmatch_indices("x86_64")
        .chain(lower.rmatch_indices("x86-64"))
    {
        // Both are as long, so that what is found later is still where it was.
        name.replace_range(at..at + written.len(), "x8664 ");
    }
    let mut words = Vec::new();
    for word in name.split(['-', '_', ' ', '+', '@', ',', '(', ')']) {
        let number = word.strip_prefix(['v', 'V']).unwrap_or(word);
        let is_number = !number.is_empty()
            && number
                .split('.')
                .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        match number.matches('.').count() {
            1 if is_number => words.push(word.to_owned()),
            2.. if is_number => {}
            _ => words.extend(word.split('.').map(str::to_owned)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(name: &str, component: &str, binaries: &[&str]) -> (String, String) {
        let names: Vec<&str> = [component].into_iter().chain(binaries.to_vec()).collect();
        let named = Named::of(name, &names, &["0.1.0", "v0.2.0-rc.1"]);
        let platform = named.platform.map(|p| p.to_string());
        (platform.unwrap_or_default(), named.variant)
    }

    #[test]
    fn platform_and_variant_are_read_from_names() {
        for (name, component, platform, variant) in [
            (
                "bllvm-experimental-v0.1.0-linux-x86_64.tar.gz",
                "bllvm",
                "Linux x86_64",
                "experimental",
            ),
            (
                "bllvm-v0.1.0-linux-x86_64.tar.gz",
                "bllvm",
                "Linux x86_64",
                "",
            ),
            (
                "bllvm-0.2.0-rc.1-x86_64-pc-windows-msvc.zip",
                "bllvm",
                "Windows x86_64",
                "",
            ),
            (
                "bllvm-aarch64-apple-darwin.tar.xz",
                "bllvm",
                "macOS arm64",
                "",
            ),
            ("bllvm-macos-arm64.zip", "bllvm", "macOS arm64", ""),
            (
                "bllvm-macos14-universal2.zip",
                "bllvm",
                "macOS universal",
                "",
            ),
            (
                "bllvm-x86_64-unknown-linux-musl.tar.zst",
                "bllvm",
                "Linux x86_64",
                "musl",
            ),
            (
                "bllvm-x86_64-unknown-linux-gnu.tar.gz.sha256",
                "bllvm",
                "Linux x86_64",
                "",
            ),
            (
                "bllvm-armv7-unknown-linux-gnueabihf",
                "bllvm",
                "Linux armv7",
                "",
            ),
            ("bllvm-i686-pc-windows-gnu.exe", "bllvm", "Windows x86", ""),
            (
                "bllvm-aarch64-linux-android.tar.gz",
                "bllvm",
                "Android arm64",
                "",
            ),
            (
                "bllvm-riscv64gc-unknown-linux-gnu",
                "bllvm",
                "Linux riscv64",
                "",
            ),
            (
                "bllvm-wasm32-unknown-unknown.wasm",
                "bllvm",
                "WebAssembly",
                "",
            ),
            ("bllvm-win64.zip", "bllvm", "Windows x86_64", ""),
            ("bllvm-x86-64-linux", "bllvm", "Linux x86_64", ""),
            ("bllvm_0.1.0-1_amd64.deb", "bllvm", "Linux x86_64", ""),
            ("bllvm-0.1.0-1.x86_64.rpm", "bllvm", "Linux x86_64", ""),
            ("bllvm-0.1.0.dmg", "bllvm", "macOS", ""),
            ("bllvm-0.1.0-x64.msi", "bllvm", "Windows x86_64", ""),
            ("BLLVM.exe", "bllvm", "Windows", ""),
            (
                "bllvm-ubuntu-22.04-x86_64.tar.gz",
                "bllvm",
                "Linux x86_64",
                "ubuntu-22.04",
            ),
            ("bllvm-arm64.zip", "bllvm", "arm64", ""),
            ("bllvm-consensus-0.1.0.crate", "bllvm-consensus", "", ""),
            ("bllvm_consensus-9.9.9.crate", "bllvm-consensus", "", ""),
            ("bllvm", "bllvm", "", ""),
            ("bllvm-debug", "bllvm", "", "debug"),
            ("unknown.txt", "bllvm", "", "unknown"),
            (".exe", "bllvm", "", "exe"),
            ("", "bllvm", "", ""),
        ] {
            let want = (platform.to_owned(), variant.to_owned());
            assert_eq!(read(name, component, &[]), want, "{name}");
        }
        let tools = ["test-content-hash", "test-content-hash-standalone"];
        for name in ["test-content-hash-standalone.exe", "test-content-hash.exe"] {
            let want = ("Windows".to_owned(), String::new());
            assert_eq!(read(name, "governance-app", &tools), want, "{name}");
        }
    }

    #[test]
    fn platforms_are_in_the_order_of_the_tables() {
        let of = |name: &str| Named::of(name, &[], &[]).platform.unwrap();
        let sorted = [
            "arm64",
            "linux",
            "linux-x86_64",
            "linux-arm64",
            "macos-x64",
            "windows",
        ];
        assert!(sorted.map(of).is_sorted());
    }

    proptest! {
        #[test]
        fn every_name_is_read(name in ".{0,60}|[a-zA-Z0-9_.+@-]{0,60}", other in "[a-z0-9.-]{0,8}") {
            let named = Named::of(&name, &[&other], &[&other]);
            prop_assert!(named.variant.len() <= name.len());
        }

        #[test]
        fn what_a_name_is_made_of_is_read_back(
            component in "[a-z]{4,8}q(-[a-z]{4,8}q)?",
            variant in "[a-z]{3,8}q(-[a-z]{3,8}q)?|",
            version in prop::option::of("[0-9]{1,2}\\.[0-9]\\.[0-9]"),
            target in prop::sample::select(vec![
                ("linux-x86_64", "Linux x86_64"),
                ("x86_64-unknown-linux-gnu", "Linux x86_64"),
                ("aarch64-apple-darwin", "macOS arm64"),
                ("windows-x64", "Windows x86_64"),
                ("x86_64-pc-windows-msvc", "Windows x86_64"),
            ]),
            ending in prop::sample::select(vec!["", ".tar.gz", ".zip", ".tar.gz.sha256"]),
        ) {
            let version = version.unwrap_or_default();
            let parts = [component.as_str(), &variant, &version, target.0];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            prop_assume!(component != variant);
            let named = Named::of(&format!("{}{ending}", parts.join("-")), &[&component], &[&version]);
            prop_assert_eq!(named.platform.unwrap().to_string(), target.1);
            prop_assert_eq!(named.variant, variant);
        }
    }
}
