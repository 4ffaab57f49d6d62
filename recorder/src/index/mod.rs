//! Where things stand in the log: an entry's place by its id, a run's entries by the run. It proves nothing, holds nothing
//! that the log does not say, and can be thrown away at any time.

use crate::Error;
use crate::cut::face::Face;
use crate::shelf::Published;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use bytes::Bytes;
use clyra_seal::merkle;
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, WriteTransaction,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The index of one log: a file beside it.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    tables: Database,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Its index in the log.
    pub(crate) index: u64,
    /// Index of the header of its batch; its own for a header.
    pub(crate) header: u64,
}

/// Spots of entries by gateway.
pub(crate) type ByGateway = BTreeMap<String, Vec<Spot>>;

/// Bytes read by a fill at a time, in tiles: what one commit of the index takes.
const TILES_AT_ONCE: u64 = 256;

const IDS: TableDefinition<'_, u128, (u64, u64)> = TableDefinition::new("ids");
/// (run, index) → (header, gateway).
const RUNS: TableDefinition<'_, (&str, u64), (u64, &str)> = TableDefinition::new("runs");
/// (gateway, index) → header, for policy, switch and gap entries; see `is_policy`.
const AROUND: TableDefinition<'_, (&str, u64), (u64, bool)> = TableDefinition::new("around");
/// How far the index reaches.
const REACH: TableDefinition<'_, &str, u64> = TableDefinition::new("reach");
/// Leaf hash of the last entry that was taken in: it tells another log from this one.
const LEAF: TableDefinition<'_, &str, [u8; 32]> = TableDefinition::new("leaf");

impl Index {
    /// Opens the file, made where it is missing and made anew where it cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let fault =
            |error: &dyn std::fmt::Display| Error::Index { path: path.into(), why: error.to_string() };
        let tables = match Database::create(path) {
            Ok(tables) => tables,
            Err(error @ redb::DatabaseError::DatabaseAlreadyOpen) => return Err(fault(&error)),
            Err(_) => {
                fs::remove_file(path).map_err(Error::file("delete", path))?;
                Database::create(path).map_err(|error| fault(&error))?
            }
        };
        Ok(Self { path: path.into(), tables })
    }

    /// Takes in all that is published and not indexed yet.
    pub(crate) fn fill(&self, store: &Store, published: &Published) -> Result<(), Error> {
        let mut reach = self.told(|index| index.reach())?;
        if reach > published.size || !self.is_of(store, reach, published.size)? {
            self.told(Self::clear)?;
            reach = 0;
        }
        while reach < published.size {
            let next = published.size.min((reach / TILE + TILES_AT_ONCE) * TILE);
            let mut entries = Vec::new();
            for tile in reach / TILE..next.div_ceil(TILE) {
                let width = TILE.min(published.size - tile * TILE);
                let read = tiles::entries(store, tile, width)?;
                entries.extend((tile * TILE..).zip(read).filter(|(index, _)| (reach..next).contains(index)));
            }
            self.told(|index| index.take(&entries, next, next == published.size))?;
            reach = next;
        }
        Ok(())
    }

    /// Where the entry with this id stands.
    pub(crate) fn id(&self, id: &str) -> Result<Option<Spot>, Error> {
        let Some(number) = number_of(id) else { return Ok(None) };
        self.told(|index| {
            let table = index.tables.begin_read()?.open_table(IDS)?;
            let found = table.get(number)?;
            Ok(found.map(|spot| Spot { index: spot.value().0, header: spot.value().1 }))
        })
    }

    /// A run's own entries below `size`.
    pub(crate) fn run(&self, run_id: &str, size: u64) -> Result<ByGateway, Error> {
        self.told(|index| {
            let table = index.tables.begin_read()?.open_table(RUNS)?;
            let mut found = ByGateway::new();
            for row in table.range((run_id, 0)..(run_id, size))? {
                let (key, value) = row?;
                let (header, gateway) = value.value();
                let spot = Spot { index: key.value().1, header };
                found.entry(gateway.to_owned()).or_default().push(spot);
            }
            Ok(found)
        })
    }

    /// A gateway's policy, switch and gap entries between `first` and `last`, and its last policy entry before `first`.
    pub(crate) fn around(&self, gateway: &str, first: u64, last: u64) -> Result<Vec<Spot>, Error> {
        self.told(|index| {
            let table = index.tables.begin_read()?.open_table(AROUND)?;
            let mut found = Vec::new();
            for row in table.range((gateway, 0)..(gateway, first))?.rev() {
                let (key, value) = row?;
                let (header, is_policy) = value.value();
                if is_policy {
                    found.push(Spot { index: key.value().1, header });
                    break;
                }
            }
            for row in table.range((gateway, first)..(gateway, last))? {
                let (key, value) = row?;
                found.push(Spot { index: key.value().1, header: value.value().0 });
            }
            Ok(found)
        })
    }

    fn reach(&self) -> Result<u64, redb::Error> {
        let write = self.tables.begin_write()?;
        let size = make(&write)?;
        write.commit()?;
        Ok(size)
    }

    fn clear(&self) -> Result<(), redb::Error> {
        let write = self.tables.begin_write()?;
        write.delete_table(IDS)?;
        write.delete_table(RUNS)?;
        write.delete_table(AROUND)?;
        write.delete_table(REACH)?;
        write.delete_table(LEAF)?;
        make(&write)?;
        write.commit()?;
        Ok(())
    }

    /// Whether what is indexed is this log's.
    fn is_of(&self, store: &Store, reach: u64, size: u64) -> Result<bool, Error> {
        let Some(last) = reach.checked_sub(1) else { return Ok(true) };
        let known = self.told(|index| {
            let table = index.tables.begin_read()?.open_table(LEAF)?;
            Ok(table.get("last")?.map(|leaf| leaf.value()))
        })?;
        let width = TILE.min(size - last / TILE * TILE);
        let hashes = tiles::hashes(store, 0, last / TILE, width)?;
        Ok(known.is_some()
            && usize::try_from(last % TILE).ok().and_then(|place| hashes.get(place)) == known.as_ref())
    }

    fn take(&self, entries: &[(u64, Bytes)], reach: u64, durable: bool) -> Result<(), redb::Error> {
        let mut write = self.tables.begin_write()?;
        if !durable {
            // A later commit, or another fill, makes it so.
            write.set_durability(Durability::None)?;
        }
        {
            let mut rows = Rows {
                ids: write.open_table(IDS)?,
                runs: write.open_table(RUNS)?,
                around: write.open_table(AROUND)?,
            };
            let mut reached = write.open_table(REACH)?;
            let mut header = reached.get("header")?.map_or(0, |header| header.value());
            for (index, entry) in entries {
                rows.add(*index, entry, &mut header)?;
            }
            reached.insert("header", header)?;
            reached.insert("size", reach)?;
            if let Some((_, last)) = entries.last() {
                write.open_table(LEAF)?.insert("last", merkle::leaf_hash(last))?;
            }
        }
        write.commit()?;
        Ok(())
    }

    fn told<T>(&self, ask: impl FnOnce(&Self) -> Result<T, redb::Error>) -> Result<T, Error> {
        ask(self).map_err(|error| Error::Index { path: self.path.clone(), why: error.to_string() })
    }
}

