//! What is within an archive that stays as it is: the names and sums of its files. It is
//! read while it passes, by a thread of its own.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use commons_domain::names::Sha256;
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::LIMITS;

/// Files that are told of one archive at most, and their bytes: more are not looked at.
const MOST_MEMBERS: usize = 20_000;
const MOST_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// Bytes of a tarball between two files: headers, long names, extensions.
const MOST_BETWEEN: u64 = 1024 * 1024;
/// Chunks between the walk and the reader.
const AHEAD: usize = 8;

/// One file within an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path there.
    pub path: String,
    /// Of its bytes.
    pub sha256: Sha256,
}

/// Reads one archive as it passes.
pub struct Reader {
    to: SyncSender<Bytes>,
    thread: JoinHandle<io::Result<Vec<Member>>>,
}

impl Reader {
    /// For a file of this name; none where the name is no archive's.
    pub fn of(name: &str) -> Option<Self> {
        Self::through(name, tempfile::tempfile)
    }

    /// What has to be on a disk goes through such a file.
    fn through(name: &str, disk: fn() -> io::Result<File>) -> Option<Self> {
        let kind = Kind::of(name)?;
        let (to, chunks) = sync_channel(AHEAD);
        let thread = std::thread::spawn(move || {
            let mut from = Pipe {
                chunks,
                chunk: Bytes::new(),
            };
            let members = kind.members(&mut from, disk);
            // Whoever writes must not wait for a reader that has seen enough.
            while from.chunks.recv().is_ok() {}
            members
        });
        Some(Self { to, thread })
    }

    /// The next bytes of the file.
    pub fn pass(&self, bytes: &[u8]) {
        // The reader is there until this is dropped, unless it panicked: then it has
        // nothing to tell.
        let _ = self.to.send(Bytes::copy_from_slice(bytes));
    }

    /// The files within, when all bytes have passed. What is no archive has none; an error
    /// is the disk's.
    pub fn finish(self) -> io::Result<Vec<Member>> {
        drop(self.to);
        let panicked = |_| Err(io::Error::other("the reader panicked"));
        self.thread.join().unwrap_or_else(panicked)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Tar,
    TarGz,
    Zip,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        let is = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if is(&[".tar.gz", ".tgz"]) {
            Some(Self::TarGz)
        } else if is(&[".tar"]) {
            Some(Self::Tar)
        } else if is(&[".zip"]) {
            Some(Self::Zip)
        } else {
            None
        }
    }

    fn members(self, from: &mut Pipe, disk: fn() -> io::Result<File>) -> io::Result<Vec<Member>> {
        Ok(match self {
            Self::Tar => of_tar(from),
            Self::TarGz => of_tar(GzDecoder::new(from)),
            Self::Zip => {
                // A zip's directory is at its end.
                let mut file = disk()?;
                io::copy(from, &mut file)?;
                file.flush()?;
                of_zip(file).unwrap_or_default()
            }
        })
    }
}

fn of_tar(from: impl Read) -> Vec<Member> {
    let room = Cell::new(0);
    let mut archive = tar::Archive::new(Within { from, room: &room });
    let mut members = Vec::new();
    let Ok(mut entries) = archive.entries() else {
        return members;
    };
    let mut left = MOST_BYTES;
    // The bytes of an entry that is no file, which are passed over on the way to the next.
    let mut passed_over = 0;
    for _ in 0..MOST_MEMBERS {
        room.set(MOST_BETWEEN + passed_over);
        let Some(Ok(mut entry)) = entries.next() else {
            break;
        };
        if !entry.header().entry_type().is_file() {
            passed_over = entry.header().entry_size().unwrap_or(u64::MAX);
            match left.checked_sub(passed_over) {
                Some(rest) => left = rest,
                None => break,
            }
            continue;
        }
        passed_over = 0;
        room.set(u64::MAX);
        let size = entry.size();
        let Ok(Some(sha256)) = sum(&mut entry, size, &mut left) else {
            break;
        };
        if let Ok(path) = entry.path() {
            let path = path.to_string_lossy().into_owned();
            members.push(Member { path, sha256 });
        }
    }
    members
}

/// Its directory is at its end: no more of it is kept in memory than that may have.
fn of_zip(mut file: File) -> io::Result<Vec<Member>> {
    let length = file.seek(SeekFrom::End(0))?;
    let begins = Cell::new(length.saturating_sub(LIMITS.directory));
    let end = End {
        file,
        begins: &begins,
    };
    let mut archive = zip::ZipArchive::new(end).map_err(io::Error::other)?;
    begins.set(0);
    let mut members = Vec::new();
    let mut left = MOST_BYTES;
    for index in 0..archive.len().min(MOST_MEMBERS) {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        if !entry.is_file() {
            continue;
        }
        let path = entry.name().map_err(io::Error::other)?.into_owned();
        let size = entry.size();
        let Some(sha256) = sum(&mut entry, size, &mut left)? else {
            break;
        };
        members.push(Member { path, sha256 });
    }
    Ok(members)
}

