//! The files of the tree (C2SP tlog-tiles): what each holds and where it stands. It never writes one itself.

use super::store::Store;
use crate::Error;
use bytes::Bytes;
use clyra_seal::{Hash, merkle};

/// The right edge of all tiles: at each level the hashes of the tile that is not full, and the entries of the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tiles {
    size: u64,
    levels: Vec<Level>,
    entries: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Level {
    /// Number of the tile that is not full.
    tile: u64,
    /// Fewer than 256 hashes.
    hashes: Vec<Hash>,
}

/// Objects to be written: key and bytes.
pub(crate) type Staged = Vec<(String, Bytes)>;

impl Tiles {
    /// The edge as it was published at this size.
    pub(crate) fn load(store: &Store, size: u64) -> Result<Self, Error> {
        let mut tiles = Self { size, ..Self::default() };
        let mut count = size;
        while count > 0 {
            let level = tiles.levels.len();
            let (tile, width) = (count / TILE, count % TILE);
            let hashes = if width == 0 { Vec::new() } else { hashes(store, level, tile, width)? };
            tiles.levels.push(Level { tile, hashes });
            count /= TILE;
        }
        if !size.is_multiple_of(TILE) {
            for entry in entries(store, size / TILE, size % TILE)? {
                tiles.add_entry(&entry)?;
            }
        }
        Ok(tiles)
    }

    /// Adds one entry; tiles that are full by it are staged.
    pub(crate) fn append(&mut self, entry: &[u8], staged: &mut Staged) -> Result<(), Error> {
        self.add_entry(entry)?;
        self.size += 1;
        if self.size.is_multiple_of(TILE) {
            let bytes = std::mem::take(&mut self.entries).into();
            staged.push((key("entries", self.size / TILE - 1, TILE), bytes));
        }
        let mut hash = merkle::leaf_hash(entry);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Level::default());
            }
            let Some(edge) = self.levels.get_mut(level) else { break };
            edge.hashes.push(hash);
            if (edge.hashes.len() as u64) < TILE {
                break;
            }
            let full = std::mem::take(&mut edge.hashes);
            staged.push((key(&level.to_string(), edge.tile, TILE), full.concat().into()));
            edge.tile += 1;
            hash = merkle::root(&full);
        }
        Ok(())
    }

    /// Stages the tiles that are not full.
    pub(crate) fn stage_partial(&self, staged: &mut Staged) {
        for (level, edge) in self.levels.iter().enumerate() {
            if !edge.hashes.is_empty() {
                let width = edge.hashes.len() as u64;
                staged.push((key(&level.to_string(), edge.tile, width), edge.hashes.concat().into()));
            }
        }
        if !self.entries.is_empty() {
            let bytes = Bytes::copy_from_slice(&self.entries);
            staged.push((key("entries", self.size / TILE, self.size % TILE), bytes));
        }
    }

    /// Folders of partial tiles at `before` that are full now, and hence of no use.
    pub(crate) fn outgrown(&self, before: u64) -> Vec<String> {
        let mut folders = Vec::new();
        let (mut then, mut now) = (before, self.size);
        let mut level = 0_usize;
        while then > 0 {
            if then % TILE != 0 && now / TILE > then / TILE {
                folders.push(format!("{}.p", key(&level.to_string(), then / TILE, TILE)));
                if level == 0 {
                    folders.push(format!("{}.p", key("entries", then / TILE, TILE)));
                }
            }
            then /= TILE;
            now /= TILE;
            level += 1;
        }
        folders
    }

    /// Root over all entries.
    pub(crate) fn root(&self) -> Hash {
        let mut right = None;
        for level in &self.levels {
            let hashes: Vec<Hash> = level.hashes.iter().copied().chain(right).collect();
            right = (!hashes.is_empty()).then(|| merkle::root(&hashes));
        }
        right.unwrap_or_else(|| merkle::root(&[]))
    }

    fn add_entry(&mut self, entry: &[u8]) -> Result<(), Error> {
        let length = u16::try_from(entry.len())
            .map_err(|_| Error::mismatch(format!("an entry of {} bytes fits no tile", entry.len())))?;
        self.entries.extend_from_slice(&length.to_be_bytes());
        self.entries.extend_from_slice(entry);
        Ok(())
    }
}

