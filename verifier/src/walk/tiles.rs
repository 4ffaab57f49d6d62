//! The tile files of a log on disk, full or partial; it believes no length and no name.

use crate::error::{Doubt, flaw};
use crate::read::tree::Hash;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Hashes in a full tile.
pub(crate) const WIDTH: u64 = 256;

/// The tiles below one folder.
pub(crate) struct Tiles {
    dir: PathBuf,
}

impl Tiles {
    pub(crate) fn of(log: &Path) -> Self {
        Self { dir: log.join("tile") }
    }

    /// The first `width` hashes of a tile.
    pub(crate) fn hashes(&self, level: usize, number: u64, width: u64) -> Result<Vec<Hash>, Doubt> {
        let (bytes, place) = self.file(&level.to_string(), number, width)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        let width_here = usize::try_from(width).unwrap_or(usize::MAX);
        match hashes.get(..width_here) {
            Some(first) if rest.is_empty() => Ok(first.to_vec()),
            _ => {
                Err(Doubt::Fail(format!("tile `{place}` has {} bytes, {} are due", bytes.len(), width * 32)))
            }
        }
    }

    /// The first `width` entries of a bundle of entries.
    pub(crate) fn entries(&self, number: u64, width: u64) -> Result<Vec<Vec<u8>>, Doubt> {
        let (bytes, place) = self.file("entries", number, width)?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        for entry in 0..width {
            let cut = || Doubt::Fail(format!("tile `{place}` ends within its entry {entry}"));
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            let (bytes, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(cut)?;
            entries.push(bytes.to_vec());
            rest = after;
        }
        Ok(entries)
    }

    /// The partial tile of this width; where only the full one is left, that one.
    fn file(&self, kind: &str, number: u64, width: u64) -> Result<(Vec<u8>, String), Doubt> {
        let full = format!("{kind}/{}", name(number));
        let partial = format!("{full}.p/{width}");
        let candidates = if width == WIDTH { vec![full] } else { vec![partial, full] };
        let mut missing = String::new();
        for place in candidates {
            match fs::read(self.dir.join(&place)) {
                Ok(bytes) => return Ok((bytes, place)),
                Err(gone) if gone.kind() == ErrorKind::NotFound => missing = place,
                Err(error) => return Err(Doubt::Unable(format!("tile `{place}` cannot be read: {error}"))),
            }
        }
        Ok(flaw(format!("tile `{missing}` is missing"))?)
    }
}

/// `1234067` is `x001/x234/067`.
fn name(number: u64) -> String {
    let mut name = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        name = format!("x{:03}/{name}", rest % 1000);
        rest /= 1000;
    }
    name
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_of_tiles() {
        assert_eq!(super::name(0), "000");
        assert_eq!(super::name(999), "999");
        assert_eq!(super::name(1_000), "x001/000");
        assert_eq!(super::name(1_234_067), "x001/x234/067");
    }
}
