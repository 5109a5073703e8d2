//! What the fuzzer has kept is read once more by every run of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fuzzed::TARGETS;

/// A reader's own thread may panic too, and its reader goes on without it.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz")
        .join(path)
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect()
}

#[test]
fn what_was_kept_breaks_no_reader() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::Relaxed);
        usual(info);
    }));
    for (name, target) in TARGETS {
        let folder = format!("corpus/{name}");
        let kept = names(&folder);
        assert!(!kept.is_empty(), "{folder} is empty");
        for input in kept {
            let path = fuzz(&folder).join(&input);
            target(&fs::read(path).unwrap());
            assert!(!PANICKED.load(Ordering::Relaxed), "{folder}/{input}");
        }
    }
}

#[test]
fn every_reader_has_its_fuzz_target_and_nothing_else_has_one() {
    let all: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), all);
    let files = all.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names("fuzz_targets"), files);
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for name in all {
        let text = fs::read_to_string(fuzz(&format!("fuzz_targets/{name}.rs"))).unwrap();
        let call = format!("libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::{name}(data));\n");
        assert!(text.ends_with(&call), "{name}: {text}");
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
    }
}