/// The sum of all bytes, if they are as many as is said, and no more than are left.
fn sum(from: &mut impl Read, size: u64, left: &mut u64) -> io::Result<Option<Sha256>> {
    if size > *left {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut got = 0;
    loop {
        let read = from.read(&mut buffer)?;
        got += read as u64;
        if got > size {
            return Ok(None);
        }
        if read == 0 {
            *left -= got;
            let sum = Sha256::from_bytes(hasher.finalize().into());
            return Ok((got == size).then_some(sum));
        }
        hasher.update(&buffer[..read]);
    }
}

/// A tarball of which no more is read than there is room for: what stands between its
/// files, long names above all, is kept in memory.
struct Within<'a, R> {
    from: R,
    room: &'a Cell<u64>,
}

impl<R: Read> Read for Within<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room.get();
        if room == 0 {
            return Err(io::Error::other("too much between two files"));
        }
        let most = usize::try_from(room).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let read = self.from.read(&mut buffer[..most])?;
        self.room.set(room - read as u64);
        Ok(read)
    }
}

/// A zip that is read from here on: its directory is kept in memory.
struct End<'a> {
    file: File,
    begins: &'a Cell<u64>,
}

impl Read for End<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.file.stream_position()? < self.begins.get() {
            return Err(io::Error::other("the directory is too large"));
        }
        self.file.read(buffer)
    }
}

impl Seek for End<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

struct Pipe {
    chunks: Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.chunks.recv() {
                Ok(chunk) => self.chunk = chunk,
                Err(_) => return Ok(0),
            }
        }
        let n = self.chunk.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn members(name: &str, bytes: &[u8]) -> Vec<String> {
        let reader = Reader::of(name).unwrap();
        for chunk in bytes.chunks(1_000) {
            reader.pass(chunk);
        }
        let members = reader.finish().unwrap();
        for member in &members {
            assert_eq!(member.sha256, Sha256::of(b"content"), "{}", member.path);
        }
        members.into_iter().map(|member| member.path).collect()
    }

    fn tar() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for path in ["dir/bllvm", "README"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(7);
            header.set_cksum();
            tar.append_data(&mut header, path, &b"content"[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn the_files_of_a_tarball_are_told() {
        assert_eq!(members("x.tar", &tar()), ["dir/bllvm", "README"]);
        let packed = gzip(&tar());
        assert_eq!(members("x.tar.gz", &packed), ["dir/bllvm", "README"]);
    }

    #[test]
    fn the_files_of_a_zip_are_told() {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("dir/bllvm", options).unwrap();
        zip.write_all(b"content").unwrap();
        let zip = zip.finish().unwrap().into_inner();
        assert_eq!(members("x.zip", &zip), ["dir/bllvm"]);
    }

    #[test]
    fn a_disk_that_is_full_is_told() {
        let full = || File::options().write(true).open("/dev/full");
        let reader = Reader::through("x.zip", full).unwrap();
        for _ in 0..100 {
            reader.pass(&[7; 10_000]);
        }
        let error = reader.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_is_no_archive_or_broken_has_none_and_holds_nobody_up() {
        assert!(Reader::of("x.txt").is_none());
        let noise = vec![7; 100_000];
        for name in ["x.tar", "x.tar.gz", "x.zip"] {
            assert!(members(name, &noise).is_empty(), "{name}");
            assert!(members(name, &[]).is_empty(), "{name}");
        }
        let half = gzip(&tar());
        assert!(members("x.tar.gz", &half[..half.len() / 2]).len() < 2);
    }

    #[test]
    fn a_member_that_is_not_whole_is_not_told() {
        let tar = tar();
        // A header, and 3 of 7 bytes.
        assert!(members("x.tar", &tar[..515]).is_empty());
        assert_eq!(members("x.tar", &tar[..519]), ["dir/bllvm"]);
        let mut left = 10;
        assert_eq!(
            sum(&mut &b"content"[..], 7, &mut left).unwrap(),
            Some(Sha256::of(b"content"))
        );
        assert_eq!(left, 3);
        for said in [6, 8] {
            assert_eq!(sum(&mut &b"content"[..], said, &mut 10).unwrap(), None);
        }
        assert_eq!(sum(&mut &b"content"[..], 7, &mut 6).unwrap(), None);
    }

    #[test]
    fn a_name_that_is_a_bomb_is_not_unpacked() {
        for (kind, is_told) in [(b'L', false), (b'x', false), (b'5', true)] {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            let size = 4 * MOST_BETWEEN;
            header.set_entry_type(tar::EntryType::new(kind));
            header.set_size(size);
            header.set_cksum();
            tar.append(&header, std::io::repeat(b'a').take(size))
                .unwrap();
            let mut header = tar::Header::new_gnu();
            header.set_size(7);
            tar.append_data(&mut header, "bllvm", &b"content"[..])
                .unwrap();
            let packed = gzip(&tar.into_inner().unwrap());
            assert_eq!(!members("x.tar.gz", &packed).is_empty(), is_told, "{kind}");
        }
    }

    #[test]
    fn a_directory_that_is_a_bomb_is_not_read() {
        // Each header has 46 bytes and its name.
        let most = LIMITS.directory as usize / 60_046;
        for (files, told) in [(most, most), (most + 1, 0)] {
            let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
            for n in 0..files {
                let options = zip::write::SimpleFileOptions::default();
                zip.start_file(format!("{n:060000}"), options).unwrap();
                zip.write_all(b"content").unwrap();
            }
            let zip = zip.finish().unwrap().into_inner();
            assert_eq!(members("x.zip", &zip).len(), told);
        }
    }
}