/// The first `width` hashes of a tile, from the partial file or from the full one that replaced it.
pub(crate) fn hashes(store: &Store, level: usize, tile: u64, width: u64) -> Result<Vec<Hash>, Error> {
    let (key, bytes) = load(store, &level.to_string(), tile, width)?;
    let (found, rest) = bytes.as_chunks::<32>();
    let wanted = usize::try_from(width).ok().and_then(|width| found.get(..width)).filter(|_| rest.is_empty());
    wanted.map(<[Hash]>::to_vec).ok_or_else(|| Error::mismatch(format!("`{key}` holds too few hashes")))
}

/// The first `width` entries of a tile.
pub(crate) fn entries(store: &Store, tile: u64, width: u64) -> Result<Vec<Bytes>, Error> {
    let (key, mut bytes) = load(store, "entries", tile, width)?;
    let mut entries = Vec::new();
    for _ in 0..width {
        let length = bytes.split_first_chunk().map(|(length, _)| usize::from(u16::from_be_bytes(*length)));
        match length {
            Some(length) if bytes.len() >= length + 2 => {
                let mut entry = bytes.split_to(length + 2);
                entries.push(entry.split_off(2));
            }
            _ => return Err(Error::mismatch(format!("`{key}` holds too few entries"))),
        }
    }
    Ok(entries)
}

fn load(store: &Store, level: &str, tile: u64, width: u64) -> Result<(String, Bytes), Error> {
    let (partial, full) = (key(level, tile, width), key(level, tile, TILE));
    if let Some(bytes) = store.get(&partial)? {
        return Ok((partial, bytes));
    }
    match store.get(&full)? {
        Some(bytes) => Ok((full, bytes)),
        None => Err(Error::mismatch(format!("`{partial}` is missing"))),
    }
}

/// `tile/<level>/<tile>`, the number in groups of three digits, then `.p/<width>` where the tile is not full.
pub(crate) fn key(level: &str, tile: u64, width: u64) -> String {
    let mut path = format!("{:03}", tile % 1000);
    let mut rest = tile / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width == TILE { String::new() } else { format!(".p/{width}") };
    format!("tile/{level}/{path}{partial}")
}

/// Hashes in a full tile.
pub(crate) const TILE: u64 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_page() {
        assert_eq!(key("0", 1_234_067, TILE), "tile/0/x001/x234/067");
        assert_eq!(key("entries", 5, 7), "tile/entries/005.p/7");
        assert_eq!(key("2", 1_000, TILE), "tile/2/x001/000");
    }

    #[test]
    fn the_edge_survives_and_its_root_is_the_tree_s() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Store::open(folder.path(), runtime.handle().clone()).unwrap();
        let (mut tiles, mut tree, mut staged) = (Tiles::default(), merkle::Tree::new(), Staged::new());
        for number in 0..66_000_u32 {
            let entry = number.to_be_bytes();
            tiles.append(&entry, &mut staged).unwrap();
            tree.append(merkle::leaf_hash(&entry));
            if [0, 1, 254, 255, 256, 700, 65_535, 65_536, 65_999].contains(&number) {
                tiles.stage_partial(&mut staged);
                store.put_all(&mut staged).unwrap();
                let again = Tiles::load(&store, tree.size()).unwrap();
                assert_eq!(again.root(), tree.root(), "size {}", tree.size());
                assert_eq!(again.entries, tiles.entries);
            }
        }
        assert_eq!(tiles.outgrown(255), ["tile/0/000.p", "tile/entries/000.p"]);
        assert_eq!(tiles.outgrown(65_537), ["tile/0/256.p", "tile/entries/256.p"]);
        assert!(tiles.outgrown(66_000).is_empty());
    }
}
