//! The segments of the write-ahead log: every frame whole, every index in its place, the same entries as in the tree, and
//! zeros wherever nothing was written.

use super::Health;
use crate::Error;
use crate::log::frame::{self, Frame, Rest};
use crate::log::wal;
use crate::shelf::store::Store;
use crate::shelf::tiles::{self, TILE};
use bytes::Bytes;
use std::fs::{self, File};
use std::path::Path;

/// Checks every segment and the spare one; notes how far they reach.
/// Entries below `compared` are held against the tree.
pub(super) fn check(folder: &Path, store: &Store, compared: u64, health: &mut Health) -> Result<(), Error> {
    health.size = health.published;
    let segments = wal::segments(folder)?;
    let last = segments.len().saturating_sub(1);
    let mut next = None;
    for (number, (index, path)) in segments.iter().enumerate() {
        health.files += 1;
        if next.is_some_and(|next| next != *index) {
            health.fault(path, 0, format!("expected index {}, found {index}", next.unwrap_or_default()));
        }
        next = Some(segment(path, *index, number == last, (store, compared), health)?);
    }
    if let Some(next) = next {
        if next < health.published {
            let path = segments.last().map_or(folder, |(_, path)| path);
            let why = format!("the segments end at index {next}, the checkpoint shows {}", health.published);
            health.fault(path, 0, why);
        }
        health.size = health.size.max(next);
    }
    let spare = folder.join("spare");
    if spare.exists() {
        health.files += 1;
        let bytes = fs::read(&spare).map_err(Error::file("read", &spare))?;
        if let Some(at) = bytes.iter().position(|byte| *byte != 0) {
            health.fault(&spare, at as u64, "the spare segment holds something");
        }
    }
    Ok(())
}

/// Walks over one segment; the index behind its last frame.
fn segment(
    path: &Path,
    index: u64,
    is_last: bool,
    (store, compared): (&Store, u64),
    health: &mut Health,
) -> Result<u64, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let (mut offset, mut at) = (0, index);
    loop {
        match frame::read(&file, path, offset) {
            Ok(Some(frame)) => {
                if frame.index != at {
                    health.fault(path, offset, format!("expected index {at}, found {}", frame.index));
                }
                if let Some(index) = differs(&frame, store, compared) {
                    health.fault(path, offset, format!("entry {index} is another one in the tree"));
                }
                (offset, at) = (frame.end, frame.next_index());
                continue;
            }
            Ok(None) => {}
            Err(Error::Damaged { offset, why, .. }) => health.fault(path, offset, why),
            Err(other) => return Err(other),
        }
        match frame::rest(&file, path, offset)? {
            Rest::Blank => return Ok(at),
            Rest::Torn if is_last && at >= health.published => {
                health.fault(path, offset, "a write that never finished, or a frame that is damaged");
                return Ok(at);
            }
            Rest::Torn => {
                health.fault(path, offset, "unreadable frame");
                return Ok(at);
            }
            Rest::Broken(whole) => {
                health.fault(path, offset, format!("unreadable up to the frame at byte {whole}"));
                if let Ok(Some(frame)) = frame::read(&file, path, whole) {
                    at = frame.index;
                }
                offset = whole;
            }
        }
    }
}

/// The first entry of a frame that the tree knows otherwise; what is not published is not compared.
fn differs(frame: &Frame, store: &Store, published: u64) -> Option<u64> {
    let mut page: Option<(u64, Vec<Bytes>)> = None;
    let entries = frame.batches.iter().flat_map(|batch| std::iter::once(&batch.header).chain(&batch.entries));
    for (index, entry) in (frame.index..published).zip(entries) {
        let tile = index / TILE;
        if page.as_ref().is_none_or(|(open, _)| *open != tile) {
            let width = TILE.min(published - tile * TILE);
            // A file that cannot be read is a fault of the tree, and told there.
            page = Some((tile, tiles::entries(store, tile, width).ok()?));
        }
        let place = usize::try_from(index % TILE).ok()?;
        let known = page.as_ref().and_then(|(_, entries)| entries.get(place));
        if known != Some(entry) {
            return Some(index);
        }
    }
    None
}
