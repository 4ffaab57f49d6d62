//! Inclusion paths out of tiles. Only a few tiles are in memory at a time, however long the log.

use crate::Error;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use clyra_seal::Hash;
use clyra_seal::merkle::{self, Levels, node_hash};
use std::collections::BTreeMap;

/// Paths in the tree of one published size.
#[derive(Debug)]
pub(crate) struct Paths<'s> {
    store: &'s Store,
    size: u64,
    cache: BTreeMap<(usize, u64), Levels>,
}

impl<'s> Paths<'s> {
    pub(crate) fn new(store: &'s Store, size: u64) -> Self {
        Self { store, size, cache: BTreeMap::new() }
    }

    /// Siblings of entry `index`, from the leaf to the root (RFC 6962 §2.1.1).
    pub(super) fn path(&mut self, index: u64) -> Result<Vec<Hash>, Error> {
        let (mut low, mut high) = (0, self.size);
        let mut path = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.root(middle, high)?);
                high = middle;
            } else {
                path.push(self.root(low, middle)?);
                low = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// Root over the first `size` entries, which are published.
    pub(crate) fn root_at(&mut self, size: u64) -> Result<Hash, Error> {
        if size == 0 { Ok(merkle::root(&[])) } else { self.root(0, size) }
    }

    /// Nodes that lead from the root of the first `old` entries to the newest one (RFC 6962 §2.1.2).
    pub(crate) fn consistency(&mut self, old: u64) -> Result<Vec<Hash>, Error> {
        let (mut low, mut high) = (0, self.size);
        let mut path = Vec::new();
        if old == 0 || old >= high {
            return Ok(path);
        }
        while high > old {
            let middle = low + split(high - low);
            if old <= middle {
                path.push(self.root(middle, high)?);
                high = middle;
            } else {
                path.push(self.root(low, middle)?);
                low = middle;
            }
        }
        // The old root itself is known to who asks.
        if low > 0 {
            path.push(self.root(low, high)?);
        }
        path.reverse();
        Ok(path)
    }

    /// Leaf hashes from `low` up to `high`.
    pub(super) fn leaves(&mut self, low: u64, high: u64) -> Result<Vec<Hash>, Error> {
        (low..high).map(|index| self.node(0, index)).collect()
    }

    /// Root over the leaves from `low` up to `high`; `low` is a multiple of the largest power of two within.
    fn root(&mut self, low: u64, high: u64) -> Result<Hash, Error> {
        let count = high - low;
        if count.is_power_of_two() {
            return self.node(count.trailing_zeros(), low / count);
        }
        let middle = low + split(count);
        Ok(node_hash(&self.root(low, middle)?, &self.root(middle, high)?))
    }

    /// Hash number `index` of those that each cover 2^`height` leaves.
    fn node(&mut self, height: u32, index: u64) -> Result<Hash, Error> {
        let (level, within) = (height / 8, height % 8);
        let level = usize::try_from(level).unwrap_or(usize::MAX);
        let first = index << within;
        let (tile, place) = (first / TILE, (first % TILE) >> within);
        let levels = self.tile(level, tile)?;
        let height = usize::try_from(within).unwrap_or(usize::MAX);
        let hash = usize::try_from(place).ok().and_then(|place| levels.hash(height, place));
        hash.ok_or_else(|| Error::mismatch(format!("tile {tile} of level {level} holds too few hashes")))
    }

    fn tile(&mut self, level: usize, tile: u64) -> Result<&Levels, Error> {
        if self.cache.len() >= CACHED_MAX && !self.cache.contains_key(&(level, tile)) {
            self.cache.clear();
        }
        match self.cache.entry((level, tile)) {
            std::collections::btree_map::Entry::Occupied(found) => Ok(found.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => {
                let count = (0..level).fold(self.size, |count, _| count / TILE);
                let width = TILE.min(count.saturating_sub(tile * TILE));
                let hashes = tiles::hashes(self.store, level, tile, width)?;
                Ok(free.insert(Levels::of(hashes)))
            }
        }
    }
}

/// The largest power of two below `count`, which is above 1.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// Tiles in memory, 16 KiB each.
const CACHED_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shelf::tiles::{Staged, Tiles};
    use clyra_seal::merkle::{leaf_hash, root_of_path};

    #[test]
    fn paths_out_of_tiles_lead_to_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Store::open(folder.path(), runtime.handle().clone()).unwrap();
        let (mut tiles, mut staged, mut size) = (Tiles::default(), Staged::new(), 0);
        for target in [1, 2, 3, 255, 256, 257, 513, 65_536, 65_537, 66_051] {
            while size < target {
                tiles.append(&u64::to_be_bytes(size), &mut staged).unwrap();
                size += 1;
            }
            tiles.stage_partial(&mut staged);
            store.put_all(&mut staged).unwrap();
            let mut paths = Paths::new(&store, size);
            for index in (0..size).filter(|index| size < 300 || index % 509 == 0 || size - index < 3) {
                let path = paths.path(index).unwrap();
                let leaf = leaf_hash(&index.to_be_bytes());
                assert_eq!(root_of_path(leaf, index, size, &path), Some(tiles.root()), "{index} of {size}");
            }
        }
        assert_eq!(Paths::new(&store, size).leaves(255, 257).unwrap().len(), 2);
    }
}
