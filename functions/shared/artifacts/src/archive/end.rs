//! The end of an archive, where its directory stands.

use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a directory's header without name, extra field and comment.
const HEADER: usize = 46;
/// Bytes of the last record without its comment.
const LAST: usize = 22;
/// Bytes of the record that says where the record of 64 bits stands.
const LOCATOR: usize = 20;

/// The end of an archive, as much of it as was read.
#[derive(Debug)]
pub struct Tail {
    bytes: Vec<u8>,
    begins: u64,
    at: u64,
    /// The first byte that was asked for and is not here.
    missing: Option<u64>,
}

impl Tail {
    /// The last bytes of an archive that has `length`.
    pub fn new(bytes: Vec<u8>, length: u64) -> Self {
        Self {
            begins: length.saturating_sub(bytes.len() as u64),
            bytes,
            at: 0,
            missing: None,
        }
    }

    /// Of the whole archive.
    pub(super) fn length(&self) -> u64 {
        self.begins + self.bytes.len() as u64
    }

    /// The first byte that was asked for and stands before what was read.
    pub(super) fn missing(&self) -> Option<u64> {
        self.missing.filter(|from| *from < self.begins)
    }

    /// Whether a directory of this many headers begins here, and nothing but its end stands
    /// behind them. Otherwise another reader, which looks for it from behind or believes
    /// another of its numbers, would find another directory.
    pub(super) fn is_directory(&self, begins: u64, headers: usize) -> bool {
        self.has_directory(begins, headers).is_some()
    }

    fn has_directory(&self, begins: u64, headers: usize) -> Option<()> {
        let from = usize::try_from(begins.checked_sub(self.begins)?).ok()?;
        let directory = self.bytes.get(from..)?;
        let mut end = directory;
        for _ in 0..headers {
            signed(end, b"PK\x01\x02")?;
            let more = number(end, 28, 2)? + number(end, 30, 2)? + number(end, 32, 2)?;
            end = end.get(HEADER + usize::try_from(more).ok()?..)?;
        }
        let size = (directory.len() - end.len()) as u64;
        let said = [headers as u64, size, begins];
        let is_large = signed(end, b"PK\x06\x06").is_some();
        if is_large {
            let record = end;
            let told = [
                number(record, 32, 8)?,
                number(record, 40, 8)?,
                number(record, 48, 8)?,
            ];
            end = end.get(usize::try_from(number(record, 4, 8)?.checked_add(12)?).ok()?..)?;
            signed(end, b"PK\x06\x07")?;
            if told != said || number(end, 8, 8)? != begins + size {
                return None;
            }
            end = end.get(LOCATOR..)?;
        }
        signed(end, b"PK\x05\x06")?;
        // What does not fit there, or need not, is all ones and told by the other record.
        for ((at, width), said) in [(10, 2), (12, 4), (16, 4)].into_iter().zip(said) {
            let told = number(end, at, width)?;
            let elsewhere = is_large && told == (1 << (8 * width)) - 1;
            if told != said && !elsewhere {
                return None;
            }
        }
        let comment = usize::try_from(number(end, 20, 2)?).ok()?;
        (end.len() == LAST + comment).then_some(())
    }
}

fn signed(bytes: &[u8], signature: &[u8; 4]) -> Option<()> {
    bytes.starts_with(signature).then_some(())
}

/// A number of this many bytes, which stands here.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.begins {
            self.missing = Some(self.missing.map_or(self.at, |first| first.min(self.at)));
            return Err(io::Error::other("more of the archive's end is needed"));
        }
        let from = usize::try_from(self.at - self.begins).unwrap_or(usize::MAX);
        let mut rest = self.bytes.get(from..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Tail {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length().checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::other("before the archive's beginning"))?;
        Ok(self.at)
    }
}
