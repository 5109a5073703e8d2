//! Zips whose numbers fit. A fuzzer that changes one byte of a whole archive has an archive
//! that is refused for a CRC, a size or a second copy of a name, and never sees what stands
//! behind these checks.

use std::io::Read as _;

use flate2::Crc;
use flate2::read::DeflateDecoder;

const DIRECTORY: &[u8; 4] = b"PK\x01\x02";
/// Bytes of a header of the directory, and of a local one, without name and the rest.
const HEADER: usize = 46;
const LOCAL: usize = 30;
/// What one entry may come to.
const MOST: u64 = 4 * 1024 * 1024;

/// Whatever looks like a header of a directory, name, kind and extra field as they are,
/// with the bytes that it points to, and numbers that fit these. None where there is none.
pub(crate) fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    let mut count: u16 = 0;
    let mut rest = data;
    while let Some(at) = rest.windows(4).position(|four| four == DIRECTORY) {
        rest = &rest[at..];
        if let Some(header) = whole(rest) {
            add(data, header, &mut archive, &mut directory)?;
            count += 1;
        }
        rest = &rest[4..];
    }
    if count == 0 {
        return None;
    }
    let begins = u32::try_from(archive.len()).ok()?;
    let size = u32::try_from(directory.len()).ok()?;
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&size.to_le_bytes());
    archive.extend_from_slice(&begins.to_le_bytes());
    archive.extend_from_slice(&[0, 0]);
    Some(archive)
}

fn short(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn long(bytes: &[u8], at: usize) -> usize {
    short(bytes, at) | short(bytes, at + 2) << 16
}

/// The header that begins here, with all that belongs to it.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let fixed = bytes.get(..HEADER)?;
    bytes.get(..HEADER + short(fixed, 28) + short(fixed, 30) + short(fixed, 32))
}

/// Adds an entry. None where the archive becomes too large.
fn add(data: &[u8], header: &[u8], archive: &mut Vec<u8>, directory: &mut Vec<u8>) -> Option<()> {
    let name = &header[HEADER..HEADER + short(header, 28)];
    let packed = packed(data, header).unwrap_or_default();
    let mut content = Vec::new();
    let method = short(header, 10);
    if method == 8 {
        // What cannot be unpacked is refused for that.
        let _ = DeflateDecoder::new(packed)
            .take(MOST)
            .read_to_end(&mut content);
    } else {
        content.extend_from_slice(packed);
    }
    let mut crc = Crc::new();
    crc.update(&content);
    let mut numbers = Vec::new();
    for number in [crc.sum() as usize, packed.len(), content.len()] {
        numbers.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
    }
    let offset = u32::try_from(archive.len()).ok()?;
    archive.extend_from_slice(b"PK\x03\x04");
    archive.extend_from_slice(&header[6..16]);
    archive.extend_from_slice(&numbers);
    archive.extend_from_slice(&header[28..30]);
    archive.extend_from_slice(&[0, 0]);
    archive.extend_from_slice(name);
    archive.extend_from_slice(packed);
    let begins = directory.len();
    directory.extend_from_slice(header);
    directory[begins + 16..begins + 28].copy_from_slice(&numbers);
    directory[begins + 42..begins + HEADER].copy_from_slice(&offset.to_le_bytes());
    Some(())
}

/// The bytes that a header points to, as many as there are.
fn packed<'a>(data: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let local = data.get(long(header, 42)..)?;
    let fixed = local.get(..LOCAL)?;
    let bytes = local.get(LOCAL + short(fixed, 26) + short(fixed, 28)..)?;
    Some(&bytes[..long(header, 20).min(bytes.len())])
}
