//! Zips as GitHub's uploaders write them: to a pipe, deflated, the sizes behind the bytes,
//! in zip64 where something is large. A file that repeats itself is packed once, and is
//! read from the disk as often as it repeats: an artifact of 5 GB needs some MB.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use commons_domain::names::Sha256;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};

/// What a field of 32 bits says where the number is in zip64's.
const ELSEWHERE: u32 = u32::MAX;
/// Sizes stand behind the bytes; names are UTF-8.
const FLAGS: u16 = 0x0808;
const DEFLATED: u16 = 8;
/// 1980-01-01, 00:00, as DOS has it.
const WHEN: u32 = 0x0021_0000;
/// An empty block, the last one.
const LAST_BLOCK: [u8; 2] = [3, 0];
const PIECE: usize = 256 * 1024;

/// A zip, and where its bytes are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Archive {
    /// What holds its bytes.
    pub file: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Bytes of what it holds, unpacked.
    pub unpacked: u64,
    /// Of its bytes.
    pub sha256: Sha256,
    stretches: Vec<Stretch>,
}

/// Bytes of the archive that stand together in its file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Stretch {
    /// Where in the archive.
    begins: u64,
    /// Where in the file.
    at: u64,
    length: u64,
}

impl Archive {
    /// Its bytes from one on, in pieces.
    pub fn pieces(&self, from: u64) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
        let file = File::open(&self.file)?;
        let behind = |stretch: &&Stretch| stretch.begins + stretch.length <= from;
        let passed = self.stretches.iter().take_while(behind).count();
        let mut stretches = self.stretches.clone().into_iter().skip(passed);
        let mut rest: Option<(u64, u64)> = stretches.next().map(|first| {
            let skip = from - first.begins;
            (first.at + skip, first.length - skip)
        });
        Ok(std::iter::from_fn(move || {
            let (at, length) = rest?;
            let mut piece = vec![0; usize::try_from(length).map_or(PIECE, |n| n.min(PIECE))];
            let taken = piece.len() as u64;
            rest = if taken < length {
                Some((at + taken, length - taken))
            } else {
                stretches.next().map(|next| (next.at, next.length))
            };
            Some(file.read_exact_at(&mut piece, at).map(|()| piece))
        }))
    }
}

/// A zip that is being written.
pub struct Packer {
    path: PathBuf,
    file: File,
    /// Bytes of the file.
    written: u64,
    /// Bytes of the archive.
    size: u64,
    stretches: Vec<Stretch>,
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    crc32: u32,
    packed: u64,
    size: u64,
    offset: u64,
}

impl Entry {
    fn is_large(&self) -> bool {
        [self.packed, self.size, self.offset]
            .iter()
            .any(|n| *n >= u64::from(ELSEWHERE))
    }
}

