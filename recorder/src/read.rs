//! Reads the published log from its files, in order, while a recorder may be writing to it. It changes nothing, and says
//! nothing of what is not under the checkpoint yet.

use crate::Error;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use clyra_seal::key::SigningKey;
use clyra_seal::{merkle, note};
use std::path::Path;
use tokio::runtime::Handle;

/// Gives every published entry to `visit`: number of the entry, size of the log, bytes. Answers with the size when all of
/// them give the root that the log's key has signed. Waits; never call it on a thread of the runtime.
///
/// # Errors
/// When the folder is none of a recorder, a file cannot be read, or the entries do not give the signed root: what has been
/// visited by then is not what the log holds.
pub fn read(data: &Path, runtime: Handle, visit: &mut dyn FnMut(u64, u64, &[u8])) -> Result<u64, Error> {
    let key_path = data.join("log.key");
    // A key or a folder that is missing must not be made here.
    std::fs::metadata(&key_path).map_err(Error::file("read", &key_path))?;
    let folder = data.join("log");
    std::fs::metadata(&folder).map_err(Error::file("read", &folder))?;
    let key = SigningKey::load(&key_path)?.verifying();
    let store = Store::open(&folder, runtime)?;
    let Some(bytes) = store.get("checkpoint")? else { return Ok(0) };
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::mismatch("`checkpoint` is no text"))?;
    let checkpoint = note::open_checkpoint(text, &key)?;
    let size = checkpoint.size;
    let mut tree = merkle::Tree::new();
    for tile in 0..size.div_ceil(TILE) {
        let first = tile * TILE;
        let entries = tiles::entries(&store, tile, TILE.min(size - first))?;
        for (entry, index) in entries.iter().zip(first..) {
            tree.append(merkle::leaf_hash(entry));
            visit(index, size, entry);
        }
    }
    if tree.root() != checkpoint.root {
        return Err(Error::mismatch(format!("the entries do not give the signed root of size {size}")));
    }
    Ok(size)
}
