//! The files of the tree against each other and against the signed root. Where an entry and its hash differ, the one that
//! leads to the root is believed.

use super::Health;
use crate::Error;
use crate::log::Tip;
use crate::log::standing::Head;
use crate::shelf::tiles::{TILE, key};
use clyra_seal::merkle::{self, Tree};
use clyra_seal::{Hash, batch};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Tips at the sizes of commits, to be filled on the way.
pub(super) type Tips = BTreeMap<u64, Tip>;

/// Checks every file below `tile/`; whether the entries lead to the root.
pub(super) fn check(
    log: &Path,
    shown: Option<(u64, Hash)>,
    tips: &mut Tips,
    health: &mut Health,
) -> Result<bool, Error> {
    let (size, root) = shown.unwrap_or_else(|| (0, merkle::root(&[])));
    let mut walk = Walk {
        log,
        size,
        present: present(log, health)?,
        tree: Tree::new(),
        stored: Tree::new(),
        apart: vec![],
    };
    walk.entries(tips, health)?;
    let (entries_hold, hashes_hold) = (walk.tree.root() == root, walk.stored.root() == root);
    for Apart { index, entries, at, hashes } in std::mem::take(&mut walk.apart) {
        let place = index % TILE * 32;
        match (entries_hold, hashes_hold) {
            (true, _) => {} // The comparison of hash files below finds it.
            (false, true) => {
                health.fault(&entries, at, format!("entry {index} is not the one under the root"))
            }
            (false, false) => {
                health.fault(
                    &entries,
                    at,
                    format!("entry {index} or its hash is not the one under the root"),
                );
                health.fault(
                    &hashes,
                    place,
                    format!("entry {index} or its hash is not the one under the root"),
                );
            }
        }
    }
    if entries_hold || hashes_hold {
        walk.hashes(!hashes_hold, health)?;
    } else if health.faults.is_empty() {
        let path = log.join("checkpoint");
        health.fault(&path, 0, "entries and hashes agree, and do not lead to the root that it shows");
    }
    Ok(entries_hold)
}

/// An entry whose leaf hash is not the stored one.
struct Apart {
    index: u64,
    entries: PathBuf,
    at: u64,
    hashes: PathBuf,
}

struct Walk<'l> {
    log: &'l Path,
    size: u64,
    /// Widths of the files that are there, by level and tile.
    present: BTreeMap<(String, u64), BTreeSet<u64>>,
    /// What the entries give.
    tree: Tree,
    /// What the stored leaf hashes give.
    stored: Tree,
    apart: Vec<Apart>,
}

