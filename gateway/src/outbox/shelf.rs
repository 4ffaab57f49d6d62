//! What lies in the spool, durable, and how much of it the recorder holds; it never writes a frame.

use super::frame::{self, Found};
use super::{Error, lock};
use clyra_proto::evidence::Batch;
use clyra_seal::key::VerifyingKey;
use clyra_seal::{Hash, batch};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Epoch and first seq of a spool file; files in this order hold the stream.
pub(super) type Key = (u64, u64);

/// The last header of this gateway, and how its epoch stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Epoch; 0 when there never was one.
    pub(super) epoch: u64,
    /// Last seq of that epoch.
    pub(super) seq: u64,
    /// Digest of the last header; zeros when there never was one.
    pub(super) digest: Hash,
    /// The epoch ended cleanly.
    pub(super) last: bool,
}

/// The durable part of the spool: the clerk adds, the courier takes away.
#[derive(Debug)]
pub(super) struct Shelf {
    rows: Mutex<Rows>,
    /// Bytes that the recorder does not hold yet. Written under the lock of `rows`.
    held: AtomicU64,
    /// Rises with everything put here; the courier waits on it.
    total: watch::Sender<u64>,
    /// Falls to 0 when the recorder holds all; whoever stops waits on it.
    left: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Rows {
    files: BTreeMap<Key, Row>,
    /// Bytes put here since the start, those found then among them.
    total: u64,
    /// How many of them the recorder holds.
    acked: u64,
    /// Totals and when they were reached, oldest first, at most ten a second and `MARKS_MAX` in all.
    marks: VecDeque<(u64, u64)>,
    tail: Tail,
}

/// One spool file.
#[derive(Debug)]
struct Row {
    path: PathBuf,
    /// Durable bytes.
    bytes: u64,
    /// The total at its first byte.
    base: u64,
}

impl Shelf {
    /// A shelf with the files found at the start, in order, and the last header found.
    pub(super) fn new(found: Vec<(Key, PathBuf, u64)>, tail: Tail, now_us: u64) -> Self {
        let mut rows = Rows { tail, ..Rows::default() };
        for (key, path, bytes) in found {
            rows.files.insert(key, Row { path, bytes, base: rows.total });
            rows.total += bytes;
        }
        rows.mark(now_us);
        let (held, total) = (AtomicU64::new(rows.total), watch::Sender::new(rows.total));
        let left = watch::Sender::new(rows.total);
        Self { rows: Mutex::new(rows), held, total, left }
    }

    /// Notes `bytes` more durable bytes in the newest file, and its last header.
    pub(super) fn put(&self, key: Key, path: &Path, bytes: u64, tail: Tail, now_us: u64) {
        let mut rows = lock(&self.rows);
        let base = rows.total;
        let row = rows.files.entry(key).or_insert_with(|| Row { path: path.to_owned(), bytes: 0, base });
        row.bytes += bytes;
        rows.total += bytes;
        rows.tail = tail;
        rows.mark(now_us);
        self.note_held(&rows);
        self.total.send_replace(rows.total);
    }

    /// Notes that the recorder holds everything up to this total.
    pub(super) fn ack(&self, total: u64) {
        let mut rows = lock(&self.rows);
        rows.acked = rows.acked.max(total.min(rows.total));
        let acked = rows.acked;
        while rows.marks.front().is_some_and(|(at, _)| *at <= acked) {
            rows.marks.pop_front();
        }
        self.note_held(&rows);
    }

    fn note_held(&self, rows: &Rows) {
        self.held.store(rows.total - rows.acked, Relaxed);
        self.left.send_replace(rows.total - rows.acked);
    }

    /// Removes files that the recorder holds wholly, oldest first; the newest only when told so.
    pub(super) fn sweep(&self, newest_too: bool) {
        let mut rows = lock(&self.rows);
        let keep = usize::from(!newest_too);
        while rows.files.len() > keep {
            let Some(first) = rows.files.first_entry() else { return };
            let held_wholly = first.get().base + first.get().bytes;
            let path = first.get().path.clone();
            if held_wholly > rows.acked {
                return;
            }
            match fs::remove_file(&path) {
                Err(fault) if fault.kind() != ErrorKind::NotFound => return,
                _ => rows.files.pop_first(),
            };
        }
    }

    /// Bytes that the recorder does not hold yet.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Age of the oldest batch that the recorder does not hold; 0 when it holds all.
    pub(super) fn lag_us(&self, now_us: u64) -> u64 {
        let rows = lock(&self.rows);
        let oldest = rows.marks.front().filter(|_| rows.total > rows.acked);
        oldest.map_or(0, |(_, at_us)| now_us.saturating_sub(*at_us))
    }

    /// Tells whoever listens that more was put here.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.total.subscribe()
    }

