//! Cutting the bundle of one run out of the published log. It looks only at an entry's envelope.

pub(crate) mod face;
pub(crate) mod paths;

use crate::Error;
use crate::index::{Index, Spot};
use crate::intake::makers::Makers;
use crate::shelf::Published;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use bytes::Bytes;
use clyra_seal::batch;
use clyra_seal::bundle::{self, Item, Place, Role};
use clyra_seal::key::{SigningKey, VerifyingKey};
use clyra_seal::merkle::{self, Levels};
use clyra_seal::note::Checkpoint;
use face::Face;
use paths::Paths;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Cuts bundles and proves single entries, one at a time.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) store: Store,
    pub(crate) makers: Arc<Makers>,
    pub(crate) log_key: VerifyingKey,
    pub(crate) bundle_key: SigningKey,
    pub(crate) index: Index,
    pub(crate) one: Mutex<()>,
}

impl Cutter {
    /// The bundle of a run as of the checkpoint. Waits.
    pub(crate) fn cut(&self, run_id: &str, published: &Published) -> Result<Vec<u8>, Error> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        self.index.fill(&self.store, published)?;
        let picked = self.pick(run_id, published.size)?;
        let items = self.prove(&picked, published)?;
        let checkpoint =
            Checkpoint { origin: self.log_key.name().into(), size: published.size, root: published.root };
        let cut = bundle::Cut {
            run_id,
            note: &published.note,
            checkpoint: &checkpoint,
            items: &items,
            keys: &self.keys(&picked)?,
            producer: concat!("clyra ", env!("CARGO_PKG_VERSION")),
        };
        Ok(bundle::build(&cut, &self.bundle_key)?)
    }

    /// One entry, its batch header, and their proofs as of the checkpoint, in the order of the log. Waits.
    pub(crate) fn entry(&self, id: &str, published: &Published) -> Result<Option<Vec<Item>>, Error> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        self.index.fill(&self.store, published)?;
        let Some(spot) = self.index.id(id)?.filter(|spot| spot.index < published.size) else {
            return Ok(None);
        };
        let mut picked = Picked::default();
        let mut pages = Pages { store: &self.store, size: published.size, open: None };
        picked.load([spot].into(), &mut pages)?;
        let is_it = |found: &Found| {
            serde_json::from_slice::<Face<'_>>(&found.entry).is_ok_and(|face| face.id.as_deref() == Some(id))
        };
        if !picked.entries.get(&spot.index).is_some_and(is_it) {
            return Err(Error::mismatch(format!("entry {} has not the id `{id}`; {REINDEX}", spot.index)));
        }
        self.prove(&picked, published).map(Some)
    }

    /// What belongs to one run (spec/bundle.md, "Which entries").
    fn pick(&self, run_id: &str, size: u64) -> Result<Picked, Error> {
        let own = self.index.run(run_id, size)?;
        let indexes = || own.values().flatten().map(|spot| spot.index);
        let (Some(first), Some(last)) = (indexes().min(), indexes().max()) else {
            return Err(Error::NoSuchRun { run: run_id.into() });
        };
        let mut spots: BTreeSet<Spot> = own.values().flatten().copied().collect();
        for gateway in own.keys() {
            spots.extend(self.index.around(gateway, first, last)?);
        }
        let mut picked = Picked { gateways: own.keys().cloned().collect(), ..Picked::default() };
        picked.load(spots, &mut Pages { store: &self.store, size, open: None })?;
        if picked.bytes > RUN_BYTES_MAX {
            return Err(Error::RunTooLarge { run: run_id.into(), allowed: RUN_BYTES_MAX });
        }
        for index in indexes() {
            let fits = picked.entries.get(&index).is_some_and(|found| {
                serde_json::from_slice::<Face<'_>>(&found.entry)
                    .is_ok_and(|face| face.run_id() == Some(run_id))
            });
            if !fits {
                return Err(Error::mismatch(format!("entry {index} is not of run `{run_id}`; {REINDEX}")));
            }
        }
        Ok(picked)
    }

    fn prove(&self, picked: &Picked, published: &Published) -> Result<Vec<Item>, Error> {
        let mut paths = Paths::new(&self.store, published.size);
        let mut items = Vec::with_capacity(picked.entries.len());
        let mut batch: Option<(u64, Levels)> = None;
        for (index, found) in &picked.entries {
            let place = if found.header == *index {
                Place::Header
            } else {
                if batch.as_ref().is_none_or(|(header, _)| *header != found.header) {
                    let end = picked.batches.get(&found.header).copied().unwrap_or(published.size);
                    batch = Some((found.header, Levels::of(paths.leaves(found.header + 1, end)?)));
                }
                let number = usize::try_from(index - found.header - 1).unwrap_or(usize::MAX);
                let path = batch.as_ref().map(|(_, levels)| levels.path(number)).unwrap_or_default();
                Place::Covered { batch: found.header, path }
            };
            let path = paths.path(*index)?;
            let leaf = merkle::leaf_hash(&found.entry);
            if merkle::root_of_path(leaf, *index, published.size, &path) != Some(published.root) {
                return Err(Error::mismatch(format!(
                    "entry {index} is not under the root of the checkpoint"
                )));
            }
            items.push(Item { entry: found.entry.to_vec(), index: *index, path, place });
        }
        Ok(items)
    }

    fn keys(&self, picked: &Picked) -> Result<Vec<(Role, VerifyingKey)>, Error> {
        let gateways = self.makers.all()?.into_iter().filter(|key| picked.gateways.contains(key.name()));
        let mut keys: Vec<_> = gateways.map(|key| (Role::Gateway, key)).collect();
        keys.push((Role::Log, self.log_key.clone()));
        keys.push((Role::Recorder, self.bundle_key.verifying()));
        Ok(keys)
    }
}

