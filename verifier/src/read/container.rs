//! The one deterministic zip of the spec: reads it, and rebuilds it to compare; it unpacks nothing to disk.

use crate::error::{Flaw, flaw};
use std::sync::LazyLock;

/// One file inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    pub(crate) name: &'a str,
    pub(crate) content: &'a [u8],
}

/// Walks the local records from the first byte on and takes names and contents, believing no other field.
pub(crate) fn open(bytes: &[u8]) -> Result<Vec<File<'_>>, Flaw> {
    let mut files = Vec::new();
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(LOCAL_MAGIC) {
        if files.len() == FILES_MAX {
            return flaw(format!("more than {FILES_MAX} files"));
        }
        let cut = || Flaw(format!("the container ends within file {}", files.len() + 1));
        let (fixed, after) = after.split_at_checked(LOCAL_FIXED_LEN).ok_or_else(cut)?;
        let size =
            fixed.get(14..18).and_then(|b| b.first_chunk()).map_or(u32::MAX, |b| u32::from_le_bytes(*b));
        let name_len = fixed.get(22..24).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b));
        let (name, after) = after.split_at_checked(usize::from(name_len)).ok_or_else(cut)?;
        let (content, after) =
            usize::try_from(size).ok().and_then(|size| after.split_at_checked(size)).ok_or_else(cut)?;
        let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_file_name(name)) else {
            return flaw(format!("file {} has no proper name", files.len() + 1));
        };
        if files.last().is_some_and(|before: &File<'_>| before.name >= name) {
            return flaw(format!("file `{name}` is not in ascending order of names"));
        }
        files.push(File { name, content });
        rest = after;
    }
    if files.is_empty() {
        return flaw("not a container: it does not begin with the record of a file");
    }
    Ok(files)
}

/// Rebuilds the container from names and contents and compares it with the bytes at hand.
pub(crate) fn must_equal(files: &[File<'_>], bytes: &[u8]) -> Result<(), Flaw> {
    let mut twin = Twin { bytes, at: 0 };
    let mut directory = Vec::new();
    for file in files {
        let offset = four(twin.at)?;
        let size = four(file.content.len())?;
        let name_len =
            u16::try_from(file.name.len()).map_err(|_| Flaw(format!("name `{}` is too long", file.name)))?;
        // What local and central record have in common, from `version needed` to the length of the name.
        let mut shared = Vec::with_capacity(24);
        shared.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 33, 0]);
        shared.extend_from_slice(&crc32(file.content).to_le_bytes());
        shared.extend_from_slice(&size);
        shared.extend_from_slice(&size);
        shared.extend_from_slice(&name_len.to_le_bytes());
        twin.next(LOCAL_MAGIC)?;
        twin.next(&shared)?;
        twin.next(&[0, 0])?;
        twin.next(file.name.as_bytes())?;
        twin.next(file.content)?;
        directory.extend_from_slice(CENTRAL_MAGIC);
        directory.extend_from_slice(&[10, 0]);
        directory.extend_from_slice(&shared);
        directory.extend_from_slice(&[0; 12]);
        directory.extend_from_slice(&offset);
        directory.extend_from_slice(file.name.as_bytes());
    }
    let directory_at = four(twin.at)?;
    twin.next(&directory)?;
    let count = u16::try_from(files.len()).map_err(|_| Flaw("too many files".to_owned()))?.to_le_bytes();
    twin.next(END_MAGIC)?;
    twin.next(&[0; 4])?;
    twin.next(&count)?;
    twin.next(&count)?;
    twin.next(&four(directory.len())?)?;
    twin.next(&directory_at)?;
    twin.next(&[0, 0])?;
    if twin.at == bytes.len() {
        Ok(())
    } else {
        flaw(format!("{} bytes follow the end", bytes.len() - twin.at))
    }
}

/// The container as it must be, told piece by piece while the given bytes are followed.
struct Twin<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Twin<'_> {
    fn next(&mut self, piece: &[u8]) -> Result<(), Flaw> {
        let here = self.bytes.get(self.at..).unwrap_or_default();
        if here.starts_with(piece) {
            self.at += piece.len();
            return Ok(());
        }
        let same = piece.iter().zip(here).take_while(|(a, b)| a == b).count();
        flaw(format!("differs from the one deterministic zip of its contents at byte {}", self.at + same))
    }
}

fn four(number: usize) -> Result<[u8; 4], Flaw> {
    match u32::try_from(number) {
        Ok(number) if number < u32::MAX => Ok(number.to_le_bytes()),
        _ => flaw(format!("{number} bytes do not fit into a container")),
    }
}

fn is_file_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// CRC-32 (ISO-HDLC), as zip has it.
fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        let mut number = 0;
        std::array::from_fn(|_| {
            let crc = (0..8).fold(number, |crc, _| step(crc));
            number += 1;
            crc
        })
    });
    let table = &*TABLE;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ table.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    })
}

const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
const CENTRAL_MAGIC: &[u8] = b"PK\x01\x02";
const END_MAGIC: &[u8] = b"PK\x05\x06";
const LOCAL_FIXED_LEN: usize = 26;
const FILES_MAX: usize = 65_534;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::text;

    /// The example of `container.md`.
    const EXAMPLE: &str = "504b03040a000000000000002100ac2a93d80200000002000000010000006168\
        69504b01020a000a000000000000002100ac2a93d8020000000200000001000000000000000000000000000000000061\
        504b05060000000001000100\
        2f000000210000000000";

    #[test]
    fn the_example_of_the_spec_and_every_flip_of_it() {
        let bytes = text::hex::<102>(EXAMPLE).unwrap();
        let files = open(&bytes).unwrap();
        assert_eq!((files[0].name, files[0].content), ("a", b"hi".as_slice()));
        assert_eq!(must_equal(&files, &bytes), Ok(()));
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes;
                flipped[place] ^= 1 << bit;
                let told = open(&flipped).and_then(|files| must_equal(&files, &flipped));
                assert!(told.is_err(), "byte {place} bit {bit}");
            }
        }
        assert!(open(&bytes[..40]).and_then(|files| must_equal(&files, &bytes[..40])).is_err());
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(open(&longer).and_then(|files| must_equal(&files, &longer)).is_err());
    }
}