    /// Waits until the recorder holds everything put here.
    pub(super) async fn emptied(&self) {
        // The sender lives in `self`: the wait cannot fail.
        let _ = self.left.subscribe().wait_for(|left| *left == 0).await;
    }

    /// A reader that stands behind the header that the recorder holds last. Headers are told apart by digest alone.
    ///
    /// # Errors
    /// When the recorder's last header is neither in this spool nor right before its first batch.
    pub(super) fn reader_after(&self, held: &Held, key: &VerifyingKey) -> Result<Reader, Error> {
        let from = {
            let rows = lock(&self.rows);
            rows.files.range(..=(held.epoch, held.seq)).next_back().map(|(key, _)| *key)
        };
        if let Some(key) = from {
            let mut reader = Reader::at(key);
            while let Some(parcel) = reader.next(self)? {
                if batch::digest(&parcel.batch.header) == held.digest {
                    return Ok(reader);
                }
                if (parcel.epoch, parcel.last_seq) > (held.epoch, held.seq) {
                    break;
                }
            }
        }
        let start = Reader::default();
        let before_first = match start.clone().next(self)? {
            Some(parcel) => batch::open(&parcel.batch.header, key).map_err(Error::Seal)?.previous,
            None => lock(&self.rows).tail.digest,
        };
        if before_first == held.digest {
            return Ok(start);
        }
        Err(Error::Estranged { epoch: held.epoch, seq: held.seq })
    }
}

impl Rows {
    fn mark(&mut self, now_us: u64) {
        let due = self.marks.back().is_none_or(|(_, at_us)| now_us.saturating_sub(*at_us) >= MARK_US);
        if due && self.marks.len() < MARKS_MAX && self.total > self.acked {
            self.marks.push_back((self.total, now_us));
        }
    }
}

/// What the recorder says it holds last of this gateway; zeros for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Epoch.
    pub(super) epoch: u64,
    /// Last seq in that epoch.
    pub(super) seq: u64,
    /// Digest of the last header.
    pub(super) digest: Hash,
}

/// A batch read back from the spool.
#[derive(Debug)]
pub(super) struct Parcel {
    /// The batch.
    pub(super) batch: Batch,
    /// Its epoch.
    pub(super) epoch: u64,
    /// Seq of its last entry; of an empty one, the seq before it.
    pub(super) last_seq: u64,
    /// The shelf's total at its end.
    pub(super) total: u64,
}

/// A place in the spool, moving forward batch by batch.
#[derive(Clone, Debug, Default)]
pub(super) struct Reader {
    key: Key,
    offset: u64,
    next_seq: u64,
    file: Option<Arc<File>>,
}

impl Reader {
    fn at(key: Key) -> Self {
        Self { key, offset: 0, next_seq: key.1, file: None }
    }

    /// The shelf's total at this place.
    pub(super) fn total(&self, shelf: &Shelf) -> u64 {
        let rows = lock(&shelf.rows);
        let here = rows.files.get(&self.key).map(|row| row.base + self.offset);
        here.or_else(|| rows.files.values().next().map(|row| row.base)).unwrap_or(rows.total)
    }

    /// The next durable batch, if there is one already.
    ///
    /// # Errors
    /// When a file cannot be read, or no longer holds what was written.
    pub(super) fn next(&mut self, shelf: &Shelf) -> Result<Option<Parcel>, Error> {
        let Some((path, bytes, base)) = self.settle(shelf) else { return Ok(None) };
        let fault = |source| Error::File { doing: "read", path: path.clone(), source };
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(&path).map_err(fault)?),
        };
        let found = frame::read(&file, self.offset, bytes).map_err(fault)?;
        self.file = Some(file);
        let damaged = || Error::Damaged { path: path.clone(), offset: self.offset };
        let Found::Frame(payload, end) = found else { return Err(damaged()) };
        let batch = frame::batch(payload).ok_or_else(damaged)?;
        self.offset = end;
        self.next_seq += batch.entries.len() as u64;
        Ok(Some(Parcel {
            batch,
            epoch: self.key.0,
            last_seq: self.next_seq.saturating_sub(1),
            total: base + end,
        }))
    }

    /// Goes on to the next file where this one is read; `None` when nothing is left to read.
    fn settle(&mut self, shelf: &Shelf) -> Option<(PathBuf, u64, u64)> {
        let rows = lock(&shelf.rows);
        loop {
            if let Some(row) = rows.files.get(&self.key).filter(|row| self.offset < row.bytes) {
                return Some((row.path.clone(), row.bytes, row.base));
            }
            let (next, _) = rows.files.range((Excluded(self.key), Unbounded)).next()?;
            *self = Self::at(*next);
        }
    }
}

const MARK_US: u64 = 100_000;
const MARKS_MAX: usize = 4_096;
