//! Archives: a run's zip as Collect takes it, and those that are files within one.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::{Component, Path};

use bytes::Bytes;
use commons_artifacts::archive::{Directory, Entry, LIMITS, Step, Tail, Walk, read};
use commons_artifacts::intake::{self, Event, PART, Shape};
use commons_artifacts::{Member, Reader};
use commons_domain::names::Sha256;
use flate2::read::GzDecoder;
use tokio::sync::mpsc::channel;
use unicode_normalization::UnicodeNormalization as _;

use crate::sealed::sealed;

/// A file that came out: its path and its bytes.
type File = (String, Vec<u8>);

/// A zip that is taken holds what it says, under names that lead nowhere else, and as
/// another reader has it; it does not matter in which pieces it comes. Of an archive that
/// is a file, only members that are whole are told.
///
/// The bytes are read as they are, and once more as a zip whose numbers fit.
pub fn archive(data: &[u8]) {
    read_all(data);
    if let Some(data) = sealed(data) {
        read_all(&data);
    }
}

fn read_all(data: &[u8]) {
    let entries = directory(data, usize::MAX);
    let by_steps = directory(data, 22);
    assert_eq!(
        entries.as_ref().ok(),
        by_steps.as_ref().ok(),
        "read from little of its end"
    );
    match entries {
        Ok(entries) => zip_of(data, &entries),
        Err(why) => assert!(is_sentence(&why), "{why:?}"),
    }
    within(data);
}

/// The directory, from this much of the end at first, and from what is asked for then.
fn directory(data: &[u8], tail: usize) -> Result<Vec<Entry>, String> {
    let mut from = data.len().saturating_sub(tail);
    loop {
        let tail = Tail::new(data[from..].to_vec(), data.len() as u64);
        match read(tail, &LIMITS)? {
            Directory::Whole { entries, begins } => {
                assert!(begins <= data.len() as u64);
                return Ok(entries);
            }
            Directory::From(needed) => {
                assert!(needed < from as u64, "what is here was asked for");
                from = usize::try_from(needed).expect("a place in memory");
            }
        }
    }
}

