//! The shelf: what the log shows to readers: commit, then tiles, then the signed checkpoint. It never signs a root whose
//! commit it has not won, and never one that the written tiles do not give.

pub(crate) mod commit;
pub(crate) mod publisher;
pub(crate) mod reader;
pub(crate) mod store;
pub(crate) mod tiles;

use crate::Error;
use crate::log::{SharedTip, Tip, look, wal};
use bytes::Bytes;
use clyra_seal::key::SigningKey;
use clyra_seal::{Hash, note};
use commit::Commit;
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;
use tiles::{Staged, Tiles};
use tokio::sync::watch;

/// The newest checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// The signed note.
    pub(crate) note: String,
}

/// What is published, and how to publish more.
#[derive(Debug)]
pub(crate) struct Shelf {
    store: Store,
    key: Arc<SigningKey>,
    wal: PathBuf,
    segment_bytes: u64,
    tiles: Tiles,
    published: Option<Published>,
    /// Number of the newest commit.
    number: u64,
    /// The newest commit, while tiles and checkpoint still lag behind it.
    won: Option<Commit>,
    /// Where the published part of the segments ends.
    place: wal::Place,
    /// Newest checkpoint with the cosignatures that witnesses gave it.
    cosigned: watch::Receiver<Option<Published>>,
}

impl Shelf {
    /// Reads what is published; gives also the tip as of then.
    pub(crate) fn open(
        store: Store,
        key: Arc<SigningKey>,
        wal: PathBuf,
        segment_bytes: u64,
    ) -> Result<(Self, Tip), Error> {
        let published = match store.get("checkpoint")? {
            None => None,
            Some(bytes) => {
                let note = String::from_utf8(bytes.to_vec())
                    .map_err(|_| Error::mismatch("`checkpoint` is no text"))?;
                let checkpoint = note::open_checkpoint(&note, &key.verifying())?;
                Some(Published { size: checkpoint.size, root: checkpoint.root, note })
            }
        };
        let (number, base, won) = commits(&store, published.as_ref())?;
        let tiles = Tiles::load(&store, base.size())?;
        if tiles.root() != base.root() {
            return Err(Error::mismatch(format!("the tiles do not give the root of size {}", base.size())));
        }
        let tip = Tip { tree: base.tree, heads: base.heads, wants_spare: false };
        let place = wal::Place::default();
        let (_, cosigned) = watch::channel(None);
        let shelf = Self { store, key, wal, segment_bytes, tiles, published, number, won, place, cosigned };
        Ok((shelf, tip))
    }

    /// The shelf that shows the cosignatures told here.
    pub(crate) fn cosigned(self, cosigned: watch::Receiver<Option<Published>>) -> Self {
        Self { cosigned, ..self }
    }

    /// Size and root of a commit that the checkpoint does not show yet.
    pub(crate) fn won(&self) -> Option<(u64, Hash)> {
        self.won.as_ref().map(|commit| (commit.size(), commit.root()))
    }

    pub(crate) fn published(&self) -> Option<&Published> {
        self.published.as_ref()
    }

    /// Publishes all that is durable now.
    pub(crate) fn publish(&mut self, tip: &SharedTip) -> Result<(), Error> {
        self.show_cosigned()?;
        loop {
            let commit = match self.won.clone() {
                Some(commit) => commit,
                None => {
                    let commit = Commit::of(&look(tip));
                    if commit.size() == self.size() {
                        break;
                    }
                    self.win(commit.clone())?;
                    commit
                }
            };
            let before = self.size();
            let mut tiles = self.tiles.clone();
            let place = self.write_tiles(&commit, &mut tiles)?;
            self.sign(&commit, tiles)?;
            self.place = place;
            self.tidy(before)?;
        }
        if look(tip).wants_spare {
            wal::prepare_spare(&self.wal, self.segment_bytes)?;
        }
        Ok(())
    }