impl Walk<'_> {
    fn entries(&mut self, tips: &mut Tips, health: &mut Health) -> Result<(), Error> {
        let mut heads: BTreeMap<String, Head> = BTreeMap::new();
        for tile in 0..self.size.div_ceil(TILE) {
            let width = TILE.min(self.size - tile * TILE);
            let (path, bytes) = self.needed("entries", tile, width, health)?;
            let (hashes, stored) = self.needed("0", tile, width, health)?;
            let (stored, _) = stored.as_chunks::<32>();
            let (mut at, mut parted) = (0, false);
            for place in 0..width {
                let index = tile * TILE + place;
                let known = usize::try_from(place).ok().and_then(|place| stored.get(place)).copied();
                let entry = entry_at(&bytes, at);
                let leaf = entry.map(merkle::leaf_hash);
                // Behind the first fault of a file every entry may seem to stand elsewhere.
                if !parted && (leaf.is_none() || leaf != known) {
                    parted = true;
                    let (entries, hashes) = (path.clone(), hashes.clone());
                    self.apart.push(Apart { index, entries, at: at as u64, hashes });
                }
                let Some(either) = leaf.or(known) else { continue };
                self.tree.append(leaf.unwrap_or([0; 32]));
                self.stored.append(known.unwrap_or(either));
                let Some(entry) = entry else { continue };
                at += entry.len() + 2;
                if let Ok(claims) = batch::claimed(entry) {
                    let (epoch, seq, ended) = (claims.epoch, claims.last_seq(), claims.last);
                    let head = Head { epoch, seq, digest: batch::digest(entry), index, ended };
                    heads.insert(claims.gateway, head);
                }
                if let Some(tip) = tips.get_mut(&(index + 1)) {
                    *tip = Tip { tree: self.tree.clone(), heads: heads.clone(), wants_spare: false };
                }
            }
            if !parted && at < bytes.len() && path == self.log.join(key("entries", tile, width)) {
                health.fault(&path, at as u64, "bytes behind the last entry");
            }
            if !parted {
                self.narrower("entries", tile, width, &path, health)?;
            }
        }
        Ok(())
    }

    /// Files of the same tile that were published at smaller sizes: each must begin as the newest does.
    fn narrower(
        &self,
        level: &str,
        tile: u64,
        width: u64,
        newest: &Path,
        health: &mut Health,
    ) -> Result<(), Error> {
        let whole = fs::read(newest).unwrap_or_default();
        let widths = self.present.get(&(level.to_owned(), tile)).into_iter().flatten();
        for other in widths.filter(|other| **other < width) {
            let mut end = 0;
            for _ in 0..*other {
                end += entry_at(&whole, end).map_or(0, |entry| entry.len() + 2);
            }
            let path = self.log.join(key(level, tile, *other));
            let due = whole.get(..end).unwrap_or_default();
            health.compare(&path, due, "not what the newest file of this tile begins with")?;
        }
        Ok(())
    }

    /// Every file of hashes, from the leaves up. `rehash`: from the entries, since the stored leaf hashes are damaged.
    fn hashes(&self, rehash: bool, health: &mut Health) -> Result<(), Error> {
        let mut levels: Vec<Vec<Hash>> = Vec::new();
        let mut unread = Health::default();
        for tile in 0..self.size.div_ceil(TILE) {
            let width = TILE.min(self.size - tile * TILE);
            let source = if rehash { "entries" } else { "0" };
            let (_, bytes) = self.needed(source, tile, width, &mut unread)?;
            let leaves = if rehash { leaves(&bytes, width) } else { bytes.as_chunks::<32>().0.to_vec() };
            for leaf in leaves.into_iter().take(256) {
                self.grow(&mut levels, leaf, tile, health)?;
            }
        }
        for (level, edge) in levels.iter().enumerate().filter(|(_, edge)| !edge.is_empty()) {
            let count = (0..level).fold(self.size, |count, _| count / TILE);
            self.files_of(level, count / TILE, edge, health)?;
        }
        Ok(())
    }

    fn grow(
        &self,
        levels: &mut Vec<Vec<Hash>>,
        leaf: Hash,
        tile: u64,
        health: &mut Health,
    ) -> Result<(), Error> {
        let (mut hash, mut tile) = (leaf, tile);
        for level in 0.. {
            if levels.len() == level {
                levels.push(Vec::new());
            }
            let Some(edge) = levels.get_mut(level) else { break };
            edge.push(hash);
            if (edge.len() as u64) < TILE {
                break;
            }
            let full = std::mem::take(edge);
            self.files_of(level, tile, &full, health)?;
            hash = merkle::root(&full);
            tile /= TILE;
        }
        Ok(())
    }

    fn files_of(&self, level: usize, tile: u64, due: &[Hash], health: &mut Health) -> Result<(), Error> {
        let level = level.to_string();
        let width = due.len() as u64;
        let widths = self.present.get(&(level.clone(), tile));
        if widths.is_none_or(|widths| !widths.contains(&width) && !widths.contains(&TILE)) {
            health.fault(&self.log.join(key(&level, tile, width)), 0, "the file is missing");
        }
        for width in widths.into_iter().flatten() {
            let count = usize::try_from(*width).unwrap_or(usize::MAX);
            let path = self.log.join(key(&level, tile, *width));
            match due.get(..count) {
                Some(due) => health.compare(&path, &due.concat(), "not the hashes of what lies below")?,
                None => health.compare(&path, &due.concat(), "more hashes than the checkpoint covers")?,
            };
        }
        Ok(())
    }

    /// The file that holds the first `width` of a tile; where it is missing that is a fault, and it counts as empty.
    fn needed(
        &self,
        level: &str,
        tile: u64,
        width: u64,
        health: &mut Health,
    ) -> Result<(PathBuf, Vec<u8>), Error> {
        let widths = self.present.get(&(level.to_owned(), tile));
        let there = |width: &u64| widths.is_some_and(|widths| widths.contains(width));
        let found = [width, TILE].into_iter().find(there);
        let path = self.log.join(key(level, tile, found.unwrap_or(width)));
        if found.is_none() {
            health.fault(&path, 0, "the file is missing");
            return Ok((path, Vec::new()));
        }
        health.files += u64::from(level == "entries");
        let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
        Ok((path, bytes))
    }
}

fn entry_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

fn leaves(bytes: &[u8], width: u64) -> Vec<Hash> {
    let mut at = 0;
    let mut leaves = Vec::new();
    for _ in 0..width {
        let Some(entry) = entry_at(bytes, at) else { break };
        leaves.push(merkle::leaf_hash(entry));
        at += entry.len() + 2;
    }
    leaves
}

/// Every file below `tile/`; what has no place there is a fault.
fn present(log: &Path, health: &mut Health) -> Result<BTreeMap<(String, u64), BTreeSet<u64>>, Error> {
    let mut present: BTreeMap<(String, u64), BTreeSet<u64>> = BTreeMap::new();
    let mut folders = vec![log.join("tile")];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            let path = entry.map_err(Error::file("list", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(log.join("tile")).ok().and_then(Path::to_str).unwrap_or_default();
            match place(name).filter(|(level, tile, width)| log.join(key(level, *tile, *width)) == path) {
                Some((level, tile, width)) => drop(present.entry((level, tile)).or_default().insert(width)),
                None => health.fault(&path, 0, "no file of the log has this name"),
            }
        }
    }
    Ok(present)
}

/// `0/x001/234.p/7` is level 0, tile 1234, width 7.
fn place(name: &str) -> Option<(String, u64, u64)> {
    let (level, rest) = name.split_once('/')?;
    let (number, width) = rest.split_once(".p/").unwrap_or((rest, "256"));
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    Some((level.to_owned(), digits.parse().ok()?, width.parse().ok()?))
}