/// An entry that goes into the bundle.
#[derive(Clone, Debug)]
struct Found {
    entry: Bytes,
    /// Index of the header of its batch; its own for a header.
    header: u64,
}

/// All that goes into the bundle.
#[derive(Debug, Default)]
struct Picked {
    entries: BTreeMap<u64, Found>,
    /// Header index and end of each batch.
    batches: BTreeMap<u64, u64>,
    gateways: BTreeSet<String>,
    bytes: usize,
}

impl Picked {
    /// Reads these entries and the headers of their batches, up to what a bundle may hold.
    fn load(&mut self, mut spots: BTreeSet<Spot>, pages: &mut Pages<'_>) -> Result<(), Error> {
        let headers: Vec<u64> = spots.iter().map(|spot| spot.header).collect();
        spots.extend(headers.into_iter().map(|header| Spot { index: header, header }));
        for Spot { index, header } in spots {
            let entry = pages.entry(index)?;
            if index == header {
                let claims = batch::claimed(&entry).map_err(|fault| {
                    Error::mismatch(format!("entry {index} is no header: {fault}; {REINDEX}"))
                })?;
                self.batches.insert(header, header + 1 + claims.count);
            }
            self.bytes += entry.len();
            self.entries.insert(index, Found { entry, header });
            if self.bytes > RUN_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}

/// Entries out of the log's files, one file in memory at a time.
#[derive(Debug)]
struct Pages<'s> {
    store: &'s Store,
    size: u64,
    open: Option<(u64, Vec<Bytes>)>,
}

impl Pages<'_> {
    fn entry(&mut self, index: u64) -> Result<Bytes, Error> {
        let tile = index / TILE;
        if self.open.as_ref().is_none_or(|(open, _)| *open != tile) {
            let width = TILE.min(self.size.saturating_sub(tile * TILE));
            self.open = Some((tile, tiles::entries(self.store, tile, width)?));
        }
        let entries = self.open.as_ref().map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        let place = usize::try_from(index % TILE).unwrap_or(usize::MAX);
        entries.get(place).cloned().ok_or_else(|| Error::mismatch(format!("entry {index} is not published")))
    }
}

/// Most bytes of entries in one bundle: below what a verifier reads.
const RUN_BYTES_MAX: usize = 1 << 30;
const REINDEX: &str = "the index does not fit the log, `clyra recorder reindex` makes it anew";

#[cfg(test)]
mod tests;
