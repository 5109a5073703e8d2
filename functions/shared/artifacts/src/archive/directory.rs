//! The central directory of a zip: what it holds and where, known before its bytes are
//! walked through. It stands at the end, so that the end is read first.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use zip::CompressionMethod;
use zip::read::{ArchiveOffset, Config};

use super::Tail;

/// What an archive may come to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    pub entries: usize,
    /// Unpacked bytes of all entries.
    pub bytes: u64,
    /// Unpacked bytes of an entry per packed byte. Deflate reaches 1,032.
    pub ratio: u64,
    /// Bytes of the directory itself.
    pub directory: u64,
}

/// What GitHub's artifacts are within.
pub const LIMITS: Limits = Limits {
    entries: 10_000,
    bytes: 64 * 1024 * 1024 * 1024,
    ratio: 1_100,
    directory: 16 * 1024 * 1024,
};

/// How an entry's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As they are.
    Stored,
    /// Deflate.
    Deflated,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive.
    pub path: String,
    /// The same, as its header has it.
    pub raw_name: Vec<u8>,
    /// How it is packed.
    pub method: Method,
    /// Of its unpacked bytes.
    pub crc32: u32,
    /// Packed bytes.
    pub packed: u64,
    /// Unpacked bytes.
    pub size: u64,
    /// Where its local header stands.
    pub offset: u64,
}

/// What the end of an archive tells.
#[derive(Debug)]
pub enum Directory {
    /// Its files, in the order in which they stand, and where the directory begins.
    Whole {
        /// The files.
        entries: Vec<Entry>,
        /// Behind the last of them.
        begins: u64,
    },
    /// It begins before what was read: read from here.
    From(u64),
}

/// Reads the directory; each fault is the end of a sentence about the archive.
pub fn read(mut tail: Tail, limits: &Limits) -> Result<Directory, String> {
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let length = tail.length();
    let archive = match zip::ZipArchive::with_config(config, &mut tail) {
        Ok(archive) => archive,
        Err(error) => {
            let Some(from) = tail.missing() else {
                return Err(format!("is no readable zip: {error}"));
            };
            return if length - from > limits.directory {
                Err(format!(
                    "has a directory of more than {} bytes",
                    limits.directory
                ))
            } else {
                Ok(Directory::From(from))
            };
        }
    };
    let known = archive.metadata();
    if known.has_duplicate_names() {
        return Err("has two entries of one name".into());
    }
    if known.len() > limits.entries {
        return Err(format!(
            "has {} entries, more than {}",
            known.len(),
            limits.entries
        ));
    }
    let begins = archive.central_directory_start();
    if !archive.into_inner().is_directory(begins, known.len()) {
        return Err("does not end with its directory".into());
    }
    let mut names = BTreeSet::new();
    let mut total: u64 = 0;
    let mut entries = Vec::new();
    let mut spans = Vec::new();
    for index in 0..known.len() {
        let entry = known
            .entry(index)
            .map_err(|error| format!("entry {index}: {error}"))?;
        let path = entry
            .name()
            .map_err(|error| format!("entry {index}: {error}"))?
            .into_owned();
        let shown = path.escape_default().to_string();
        let refuse = |why: String| Err(format!("entry '{shown}' {why}"));
        if let Err(why) = check_path(&path) {
            return refuse(why.into());
        }
        // By type, whatever the file systems of those who unpack it would make of it.
        let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
        if entry.is_symlink() || !matches!(kind, 0 | 0o100_000 | 0o040_000) {
            return refuse("is a link or a device".into());
        }
        if entry.encrypted() {
            return refuse("is encrypted".into());
        }
        if !names.insert(folded(&path)) {
            return refuse("is there twice, but for case or Unicode form".into());
        }
        let method = match entry.compression() {
            CompressionMethod::Stored => Method::Stored,
            CompressionMethod::Deflated => Method::Deflated,
            other => return refuse(format!("is packed by {other}")),
        };
        let (packed, size) = (entry.compressed_size(), entry.size());
        if method == Method::Stored && packed != size {
            return refuse("is stored, and has two sizes".into());
        }
        if size / limits.ratio > packed {
            return refuse(format!("unpacks {packed} bytes to {size}"));
        }
        total = total.saturating_add(size);
        if total > limits.bytes {
            return Err(format!("unpacks to more than {} bytes", limits.bytes));
        }
        let offset = entry.header_start();
        // The local header has 30 bytes at least, and the name once more.
        let least = 30 + entry.name_raw().len() as u64 + packed;
        spans.push((offset, offset.saturating_add(least), shown.clone()));
        if entry.is_dir() {
            if size > 0 {
                return refuse("is a folder with bytes".into());
            }
            continue;
        }
        entries.push(Entry {
            path,
            raw_name: entry.name_raw().to_vec(),
            method,
            crc32: entry.crc32(),
            packed,
            size,
            offset,
        });
    }
    spans.sort();
    for pair in spans.windows(2) {
        if pair[0].1 > pair[1].0 {
            return Err(format!("entry '{}' overlaps '{}'", pair[0].2, pair[1].2));
        }
    }
    if let Some((_, end, path)) = spans.last().filter(|(_, end, _)| *end > begins) {
        return Err(format!(
            "entry '{path}' ends at {end}, behind {begins}, where the directory begins"
        ));
    }
    entries.sort_by_key(|entry| entry.offset);
    Ok(Directory::Whole { entries, begins })
}

/// A path that stays within its archive and that people can read.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() || path.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err("has characters that do not show");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains(':') {
        return Err("is no relative path");
    }
    let folder = path.strip_suffix('/').unwrap_or(path);
    if folder
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("leads elsewhere");
    }
    Ok(())
}

/// What a path is to people and file systems that know neither case nor Unicode form.
/// Lower case alone is not enough: `ς` and `σ` are one letter, and so are `ß` and `ss`.
pub(super) fn folded(path: &str) -> String {
    let path = path.trim_end_matches('/').nfd();
    let seen: String = path.filter(|c| !is_variation(*c)).collect();
    let folded = seen.to_lowercase().to_uppercase().to_lowercase();
    folded.nfd().collect()
}

/// Marks of direction and what has no width: two names would look the same. These are
/// Unicode's `Default_Ignorable_Code_Point` but for variations, and what breaks lines.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}')
}

/// Which form of the character before it is meant, as of an emoji: it may be there, and
/// makes no other name.
fn is_variation(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}