    /// Step one: nobody else may sign this number from now on.
    fn win(&mut self, commit: Commit) -> Result<(), Error> {
        commit.win(&self.store, self.key.name(), self.number + 1)?;
        self.number += 1;
        self.won = Some(commit);
        Ok(())
    }

    /// Step two: every tile that the commit needs.
    fn write_tiles(&self, commit: &Commit, tiles: &mut Tiles) -> Result<wal::Place, Error> {
        let mut staged = Staged::new();
        let place = wal::replay(&self.wal, &self.place, self.size(), commit.size(), |frame| {
            for batch in &frame.batches {
                for entry in std::iter::once(&batch.header).chain(&batch.entries) {
                    tiles.append(entry, &mut staged)?;
                }
                if staged.len() >= STAGED_MAX {
                    self.store.put_all(&mut staged)?;
                }
            }
            Ok(())
        })?;
        tiles.stage_partial(&mut staged);
        self.store.put_all(&mut staged)?;
        if tiles.root() != commit.root() {
            return Err(Error::mismatch(format!("segments and tree disagree at size {}", commit.size())));
        }
        Ok(place)
    }

    /// Step three: the checkpoint.
    fn sign(&mut self, commit: &Commit, tiles: Tiles) -> Result<(), Error> {
        let (size, root) = (commit.size(), commit.root());
        let note = note::sign_checkpoint(self.key.name(), size, &root, &self.key);
        self.store.put("checkpoint", Bytes::copy_from_slice(note.as_bytes()))?;
        self.published = Some(Published { size, root, note });
        self.tiles = tiles;
        self.won = None;
        Ok(())
    }

    /// Shows the checkpoint with what witnesses signed of it, as long as it is the newest.
    fn show_cosigned(&mut self) -> Result<(), Error> {
        let told = self.cosigned.borrow_and_update().clone();
        let shown = self.published.as_ref().map(|shown| (shown.size, shown.root, &shown.note));
        if let (Some(told), Some((size, root, note))) = (told, shown)
            && (told.size, told.root) == (size, root)
            && told.note != *note
        {
            self.store.put("checkpoint", Bytes::copy_from_slice(told.note.as_bytes()))?;
            self.published = Some(told);
        }
        Ok(())
    }

    /// Step four: what is of no use any more.
    fn tidy(&self, before: u64) -> Result<(), Error> {
        for folder in self.tiles.outgrown(before) {
            for key in self.store.list(&folder)? {
                self.store.delete(&key)?;
            }
        }
        commit::prune(&self.store)?;
        wal::discard_below(&self.wal, self.size())
    }

    fn size(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.size)
    }
}

/// Number of the newest commit, the commit that the checkpoint shows, and a newer one where there is one.
fn commits(store: &Store, published: Option<&Published>) -> Result<(u64, Commit, Option<Commit>), Error> {
    let empty = || Commit::of(&Tip::default());
    let load = |number| {
        Commit::load(store, number)?.ok_or_else(|| Error::mismatch(format!("commit {number} is missing")))
    };
    let number = commit::numbers(store)?.last().copied().unwrap_or_default();
    let shown = published.map_or((0, empty().root()), |published| (published.size, published.root));
    let shows = |commit: &Commit| (commit.size(), commit.root()) == shown;
    if number == 0 {
        return if published.is_none() {
            Ok((0, empty(), None))
        } else {
            Err(Error::mismatch("there is a checkpoint and no commit"))
        };
    }
    let newest = load(number)?;
    if published.is_some() && shows(&newest) {
        return Ok((number, newest, None));
    }
    let base = if published.is_none() && number == 1 { empty() } else { load(number - 1)? };
    if shows(&base) {
        Ok((number, base, Some(newest)))
    } else {
        Err(Error::mismatch(format!(
            "the checkpoint of size {} shows neither of the last two commits",
            shown.0
        )))
    }
}

/// Full tiles that wait in memory before they are written together.
const STAGED_MAX: usize = 32;

#[cfg(test)]
mod tests;