impl Packer {
    /// To this file.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path)?,
            written: 0,
            size: 0,
            stretches: Vec::new(),
            entries: Vec::new(),
        })
    }

    /// A file that repeats its content so many times.
    pub fn add(&mut self, name: &str, content: &[u8], times: u64) -> io::Result<()> {
        let offset = self.size;
        self.push(&local_header(name))?;
        let mut once = Crc::new();
        once.update(content);
        let mut crc = Crc::new();
        let packed = deflate(content)?;
        let stretch = self.push(&packed)?;
        crc.combine(&once);
        for _ in 1..times {
            self.again(stretch);
            crc.combine(&once);
        }
        self.push(&LAST_BLOCK)?;
        let entry = Entry {
            name: name.to_owned(),
            crc32: crc.sum(),
            packed: packed.len() as u64 * times + LAST_BLOCK.len() as u64,
            size: content.len() as u64 * times,
            offset,
        };
        self.push(&descriptor(&entry))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Writes the directory; the whole.
    pub fn finish(mut self) -> io::Result<Archive> {
        let begins = self.size;
        let headers: Vec<u8> = self.entries.iter().flat_map(directory_header).collect();
        self.push(&headers)?;
        self.push(&end(self.entries.len(), begins, self.size - begins))?;
        self.file.flush()?;
        let mut archive = Archive {
            file: self.path,
            size: self.size,
            unpacked: self.entries.iter().map(|entry| entry.size).sum(),
            sha256: Sha256::of(b""),
            stretches: self.stretches,
        };
        let mut hasher = Hasher::new();
        for piece in archive.pieces(0)? {
            hasher.update(&piece?);
        }
        archive.sha256 = Sha256::from_bytes(hasher.finalize().into());
        Ok(archive)
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<Stretch> {
        self.file.write_all(bytes)?;
        let stretch = Stretch {
            begins: self.size,
            at: self.written,
            length: bytes.len() as u64,
        };
        self.written += stretch.length;
        self.again(stretch);
        Ok(stretch)
    }

    fn again(&mut self, stretch: Stretch) {
        self.stretches.push(Stretch {
            begins: self.size,
            ..stretch
        });
        self.size += stretch.length;
    }
}

/// Blocks that end at a byte and refer to nothing before them, so that they may repeat.
fn deflate(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(6), false);
    let mut packed = Vec::with_capacity(content.len() + content.len() / 1_000 + 1_000);
    loop {
        let taken = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
        let status = compress.compress_vec(&content[taken..], &mut packed, FlushCompress::Full);
        let room = packed.len() < packed.capacity();
        match status.map_err(io::Error::other)? {
            Status::Ok | Status::BufError if room => return Ok(packed),
            _ => packed.reserve(1_000_000),
        }
    }
}

fn small(number: u64) -> [u8; 4] {
    u32::try_from(number).unwrap_or(ELSEWHERE).to_le_bytes()
}

