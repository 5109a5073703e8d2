//! What any writer writes is read, and what any name hides is refused.

use std::collections::BTreeMap;
use std::io::{Cursor, Seek, Write};

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;
use zip::write::ZipWriter;

use super::directory::folded;
use super::tests::{options, walk};
use super::*;

/// A file: its bytes, how they are packed, and whether its sizes have 64 bits.
type Content = (Vec<u8>, Method, bool);

/// Names as people give them, in one case and one Unicode form, so that no two are one.
fn files() -> impl Strategy<Value = BTreeMap<String, Content>> {
    let name = "[a-z0-9日é][a-z0-9日é .+_-]{0,12}(/[a-z0-9日é][a-z0-9日é .+_-]{0,12}){0,3}";
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..70_000usize).prop_map(|(byte, size)| vec![byte; size]),
    ];
    let method = prop_oneof![Just(Method::Stored), Just(Method::Deflated)];
    prop::collection::btree_map(name, (bytes, method, any::<bool>()), 0..6)
}

fn write<W: Write + Seek>(mut writer: ZipWriter<W>, files: &BTreeMap<String, Content>) -> W {
    for (name, (bytes, method, large)) in files {
        let options = options(*method).large_file(*large);
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap()
}

/// A path with one part, or one character, that must not be there.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just(String::new()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        "[a-z]{0,3}[\\\\:\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}][a-z]{0,3}",
    ];
    let parts = || prop::collection::vec("[a-z]{1,4}", 0..3);
    (parts(), part, parts()).prop_map(|(before, part, after)| {
        let parts: Vec<String> = before.into_iter().chain([part]).chain(after).collect();
        // An empty part at the end is a folder's.
        parts.join("/")
            + if parts.last().is_some_and(String::is_empty) {
                "/"
            } else {
                ""
            }
    })
}

#[test]
fn a_letter_is_one_in_every_case_and_form() {
    for letter in ('\0'..=char::MAX).map(String::from) {
        let others: [String; 4] = [
            letter.to_lowercase(),
            letter.to_uppercase(),
            letter.nfc().collect(),
            letter.nfd().collect(),
        ];
        for other in others.iter().filter(|other| **other != letter) {
            assert_eq!(folded(&letter), folded(other), "{letter} and {other}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_writer_writes_is_read_as_it_was(files in files(), large in any::<bool>(), piece in 1..5_000usize) {
        let mut to_disk = ZipWriter::new(Cursor::new(Vec::new()));
        if large {
            // The directory's end has 64 bits then.
            to_disk.set_raw_zip64_extensible_data_sector(Box::default());
        }
        let to_disk = write(to_disk, &files).into_inner();
        let to_pipe = write(ZipWriter::new_stream(Vec::new()), &files).into_inner();
        for archive in [to_disk, to_pipe] {
            let found = walk(&archive, piece).unwrap();
            let written = files.iter().map(|(name, (bytes, ..))| (name.clone(), bytes.clone()));
            prop_assert!(found == written.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_path_with_anything_hostile_is_refused(path in hostile()) {
        prop_assert!(check_path(&path).is_err(), "{:?}", path);
    }
}
