//! The published log as one who only reads it finds it on disk, beside a recorder that may be at work. It never writes.

use super::store::Store;
use super::tiles::{self, TILE};
use crate::Error;
use bytes::Bytes;
use clyra_seal::key::SigningKey;
use clyra_seal::{hex, note};
use std::path::Path;
use tokio::runtime::Handle;
use tokio::task;

/// A log as of its checkpoint.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) store: Store,
    pub(crate) origin: String,
    pub(crate) size: u64,
    root: String,
}

impl Reader {
    /// Opens the log of a recorder's data folder. Waits.
    pub(crate) fn open(data: &Path, runtime: Handle) -> Result<Self, Error> {
        let log = data.join("log");
        if !log.is_dir() {
            return Err(Error::file("open", &log)(std::io::ErrorKind::NotFound.into()));
        }
        let key = SigningKey::load(&data.join("log.key"))?.verifying();
        let store = Store::open(&log, runtime)?;
        let (size, root) = match store.get("checkpoint")? {
            Some(bytes) => {
                let told = note::open_checkpoint(&String::from_utf8_lossy(&bytes), &key)?;
                (told.size, hex(&told.root))
            }
            None => (0, String::new()),
        };
        Ok(Self { store, origin: key.name().to_owned(), size, root })
    }

    /// Entries from `index` to the end of their tile; none behind the last.
    pub(crate) fn entries(&self, index: u64) -> Result<Vec<Bytes>, Error> {
        if index >= self.size {
            return Ok(Vec::new());
        }
        let tile = index / TILE;
        let mut found = tiles::entries(&self.store, tile, TILE.min(self.size - tile * TILE))?;
        drop(found.drain(..usize::try_from(index % TILE).unwrap_or_default().min(found.len())));
        Ok(found)
    }
}

/// How far a walk over the log reached, for whoever wants to say what it was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Name of the log.
    pub origin: String,
    /// Its size at the checkpoint.
    pub size: u64,
    /// Its root at the checkpoint, in hex; empty for an empty log.
    pub root: String,
}

/// Hands every entry of the published log of this data folder to `each`, with its index, until that says no.
///
/// # Errors
/// When the log cannot be read.
pub async fn entries(
    data: &Path,
    mut each: impl FnMut(u64, &[u8]) -> bool + Send + 'static,
) -> Result<Extent, Error> {
    let (data, runtime) = (data.to_owned(), Handle::current());
    let walked = task::spawn_blocking(move || {
        let reader = Reader::open(&data, runtime)?;
        let mut at = 0;
        'log: while at < reader.size {
            for entry in reader.entries(at)? {
                if !each(at, &entry) {
                    break 'log;
                }
                at += 1;
            }
        }
        Ok(Extent { origin: reader.origin, size: reader.size, root: reader.root })
    });
    walked.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?
}