fn is_sentence(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

fn zip_of(data: &[u8], entries: &[Entry]) {
    assert!(entries.len() <= LIMITS.entries);
    let total: u64 = entries.iter().map(|entry| entry.size).sum();
    assert!(total <= LIMITS.bytes && total / LIMITS.ratio <= data.len() as u64);
    for entry in entries {
        assert!(stays_within(&entry.path), "{:?}", entry.path);
        let renamed = entry.raw_name.is_ascii() && entry.raw_name != entry.path.as_bytes();
        assert!(!renamed, "{:?} has another name", entry.path);
    }
    for fold in FOLDS {
        let folded: BTreeSet<String> = entries.iter().map(|entry| fold(&entry.path)).collect();
        assert_eq!(folded.len(), entries.len(), "two names are one: {folded:?}");
    }
    let in_pieces = walk(data, entries, 7);
    match take(data, entries) {
        Ok(files) => {
            assert_eq!(Ok(&files), in_pieces.as_ref(), "it comes in pieces");
            as_another_reads(data, &files);
        }
        Err(why) => {
            assert!(is_sentence(&why), "{why:?}");
            // A file of sums that is none is a fault of no archive.
            assert!(in_pieces.is_err() || why.starts_with('\''), "{why}");
        }
    }
}

/// By what paths are on Unix and on Windows, and by what people see of them.
fn stays_within(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let bidi = ['\u{61c}', '\u{200e}', '\u{200f}'];
    parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.contains(['\\', ':'])
        && !path.contains(|c: char| c.is_control() || bidi.contains(&c))
        && !path.contains(|c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

/// How file systems that keep no case, or one Unicode form, may see a name.
const FOLDS: [fn(&str) -> String; 4] = [
    |path| path.nfc().collect(),
    |path| path.to_lowercase().nfc().collect(),
    |path| path.to_uppercase().nfc().collect(),
    |path| {
        path.nfd()
            .collect::<String>()
            .to_uppercase()
            .nfd()
            .collect()
    },
];

/// All files, as Collect takes them into the bucket.
fn take(data: &[u8], entries: &[Entry]) -> Result<Vec<File>, String> {
    let pieces: Vec<&[u8]> = data.chunks(4096).collect();
    let (send, chunks) = channel(pieces.len().max(1));
    for piece in pieces {
        send.try_send(Bytes::copy_from_slice(piece))
            .expect("there is room");
    }
    drop(send);
    // Beginning, end and last part of each, and the parts between: nobody takes them yet.
    let parts: usize = entries.iter().map(|entry| entry.size as usize / PART).sum();
    let (to, mut events) = channel(3 * entries.len() + parts + 1);
    let outcome = intake::work(Shape::Zip(entries.to_vec()), chunks, to);
    assert_eq!(outcome.size, data.len() as u64);
    assert_eq!(outcome.sha256, Sha256::of(data));
    let mut files: Vec<File> = Vec::new();
    let mut ended = 0;
    while let Some(event) = events.blocking_recv() {
        match event {
            Event::Begin { path } => files.push((path, Vec::new())),
            Event::Part(bytes, sha256) => {
                assert_eq!(sha256, Sha256::of(&bytes));
                files
                    .last_mut()
                    .expect("a file")
                    .1
                    .extend_from_slice(&bytes);
            }
            Event::End(file) => {
                let (path, bytes) = files.last().expect("a file");
                assert_eq!((&file.path, file.size), (path, bytes.len() as u64));
                assert_eq!(
                    (file.size, &file.path),
                    (entries[ended].size, &entries[ended].path)
                );
                assert_eq!(file.sha256, Sha256::of(bytes));
                ended += 1;
            }
        }
    }
    match outcome.fault {
        Some(why) => Err(why),
        None => {
            assert_eq!((ended, files.len()), (entries.len(), entries.len()));
            Ok(files)
        }
    }
}

/// All files, where the archive comes in pieces of this size.
fn walk(data: &[u8], entries: &[Entry], piece: usize) -> Result<Vec<File>, String> {
    let mut walk = Walk::new(entries.to_vec());
    let mut files: Vec<File> = Vec::new();
    for bytes in data.chunks(piece) {
        walk.feed(bytes, &mut |step| {
            match step {
                Step::Begin(entry) => files.push((entry.path.clone(), Vec::new())),
                Step::Bytes(bytes) => {
                    files.last_mut().expect("a file").1.extend_from_slice(bytes);
                }
                Step::End => {}
            }
            Ok(())
        })?;
    }
    walk.finish()?;
    Ok(files)
}

/// Whoever unpacks the archive with another reader finds the same files.
fn as_another_reads(data: &[u8], files: &[File]) {
    let Ok(mut other) = zip::ZipArchive::new(Cursor::new(data)) else {
        return;
    };
    let mut found = BTreeSet::new();
    for index in 0..other.len() {
        let Ok(mut entry) = other.by_index(index) else {
            return;
        };
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().expect("a name").into_owned();
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes).is_ok() {
            let file = files.iter().find(|(path, _)| *path == name);
            let (_, ours) = file.expect("a file that another reader finds");
            assert!(*ours == bytes, "{name} has other bytes");
        }
        found.insert(name);
    }
    assert_eq!(found.len(), files.len());
}

/// The archive as a file of a run's zip: what is within is looked at.
fn within(data: &[u8]) {
    let (name, whole) = match data {
        [b'P', b'K', ..] => ("x.zip", whole_of_zip(data)),
        [0x1f, 0x8b, ..] => ("x.tar.gz", whole_of_tar(GzDecoder::new(data))),
        _ => ("x.tar", whole_of_tar(data)),
    };
    let reader = Reader::of(name).expect("an archive's name");
    for chunk in data.chunks(1000) {
        reader.pass(chunk);
    }
    for Member { path, sha256 } in reader.finish().expect("room on the disk") {
        let told = whole.contains(&(path.clone(), sha256));
        assert!(told, "{path} is not whole");
    }
}

fn whole_of_tar(from: impl Read) -> Vec<(String, Sha256)> {
    let mut archive = tar::Archive::new(from);
    let mut whole = Vec::new();
    let entries = archive.entries().expect("the beginning");
    for mut entry in entries.map_while(Result::ok) {
        let Ok(path) = entry.path().map(|path| path.to_string_lossy().into_owned()) else {
            continue;
        };
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes).is_ok() && bytes.len() as u64 == entry.size() {
            whole.push((path, Sha256::of(&bytes)));
        }
    }
    whole
}

fn whole_of_zip(data: &[u8]) -> Vec<(String, Sha256)> {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(data)) else {
        return Vec::new();
    };
    let mut whole = Vec::new();
    for index in 0..archive.len() {
        let Ok(mut entry) = archive.by_index(index) else {
            continue;
        };
        let Ok(path) = entry.name().map(|name| name.into_owned()) else {
            continue;
        };
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes).is_ok() && bytes.len() as u64 == entry.size() {
            whole.push((path, Sha256::of(&bytes)));
        }
    }
    whole
}