/// Makes the tables that are missing; how many entries are indexed.
fn make(write: &WriteTransaction) -> Result<u64, redb::Error> {
    write.open_table(IDS)?;
    write.open_table(RUNS)?;
    write.open_table(AROUND)?;
    write.open_table(LEAF)?;
    Ok(write.open_table(REACH)?.get("size")?.map_or(0, |size| size.value()))
}

struct Rows<'t> {
    ids: Table<'t, u128, (u64, u64)>,
    runs: Table<'t, (&'static str, u64), (u64, &'static str)>,
    around: Table<'t, (&'static str, u64), (u64, bool)>,
}

impl Rows<'_> {
    fn add(&mut self, index: u64, entry: &[u8], header: &mut u64) -> Result<(), redb::Error> {
        // What is no entry has no id and no run; it stays in the log and fails elsewhere.
        let Ok(face) = serde_json::from_slice::<Face<'_>>(entry) else { return Ok(()) };
        if face.kind == "batch" {
            *header = index;
        }
        if let Some(id) = face.id.as_deref().and_then(number_of) {
            self.ids.insert(id, (index, *header))?;
        }
        let Some(stream) = &face.stream else { return Ok(()) };
        if let Some(run) = face.run_id() {
            self.runs.insert((run, index), (*header, stream.gateway.as_ref()))?;
        } else if face.is_around() {
            let row = (*header, face.kind == "policy");
            self.around.insert((stream.gateway.as_ref(), index), row)?;
        }
        Ok(())
    }
}

/// A UUID's 128 bits.
fn number_of(id: &str) -> Option<u128> {
    let digits: String = id.chars().filter(|letter| *letter != '-').collect();
    (id.len() == 36 && digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}
