//! The way through an archive's bytes, in the order in which they come. What its
//! directory says of an entry is what its local header and its bytes must show.

use std::collections::VecDeque;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Entry, Method};

const SIGNATURE: [u8; 4] = *b"PK\x03\x04";
/// Bytes of a local header without name and extra field.
const HEADER: usize = 30;
const BUFFER: usize = 128 * 1024;

/// What comes along on the way.
#[derive(Debug)]
pub enum Step<'a> {
    /// An entry begins.
    Begin(&'a Entry),
    /// Some of its unpacked bytes.
    Bytes(&'a [u8]),
    /// It has ended, with the size and CRC that the directory says.
    End,
}

/// A walk through one archive.
pub struct Walk {
    ahead: VecDeque<Entry>,
    at: u64,
    place: Place,
    buffer: Vec<u8>,
}

enum Place {
    /// Before a local header, or behind the last entry.
    Between,
    /// In a local header.
    Header(Vec<u8>),
    /// In an entry's bytes.
    Data(Box<Data>),
}

struct Data {
    entry: Entry,
    packed_left: u64,
    unpacked: u64,
    crc: Crc,
    inflate: Option<Decompress>,
    ended: bool,
}

impl Walk {
    /// Through an archive of these entries, sorted by their offset.
    pub fn new(entries: Vec<Entry>) -> Self {
        Self {
            ahead: entries.into(),
            at: 0,
            place: Place::Between,
            buffer: vec![0; BUFFER],
        }
    }

    /// Takes the next bytes of the archive, and tells what they are. Each fault is the
    /// end of a sentence about the archive.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        tell: &mut impl FnMut(Step<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            let before = bytes.len();
            let place = std::mem::replace(&mut self.place, Place::Between);
            self.place = match place {
                Place::Between => self.between(&mut bytes)?,
                Place::Header(header) => self.header(header, &mut bytes, tell)?,
                Place::Data(data) => self.data(data, &mut bytes, tell)?,
            };
            self.at += (before - bytes.len()) as u64;
            self.end_if_over(tell)?;
        }
        Ok(())
    }

    /// All entries have been passed.
    pub fn finish(&self) -> Result<(), String> {
        let open = match &self.place {
            Place::Data(data) => Some(&data.entry),
            _ => self.ahead.front(),
        };
        match open {
            Some(entry) => Err(cut_short(entry)),
            None => Ok(()),
        }
    }

    fn between(&self, bytes: &mut &[u8]) -> Result<Place, String> {
        let Some(next) = self.ahead.front() else {
            *bytes = &[];
            return Ok(Place::Between);
        };
        let Some(skip) = next.offset.checked_sub(self.at) else {
            return Err(fault(next, "begins within the one before it"));
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
        *bytes = &bytes[skip..];
        Ok(if self.at + skip as u64 == next.offset {
            Place::Header(Vec::new())
        } else {
            Place::Between
        })
    }

    fn header(
        &mut self,
        mut header: Vec<u8>,
        bytes: &mut &[u8],
        tell: &mut impl FnMut(Step<'_>) -> Result<(), String>,
    ) -> Result<Place, String> {
        let Some(entry) = self.ahead.front() else {
            return Ok(Place::Between);
        };
        let number = |at: usize| -> Option<usize> {
            let pair = header.get(at..at + 2)?;
            Some(usize::from(u16::from_le_bytes([pair[0], pair[1]])))
        };
        let length = match (number(26), number(28)) {
            (Some(name), Some(extra)) => HEADER + name + extra,
            _ => HEADER,
        };
        let take = (length - header.len()).min(bytes.len());
        header.extend_from_slice(&bytes[..take]);
        *bytes = &bytes[take..];
        if header.len() < HEADER {
            return Ok(Place::Header(header));
        }
        let unlike = || fault(entry, "is not what the directory says");
        if header[..4] != SIGNATURE {
            return Err(unlike());
        }
        let number = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let (name, extra) = (number(26), number(28));
        if header.len() < HEADER + name + extra {
            return Ok(Place::Header(header));
        }
        let method = match number(8) {
            0 => Some(Method::Stored),
            8 => Some(Method::Deflated),
            _ => None,
        };
        if header[HEADER..HEADER + name] != entry.raw_name || method != Some(entry.method) {
            return Err(unlike());
        }
        let Some(entry) = self.ahead.pop_front() else {
            return Ok(Place::Between);
        };
        tell(Step::Begin(&entry))?;
        Ok(Place::Data(Box::new(Data {
            packed_left: entry.packed,
            unpacked: 0,
            crc: Crc::new(),
            inflate: (entry.method == Method::Deflated).then(|| Decompress::new(false)),
            ended: false,
            entry,
        })))
    }

    fn data(
        &mut self,
        mut data: Box<Data>,
        bytes: &mut &[u8],
        tell: &mut impl FnMut(Step<'_>) -> Result<(), String>,
    ) -> Result<Place, String> {
        let most = usize::try_from(data.packed_left).unwrap_or(usize::MAX);
        let (mut packed, rest) = bytes.split_at(most.min(bytes.len()));
        data.packed_left -= packed.len() as u64;
        *bytes = rest;
        if data.inflate.is_none() {
            data.pass(packed, tell)?;
        }
        while let Some(inflate) = &mut data.inflate {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress(packed, &mut self.buffer, FlushDecompress::None)
                .map_err(|error| fault(&data.entry, &format!("cannot be unpacked: {error}")))?;
            let read = usize::try_from(inflate.total_in() - before_in).unwrap_or(usize::MAX);
            let wrote = usize::try_from(inflate.total_out() - before_out).unwrap_or(usize::MAX);
            packed = &packed[read..];
            data.pass(&self.buffer[..wrote], tell)?;
            if status == Status::StreamEnd {
                data.inflate = None;
                data.ended = true;
                if !packed.is_empty() || data.packed_left > 0 {
                    return Err(fault(&data.entry, "has bytes behind its end"));
                }
            } else if read == 0 && wrote == 0 {
                break;
            }
        }
        Ok(Place::Data(data))
    }

    fn end_if_over(
        &mut self,
        tell: &mut impl FnMut(Step<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let Place::Data(data) = &self.place else {
            return Ok(());
        };
        if data.packed_left > 0 {
            return Ok(());
        }
        let entry = &data.entry;
        if data.inflate.is_some() || data.unpacked != entry.size {
            return Err(fault(
                entry,
                &format!("has {} bytes, not {}", data.unpacked, entry.size),
            ));
        }
        if data.crc.sum() != entry.crc32 {
            return Err(fault(entry, "has another CRC than the directory says"));
        }
        self.place = Place::Between;
        tell(Step::End)
    }
}

impl Data {
    fn pass(
        &mut self,
        bytes: &[u8],
        tell: &mut impl FnMut(Step<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.unpacked += bytes.len() as u64;
        if self.unpacked > self.entry.size {
            let size = self.entry.size;
            return Err(fault(
                &self.entry,
                &format!("has more than its {size} bytes"),
            ));
        }
        self.crc.update(bytes);
        tell(Step::Bytes(bytes))
    }
}

fn fault(entry: &Entry, what: &str) -> String {
    format!("entry '{}' {what}", entry.path.escape_default())
}

fn cut_short(entry: &Entry) -> String {
    fault(entry, "is cut short")
}
