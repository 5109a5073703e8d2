use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;

pub(super) fn options(method: Method) -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(match method {
        Method::Stored => CompressionMethod::Stored,
        Method::Deflated => CompressionMethod::Deflated,
    })
}

fn zip(files: &[(&str, Method, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, method, bytes) in files {
        writer.start_file(*name, options(*method)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// As GitHub's uploaders write it: to a pipe, with data descriptors.
fn streamed(files: &[(&str, Method, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new_stream(Vec::new());
    for (name, method, bytes) in files {
        let large = options(*method).large_file(true);
        writer.start_file(*name, large).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The directory, from as little of the end as one asks for at a time.
fn directory(archive: &[u8], tail: usize, limits: &Limits) -> Result<Vec<Entry>, String> {
    let mut from = archive.len().saturating_sub(tail);
    loop {
        let tail = Tail::new(archive[from..].to_vec(), archive.len() as u64);
        match read(tail, limits)? {
            Directory::Whole { entries, .. } => return Ok(entries),
            Directory::From(needed) => {
                assert!(needed < from as u64, "it must begin earlier");
                from = usize::try_from(needed).unwrap();
            }
        }
    }
}

/// Every file, its bytes put together; fed in pieces of this size.
pub(super) fn walk(archive: &[u8], piece: usize) -> Result<Vec<(String, Vec<u8>)>, String> {
    let entries = directory(archive, 64, &LIMITS)?;
    through(archive, entries, piece)
}

fn through(
    archive: &[u8],
    entries: Vec<Entry>,
    piece: usize,
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut walk = Walk::new(entries);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    let mut open = false;
    for bytes in archive.chunks(piece) {
        walk.feed(bytes, &mut |step| {
            match step {
                Step::Begin(entry) => {
                    assert!(!open);
                    open = true;
                    files.push((entry.path.clone(), Vec::new()));
                }
                Step::Bytes(bytes) => files.last_mut().unwrap().1.extend_from_slice(bytes),
                Step::End => open = false,
            }
            Ok(())
        })?;
    }
    walk.finish()?;
    assert!(!open);
    Ok(files)
}

fn refusal(archive: &[u8]) -> String {
    walk(archive, 7).unwrap_err()
}

fn named(name: &str) -> String {
    refusal(&zip(&[(name, Method::Stored, b"1")]))
}

/// The bytes of the first that are the second's become the third's.
fn replace(archive: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = archive.windows(from.len()).position(|w| w == from).unwrap();
    let mut changed = archive.to_vec();
    changed[at..at + from.len()].copy_from_slice(to);
    changed
}

#[test]
fn files_come_out_as_they_went_in_however_they_were_written() {
    let text = "a line that repeats itself\n".repeat(20_000);
    let files: [(&str, Method, &[u8]); 5] = [
        ("dir/deflated", Method::Deflated, text.as_bytes()),
        ("empty", Method::Stored, b""),
        ("nothing", Method::Deflated, b""),
        ("stored", Method::Stored, b"PK\x03\x04 is no header here"),
        ("ünï", Method::Deflated, b"2"),
    ];
    for archive in [zip(&files), streamed(&files)] {
        for piece in [1, 33, 4096, usize::MAX] {
            let found = walk(&archive, piece).unwrap();
            assert_eq!(found.len(), files.len());
            for (name, _, bytes) in &files {
                let file = found.iter().find(|(path, _)| path == name).unwrap();
                assert!(file.1 == *bytes, "{name}");
            }
        }
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for (name, why) in [
        ("../x", "leads elsewhere"),
        ("a/../../x", "leads elsewhere"),
        ("a//x", "leads elsewhere"),
        ("./x", "leads elsewhere"),
        ("/etc/x", "is no relative path"),
        ("c:x", "is no relative path"),
        ("\\\\host\\share\\x", "is no relative path"),
        ("a\\b", "is no relative path"),
        ("a\u{202e}b", "characters that do not show"),
        ("a\u{200b}b", "characters that do not show"),
        ("a\u{3164}b", "characters that do not show"),
        ("a\nb", "characters that do not show"),
    ] {
        let refusal = named(name);
        assert!(refusal.contains(why), "{name:?}: {refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
    }
}

#[test]
fn names_that_are_the_same_to_somebody_are_refused() {
    for (one, other) in [
        ("A", "a"),
        ("\u{e9}", "e\u{301}"),
        ("x", "x/"),
        ("\u{3c2}", "\u{3c3}"),
        ("stra\u{df}e", "STRASSE"),
        ("J\u{30c}", "\u{1f0}"),
        ("\u{2764}", "\u{2764}\u{fe0f}"),
    ] {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for name in [one, other] {
            match name.strip_suffix('/') {
                Some(folder) => writer.add_directory(folder, SimpleFileOptions::default()),
                None => writer.start_file(name, SimpleFileOptions::default()),
            }
            .unwrap();
        }
        let archive = writer.finish().unwrap().into_inner();
        let refusal = refusal(&archive);
        assert!(refusal.contains("is there twice"), "{refusal}");
    }
    let twice = zip(&[("x1", Method::Stored, b"1"), ("x2", Method::Stored, b"2")]);
    let twice = replace(&replace(&twice, b"x2", b"x1"), b"x2", b"x1");
    assert!(refusal(&twice).contains("two entries of one name"));
}

#[test]
fn links_devices_and_what_is_encrypted_are_refused() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .add_symlink("link", "/etc/passwd", SimpleFileOptions::default())
        .unwrap();
    let link = writer.finish().unwrap().into_inner();
    assert!(refusal(&link).contains("is a link or a device"));
    let plain = zip(&[("x", Method::Stored, b"1")]);
    // The general purpose bits of the directory's header.
    let at = plain.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let mut encrypted = plain.clone();
    encrypted[at + 8] |= 1;
    assert!(refusal(&encrypted).contains("is encrypted"));
    let mut device = plain;
    // Made on Unix, a character device.
    device[at + 5] = 3;
    device[at + 38..at + 42].copy_from_slice(&(0o020_644_u32 << 16).to_le_bytes());
    assert!(refusal(&device).contains("is a link or a device"));
}

#[test]
fn bombs_are_refused_before_they_are_walked_through() {
    let zeros = zip(&[("x", Method::Deflated, &[0; 2_000_000])]);
    let with = |limits| directory(&zeros, 64, &limits).unwrap_err();
    let ratio = Limits {
        ratio: 100,
        ..LIMITS
    };
    assert!(with(ratio).contains("unpacks"), "{}", with(ratio));
    let bytes = Limits {
        bytes: 1_000_000,
        ..LIMITS
    };
    assert!(with(bytes).contains("unpacks to more than 1000000 bytes"));
    let two = zip(&[("x", Method::Stored, b"1"), ("y", Method::Stored, b"1")]);
    let entries = Limits {
        entries: 1,
        ..LIMITS
    };
    let refusal = directory(&two, 64, &entries).unwrap_err();
    assert!(refusal.contains("has 2 entries, more than 1"), "{refusal}");
    let small = Limits {
        directory: 60,
        ..LIMITS
    };
    let refusal = directory(&two, 22, &small).unwrap_err();
    assert!(
        refusal.contains("directory of more than 60 bytes"),
        "{refusal}"
    );
}

#[test]
fn lying_headers_and_sizes_are_refused() {
    let content = b"the content of it".repeat(100);
    let good = zip(&[
        ("x", Method::Deflated, &content),
        ("y", Method::Stored, b"1"),
    ]);
    let entries = directory(&good, 64, &LIMITS).unwrap();
    let with = |change: fn(&mut Entry)| {
        let mut entries = entries.clone();
        change(&mut entries[0]);
        through(&good, entries, 50).unwrap_err()
    };
    assert!(with(|e| e.size -= 1).contains("has more than its"));
    assert!(with(|e| e.size += 1).contains("bytes, not"));
    assert!(with(|e| e.packed -= 1).contains("bytes, not"));
    assert!(with(|e| e.packed += 1).contains("has bytes behind its end"));
    assert!(with(|e| e.crc32 ^= 1).contains("another CRC"));
    assert!(with(|e| e.raw_name = b"z".to_vec()).contains("is not what the directory says"));
    assert!(with(|e| e.method = Method::Stored).contains("is not what the directory says"));
    assert!(with(|e| e.offset += 1).contains("is not what the directory says"));
}

#[test]
fn what_is_cut_short_or_no_zip_is_refused() {
    let content = b"the content of it".repeat(1_000);
    let whole = zip(&[("x", Method::Stored, &content)]);
    let entries = directory(&whole, 64, &LIMITS).unwrap();
    let error = through(&whole[..5_000], entries, 100).unwrap_err();
    assert!(error.contains("entry 'x' is cut short"), "{error}");
    assert!(refusal(&whole[..5_000]).contains("is no readable zip"));
    assert!(refusal(b"not a zip at all").contains("is no readable zip"));
    assert!(directory(&[], 64, &LIMITS).is_err());
}

#[test]
fn entries_that_overlap_are_refused() {
    let archive = zip(&[("x", Method::Stored, b"123"), ("y", Method::Stored, b"456")]);
    // The second header of the directory points into the first entry.
    let second = archive
        .windows(4)
        .rposition(|w| w == b"PK\x01\x02")
        .unwrap();
    let mut overlapping = archive;
    overlapping[second + 42..second + 46].copy_from_slice(&10_u32.to_le_bytes());
    let refusal = refusal(&overlapping);
    assert!(refusal.contains("overlaps"), "{refusal}");
}

#[test]
fn what_another_reader_would_read_otherwise_is_refused() {
    let one = zip(&[("a", Method::Stored, b"1")]);
    let other = zip(&[("b", Method::Stored, b"2")]);
    let more = zip(&[("a", Method::Stored, b"1"), ("b", Method::Stored, b"2")]);
    assert_eq!(walk(&one, 7).unwrap().len(), 1);
    let behind = [&one[..], b"more"].concat();
    // The second directory says where it stands in its own archive: there stands the first.
    let twice = [&one[..], &other].concat();
    // The end counts one of two headers.
    let end = more.len() - 22;
    let mut fewer = more;
    fewer[end + 8] = 1;
    fewer[end + 10] = 1;
    for archive in [behind, twice, fewer] {
        let refusal = refusal(&archive);
        assert!(
            refusal.contains("does not end with its directory"),
            "{refusal}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_walked_through_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = walk(&bytes, 64);
    }

    #[test]
    fn a_changed_byte_is_noticed_or_harmless(at in any::<prop::sample::Index>(), to in any::<u8>(), piece in 1usize..200) {
        let content = b"some content that is long enough to be packed, and packed, and packed".repeat(3);
        let files: [(&str, Method, &[u8]); 2] = [("a", Method::Deflated, &content), ("b", Method::Stored, &content)];
        let mut archive = streamed(&files);
        let at = at.index(archive.len());
        archive[at] = to;
        if let Ok(found) = walk(&archive, piece) {
            for (_, bytes) in found {
                prop_assert!(bytes == content);
            }
        }
    }
}