fn count(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

fn local_header(name: &str) -> Vec<u8> {
    let mut header = b"PK\x03\x04".to_vec();
    for field in [20, FLAGS, DEFLATED] {
        header.extend(field.to_le_bytes());
    }
    header.extend(WHEN.to_le_bytes());
    // CRC and sizes: they are not known yet.
    header.extend([0; 12]);
    header.extend(count(name.len()));
    header.extend(count(0));
    header.extend(name.as_bytes());
    header
}

fn descriptor(entry: &Entry) -> Vec<u8> {
    let mut descriptor = b"PK\x07\x08".to_vec();
    descriptor.extend(entry.crc32.to_le_bytes());
    for size in [entry.packed, entry.size] {
        if entry.is_large() {
            descriptor.extend(size.to_le_bytes());
        } else {
            descriptor.extend(small(size));
        }
    }
    descriptor
}

fn directory_header(entry: &Entry) -> Vec<u8> {
    let large = entry.is_large();
    let number = |number: u64| small(if large { u64::MAX } else { number });
    let mut header = b"PK\x01\x02".to_vec();
    let version: u16 = if large { 45 } else { 20 };
    // Made on Unix.
    for field in [3 << 8 | 45, version, FLAGS, DEFLATED] {
        header.extend(field.to_le_bytes());
    }
    header.extend(WHEN.to_le_bytes());
    header.extend(entry.crc32.to_le_bytes());
    header.extend(number(entry.packed));
    header.extend(number(entry.size));
    header.extend(count(entry.name.len()));
    header.extend(count(if large { 28 } else { 0 }));
    // No comment, the first disk, no kind.
    header.extend([0; 6]);
    header.extend((0o100_644_u32 << 16).to_le_bytes());
    header.extend(number(entry.offset));
    header.extend(entry.name.as_bytes());
    if large {
        header.extend([1, 0, 24, 0]);
        for field in [entry.size, entry.packed, entry.offset] {
            header.extend(field.to_le_bytes());
        }
    }
    header
}

/// The end of the directory, with zip64's before it where it is needed.
fn end(entries: usize, begins: u64, length: u64) -> Vec<u8> {
    let mut end = Vec::new();
    if begins + length >= u64::from(ELSEWHERE) {
        end.extend(b"PK\x06\x06");
        end.extend(44_u64.to_le_bytes());
        end.extend([45, 3, 45, 0]);
        end.extend([0; 8]);
        for field in [entries as u64, entries as u64, length, begins] {
            end.extend(field.to_le_bytes());
        }
        end.extend(b"PK\x06\x07");
        end.extend([0; 4]);
        end.extend((begins + length).to_le_bytes());
        end.extend(1_u32.to_le_bytes());
    }
    end.extend(b"PK\x05\x06");
    end.extend([0; 4]);
    end.extend(count(entries));
    end.extend(count(entries));
    end.extend(small(length));
    end.extend(small(begins));
    end.extend([0; 2]);
    end
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek, SeekFrom};

    use super::*;
    use crate::content;

    /// The archive as a file that is there as a whole.
    struct Whole {
        archive: Archive,
        at: u64,
    }

    impl io::Read for Whole {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.archive.pieces(self.at)?.next() else {
                return Ok(0);
            };
            let read = piece?.as_slice().read(buffer)?;
            self.at += read as u64;
            Ok(read)
        }
    }

    impl Seek for Whole {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            let at = match to {
                SeekFrom::Start(at) => Some(at),
                SeekFrom::Current(by) => self.at.checked_add_signed(by),
                SeekFrom::End(by) => self.archive.size.checked_add_signed(by),
            };
            self.at = at.ok_or_else(|| io::Error::other("before the first byte"))?;
            Ok(self.at)
        }
    }

    #[test]
    fn what_was_packed_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut packer = Packer::new(&folder.path().join("small.zip")).unwrap();
        let (noise, text) = (content::noise(1, 700_000), content::text(2, 300_000));
        packer.add("noise.bin", &noise, 1).unwrap();
        packer.add("text.rs", &text, 3).unwrap();
        packer.add("empty", b"", 1).unwrap();
        let archive = packer.finish().unwrap();
        assert_eq!(archive.unpacked, 700_000 + 3 * 300_000);
        let bytes: Vec<u8> = archive
            .pieces(0)
            .unwrap()
            .flat_map(Result::unwrap)
            .collect();
        assert_eq!(bytes.len() as u64, archive.size);
        assert_eq!(Sha256::of(&bytes), archive.sha256);
        for from in [1, 29, 700_100, archive.size - 1, archive.size] {
            let rest: Vec<u8> = archive
                .pieces(from)
                .unwrap()
                .flat_map(Result::unwrap)
                .collect();
            assert!(rest == bytes[usize::try_from(from).unwrap()..], "{from}");
        }
        let mut zip = zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        for (name, expected) in [
            ("noise.bin", noise),
            ("text.rs", text.repeat(3)),
            ("empty", Vec::new()),
        ] {
            let mut got = Vec::new();
            // It fails where the CRC is another one.
            zip.by_name(name).unwrap().read_to_end(&mut got).unwrap();
            assert!(got == expected, "{name}");
        }
    }

    #[test]
    fn what_is_large_is_zip64() {
        let folder = tempfile::tempdir().unwrap();
        let mut packer = Packer::new(&folder.path().join("large.zip")).unwrap();
        // Text that packs to little and comes to more than 4 GiB, and a file behind it.
        packer.add("large", &vec![b'x'; 1 << 24], 300).unwrap();
        packer
            .add("noise", &content::noise(3, 1 << 20), 4_100)
            .unwrap();
        packer.add("behind", b"7", 1).unwrap();
        let archive = packer.finish().unwrap();
        assert!(archive.size > u64::from(u32::MAX));
        let mut zip = zip::ZipArchive::new(Whole { archive, at: 0 }).unwrap();
        assert_eq!(zip.by_name("large").unwrap().size(), 300 << 24);
        assert_eq!(zip.by_name("noise").unwrap().size(), 4_100 << 20);
        let mut got = Vec::new();
        zip.by_name("behind")
            .unwrap()
            .read_to_end(&mut got)
            .unwrap();
        assert_eq!(got, b"7");
    }
}
