//! The deterministic zip of a bundle (spec/container.md). It never compresses and never reads a container back.

use crate::Error;

/// Bytes of the container that holds these files. Order does not matter: files are sorted by name.
///
/// # Errors
/// When a name is not allowed or stands twice, or a file, an offset or the number of files is too large for a plain
/// zip.
pub fn write(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Error> {
    let mut sorted: Vec<&(&str, &[u8])> = files.iter().collect();
    sorted.sort_unstable_by_key(|file| file.0);
    if sorted.windows(2).any(|pair| matches!(pair, [left, right] if left.0 == right.0)) {
        return Err(Error::malformed("container", "a name stands twice"));
    }
    let count = u16::try_from(files.len()).ok().filter(|count| *count < u16::MAX).ok_or(Error::TooLarge {
        what: "container",
        found: files.len() as u64,
        allowed: u64::from(u16::MAX - 1),
    })?;
    let mut bytes = Vec::with_capacity(files.iter().map(|file| file.1.len() + 512).sum());
    let mut directory = Vec::new();
    for (name, content) in sorted {
        let offset = small(bytes.len())?;
        let shape = shape(name, content)?;
        bytes.extend_from_slice(b"PK\x03\x04");
        bytes.extend_from_slice(&shape);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&VERSION.to_le_bytes());
        directory.extend_from_slice(&shape);
        // Comment length, disk, internal and external attributes: all zero.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let start = small(bytes.len())?;
    let length = small(directory.len())?;
    bytes.append(&mut directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    Ok(bytes)
}

/// What local and central record have in common: from the version needed to the length of the extra field.
fn shape(name: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let length = u16::try_from(name.len()).ok().filter(|length| (1..=255).contains(length));
    let (Some(length), true) = (length, name.bytes().all(allowed)) else {
        let why = format!("name `{}` must be 1 to 255 of A-Z a-z 0-9 . _ - /", name.escape_debug());
        return Err(Error::malformed("container", why));
    };
    let size = small(content.len())?;
    let mut shape = Vec::with_capacity(26);
    shape.extend_from_slice(&VERSION.to_le_bytes());
    shape.extend_from_slice(&[0; 6]);
    shape.extend_from_slice(&DATE.to_le_bytes());
    shape.extend_from_slice(&crc32(content).to_le_bytes());
    shape.extend_from_slice(&size.to_le_bytes());
    shape.extend_from_slice(&size.to_le_bytes());
    shape.extend_from_slice(&length.to_le_bytes());
    shape.extend_from_slice(&[0; 2]);
    Ok(shape)
}

fn small(size: usize) -> Result<u32, Error> {
    u32::try_from(size).ok().filter(|size| *size < u32::MAX).ok_or(Error::TooLarge {
        what: "container",
        found: size as u64,
        allowed: u64::from(u32::MAX - 1),
    })
}

/// CRC-32 as zip wants it (reflected, polynomial 0xEDB88320).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    })
}

const TABLE: [u32; 256] = table();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs at compile time, bounds checked there"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// Version 1.0: all that stored files need.
const VERSION: u16 = 10;
/// 1980-01-01, the first day that zip knows.
const DATE: u16 = 0x21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_page() {
        let page = include_str!("../../../container.md");
        let example = page.split("102 bytes:").nth(1).unwrap();
        let digits: String = example.chars().filter(char::is_ascii_hexdigit).collect();
        let made = write(&[("a", b"hi")]).unwrap();
        assert_eq!(crate::hex(&made), digits);
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn order_of_the_files_does_not_matter_and_bad_names_are_refused() {
        assert_eq!(write(&[("b", b"2"), ("a", b"1")]).unwrap(), write(&[("a", b"1"), ("b", b"2")]).unwrap());
        for bad in ["", "é", "a b", "a\0", &"x".repeat(256)] {
            assert!(write(&[(bad, b"")]).is_err());
        }
        assert!(write(&[("a", b""), ("a", b"")]).is_err());
    }
}
