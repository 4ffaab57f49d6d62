//! The journal of the caps: what may be used is written down before it is used, in slices. It never counts, and holds
//! no names: only keyed fingerprints of who shares a cap.
//!
//! A record is 48 bytes: key, time, units, window, check. It is in the system's hands before a unit of it is used, so
//! that a process killed at any moment has used nothing that is not written; it is on the disk within seconds.

use crate::Error;
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Units that may be used from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: u128,
    pub(super) at_us: u64,
    pub(super) units: u64,
    pub(super) window_us: u64,
}

/// The journal, open.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Written since it was last on the disk.
    fresh: bool,
}

impl Journal {
    /// Opens the journal and gives what it holds, per key and in order.
    pub(super) fn open(path: PathBuf) -> Result<(Self, Vec<Record>), Error> {
        let mut records = Vec::new();
        let mut whole = 0;
        for part in [path.with_extension("old"), path.with_extension("turned"), path.clone()] {
            match fs::read(&part) {
                Ok(bytes) => whole = read(&bytes, &part, &mut records)?,
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => whole = 0,
                Err(source) => return Err(Error::Data { path: part, source }),
            }
        }
        let data = |source| Error::Data { path: path.clone(), source };
        let file = OpenOptions::new().append(true).create(true).open(&path).map_err(data)?;
        // A record that was cut off would put all later ones out of step.
        file.set_len(whole).map_err(data)?;
        Ok((Self { path, file, bytes: whole, fresh: false }, records))
    }

    /// Writes one record.
    pub(super) fn write(&mut self, record: Record) -> std::io::Result<()> {
        self.file.write_all(&encoded(record))?;
        self.bytes += RECORD_BYTES as u64;
        self.fresh = true;
        Ok(())
    }

    /// Puts what was written on the disk.
    pub(super) fn settle(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.fresh) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// It is time to write it anew.
    pub(super) fn is_long(&self) -> bool {
        self.bytes > LONG_BYTES
    }

    /// Writes on in a new file; what was written before counts until it is replaced.
    pub(super) fn turn(&mut self) -> std::io::Result<()> {
        let turned = self.path.with_extension("turned");
        if turned.exists() {
            // What was turned before is not replaced yet.
            return Ok(());
        }
        self.settle()?;
        fs::rename(&self.path, turned)?;
        self.file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    /// Forgets what it holds, which stands elsewhere by now.
    pub(super) fn clear(&mut self) -> std::io::Result<()> {
        self.bytes = 0;
        self.file.set_len(0)
    }

    /// Replaces what was written before the last turn by `records`.
    pub(super) fn replace(path: &Path, records: &[Record]) -> std::io::Result<()> {
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        let bytes: Vec<u8> = records.iter().flat_map(|record| encoded(*record)).collect();
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path.with_extension("old"))?;
        // Until this is done, both count: rather twice than not at all.
        match fs::remove_file(path.with_extension("turned")) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// When each record must be taken to have been used: when the next one of its key was written, or now.
pub(super) fn used_at(records: &[Record], now_us: u64) -> Vec<(Record, u64)> {
    let mut next: HashMap<u128, u64> = HashMap::new();
    let mut used: Vec<(Record, u64)> = records
        .iter()
        .rev()
        .map(|record| {
            let at = next.insert(record.key, record.at_us).unwrap_or(now_us);
            (*record, at.max(record.at_us).min(now_us.max(record.at_us)))
        })
        .collect();
    used.reverse();
    used
}

/// Reads a file; gives the bytes of its whole records.
fn read(bytes: &[u8], path: &Path, records: &mut Vec<Record>) -> Result<u64, Error> {
    let (whole, _) = bytes.as_chunks::<RECORD_BYTES>();
    for (place, chunk) in whole.iter().enumerate() {
        match decoded(chunk) {
            Some(record) => records.push(record),
            // The last write may have been cut off anywhere; anything before it may not.
            None if place + 1 == whole.len() => return Ok((place * RECORD_BYTES) as u64),
            None => {
                let why = format!("record {} of the cap journal is not whole", place + 1);
                return Err(Error::Damaged { path: path.to_owned(), why });
            }
        }
    }
    Ok((whole.len() * RECORD_BYTES) as u64)
}

fn encoded(record: Record) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let fields = [record.at_us, record.units, record.window_us].map(u64::to_be_bytes);
    let body = record.key.to_be_bytes().into_iter().chain(fields.into_iter().flatten());
    bytes.iter_mut().zip(body).for_each(|(place, byte)| *place = byte);
    let check = check(&bytes);
    bytes.iter_mut().skip(BODY_BYTES).zip(check).for_each(|(place, byte)| *place = byte);
    bytes
}

fn decoded(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let (body, sum) = bytes.split_at_checked(BODY_BYTES)?;
    if check(bytes) != *sum {
        return None;
    }
    let (key, rest) = body.split_first_chunk::<16>()?;
    let (at_us, rest) = rest.split_first_chunk::<8>()?;
    let (units, rest) = rest.split_first_chunk::<8>()?;
    let (window_us, _) = rest.split_first_chunk::<8>()?;
    Some(Record {
        key: u128::from_be_bytes(*key),
        at_us: u64::from_be_bytes(*at_us),
        units: u64::from_be_bytes(*units),
        window_us: u64::from_be_bytes(*window_us),
    })
}

fn check(bytes: &[u8; RECORD_BYTES]) -> [u8; 8] {
    let body = bytes.first_chunk::<BODY_BYTES>().copied().unwrap_or([0; BODY_BYTES]);
    blake3::hash(&body).as_bytes().first_chunk::<8>().copied().unwrap_or_default()
}

const BODY_BYTES: usize = 40;
const RECORD_BYTES: usize = 48;
/// Longer than this, it is written anew.
const LONG_BYTES: u64 = 8 << 20;
