//! Cutting the bundle of one run out of the published log. It looks only at an entry's envelope.

mod paths;

use crate::Error;
use crate::intake::makers::Makers;
use crate::shelf::Published;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use bytes::Bytes;
use clyra_seal::bundle::{self, Item, Place, Role};
use clyra_seal::key::{SigningKey, VerifyingKey};
use clyra_seal::merkle::{self, Levels};
use clyra_seal::note::Checkpoint;
use paths::Paths;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Cuts bundles, one at a time.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) store: Store,
    pub(crate) makers: Arc<Makers>,
    pub(crate) log_key: VerifyingKey,
    pub(crate) bundle_key: SigningKey,
    pub(crate) one: Mutex<()>,
}

impl Cutter {
    /// The bundle of a run as of the checkpoint. Reads the whole log; waits.
    pub(crate) fn cut(&self, run_id: &str, published: &Published) -> Result<Vec<u8>, Error> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pick = Pick::new(run_id);
        for tile in 0..published.size.div_ceil(TILE) {
            let width = TILE.min(published.size - tile * TILE);
            for (index, entry) in (tile * TILE..).zip(tiles::entries(&self.store, tile, width)?) {
                pick.look(index, &entry)?;
            }
        }
        let picked = pick.finish(published.size)?;
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
}

/// Walks over the log and picks what belongs to one run (spec/bundle.md, "Which entries").
#[derive(Debug)]
struct Pick<'r> {
    run_id: &'r str,
    header: Option<(u64, Bytes)>,
    /// Something of the current batch may be needed.
    header_kept: bool,
    picked: Picked,
    headers: BTreeMap<u64, Bytes>,
    /// Last policy entry of each gateway, before the run began.
    policies: BTreeMap<String, (u64, Found)>,
    /// Policy, switch and gap entries of any gateway since the run began.
    around: Vec<(u64, String, Found)>,
    last_own: u64,
    bytes: usize,
}

impl<'r> Pick<'r> {
    fn new(run_id: &'r str) -> Self {
        Self {
            run_id,
            header: None,
            header_kept: false,
            picked: Picked::default(),
            headers: BTreeMap::new(),
            policies: BTreeMap::new(),
            around: Vec::new(),
            last_own: 0,
            bytes: 0,
        }
    }

    fn look(&mut self, index: u64, entry: &Bytes) -> Result<(), Error> {
        // What is no entry belongs to no run; it stays in the log and fails elsewhere.
        let Ok(face) = serde_json::from_slice::<Face<'_>>(entry) else { return Ok(()) };
        if face.kind == "batch" {
            if let Some((header, _)) = self.header.replace((index, entry.clone()))
                && std::mem::take(&mut self.header_kept)
            {
                self.picked.batches.insert(header, index);
            }
            return Ok(());
        }
        let (Some(stream), Some((header, _))) = (&face.stream, &self.header) else { return Ok(()) };
        let gateway = stream.gateway.as_ref();
        let found = Found { entry: entry.clone(), header: *header };
        if face.belongs_to(self.run_id) {
            self.picked.gateways.insert(gateway.to_owned());
            self.last_own = index;
            self.keep_header();
            self.bytes += entry.len();
            self.picked.entries.insert(index, found);
        } else if matches!(face.kind.as_ref(), "policy" | "switch" | "gap") {
            if !self.picked.entries.is_empty() {
                self.keep_header();
                self.bytes += entry.len();
                self.around.push((index, gateway.to_owned(), found));
            } else if face.kind == "policy" {
                self.keep_header();
                self.policies.insert(gateway.to_owned(), (index, found));
            }
        }
        if self.bytes > RUN_BYTES_MAX {
            return Err(Error::RunTooLarge { run: self.run_id.into(), allowed: RUN_BYTES_MAX });
        }
        Ok(())
    }

    fn keep_header(&mut self) {
        if let Some((index, header)) = &self.header {
            self.header_kept = true;
            self.headers.insert(*index, header.clone());
        }
    }

    fn finish(mut self, size: u64) -> Result<Picked, Error> {
        if self.picked.entries.is_empty() {
            return Err(Error::NoSuchRun { run: self.run_id.into() });
        }
        if let Some((header, _)) = self.header
            && self.header_kept
        {
            self.picked.batches.insert(header, size);
        }
        let around = self.around.into_iter().filter(|(index, _, _)| *index < self.last_own);
        let others =
            around.chain(self.policies.into_iter().map(|(gateway, (index, found))| (index, gateway, found)));
        for (index, gateway, found) in others {
            if self.picked.gateways.contains(&gateway) {
                self.picked.entries.insert(index, found);
            }
        }
        let needed: BTreeSet<u64> = self.picked.entries.values().map(|found| found.header).collect();
        let headers = self.headers.into_iter().filter(|(index, _)| needed.contains(index));
        self.picked.entries.extend(headers.map(|(header, entry)| (header, Found { entry, header })));
        Ok(self.picked)
    }
}

/// The envelope of an entry.
#[derive(Deserialize)]
struct Face<'e> {
    #[serde(borrow)]
    kind: Cow<'e, str>,
    #[serde(borrow)]
    stream: Option<Stream<'e>>,
    #[serde(borrow)]
    run: Option<Run<'e>>,
    #[serde(borrow)]
    run_id: Option<Cow<'e, str>>,
}

#[derive(Deserialize)]
struct Stream<'e> {
    #[serde(borrow)]
    gateway: Cow<'e, str>,
}

#[derive(Deserialize)]
struct Run<'e> {
    #[serde(borrow)]
    run_id: Cow<'e, str>,
}

impl Face<'_> {
    fn belongs_to(&self, run_id: &str) -> bool {
        match self.kind.as_ref() {
            "receipt" => self.run.as_ref().is_some_and(|run| run.run_id == run_id),
            "run_open" | "run_close" => self.run_id.as_deref() == Some(run_id),
            _ => false,
        }
    }
}

/// Most bytes of entries in one bundle: below what a verifier reads.
const RUN_BYTES_MAX: usize = 1 << 30;
