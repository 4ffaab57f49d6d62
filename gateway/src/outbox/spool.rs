//! Writes frames to disk and finds them again after a stop; it never removes what the recorder does not hold.
//!
//! ```text
//! <dir>/lock                         one gateway at a time
//! <dir>/chain                        the last header and how its epoch stands, also when no frame is left
//! <dir>/<epoch>-<first seq>.spool    frames, at most 64 MiB
//! ```
//! Frames stay in memory until they are durable. After a failed fdatasync the file's unsynced end cannot be trusted:
//! it is cut off, and the frames go into a new file. Only durable frames are shown to the courier, so that the
//! recorder never holds what a power cut could take from the spool.

use super::Error;
use super::frame::{self, Found};
use super::pen::Page;
use super::shelf::{Key, Shelf, Tail};
use clyra_seal::key::VerifyingKey;
use clyra_seal::{batch, hex, unhex};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The writing end of the spool. Owned by the clerk alone.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
    epoch: u64,
    shelf: Arc<Shelf>,
    /// The file written to, once there is something to write.
    open: Option<Segment>,
    /// A file whose unsynced end must be cut off before anything else is written.
    broken: Option<Segment>,
    /// Frames that are not durable, all for one file.
    pending: Vec<u8>,
    /// How much of `pending` has been handed to the system.
    written: usize,
    /// Seq of the first entry in `pending`, or of the next entry when it is empty.
    pending_seq: u64,
    /// The last header appended.
    tail: Tail,
    file_bytes_max: u64,
    /// Keeps other gateways out while this one lives.
    _lock: File,
}

/// A file being written.
#[derive(Debug)]
struct Segment {
    key: Key,
    path: PathBuf,
    file: File,
    synced: u64,
}

impl Spool {
    /// Opens the folder, checks every frame in it, cuts a torn end, and begins an epoch at `now_us` or later.
    /// Answers with the tail that the last process left.
    ///
    /// # Errors
    /// When the folder cannot be used, another gateway uses it, or something in it that was promised is damaged.
    pub(super) fn open(
        dir: PathBuf,
        bytes_max: u64,
        key: &VerifyingKey,
        now_us: u64,
    ) -> Result<(Self, Tail), Error> {
        fs::create_dir_all(&dir).map_err(fault("make", &dir))?;
        let lock = lock_folder(&dir)?;
        let mut tail = read_chain(&dir)?;
        let mut found = Vec::new();
        let files = list(&dir)?;
        let newest = files.last().map(|(key, _)| *key);
        let mut expected = None;
        for (place, path) in files {
            if expected.is_some_and(|(epoch, seq)| epoch == place.0 && seq != place.1) {
                return Err(Error::Missing { path });
            }
            let scan = scan(&path, place, newest == Some(place))?;
            expected = Some((place.0, scan.next_seq));
            if let Some(header) = scan.last_header {
                let claims = batch::open(&header, key).map_err(|source| Error::Foreign {
                    path: path.clone(),
                    key: key.id().to_owned(),
                    source,
                })?;
                if (claims.epoch, claims.last_seq()) >= (tail.epoch, tail.seq) {
                    tail = Tail {
                        epoch: claims.epoch,
                        seq: claims.last_seq(),
                        digest: batch::digest(&header),
                        last: claims.last,
                    };
                }
                found.push((place, path, scan.bytes));
            } else {
                fs::remove_file(&path).map_err(fault("remove the empty", &path))?;
            }
        }
        let epoch = (now_us / 1_000).max(tail.epoch + 1);
        let begun = Tail { epoch, seq: 0, digest: tail.digest, last: false };
        // After an unclean stop the old chain stands until the gap that tells of it is durable.
        if tail.last || tail.epoch == 0 {
            write_chain(&dir, &begun)?;
        }
        let spool = Self {
            dir,
            epoch,
            shelf: Arc::new(Shelf::new(found, begun, now_us)),
            open: None,
            broken: None,
            pending: Vec::new(),
            written: 0,
            pending_seq: 1,
            tail: begun,
            file_bytes_max: (bytes_max / 8).clamp(FILE_BYTES_LEAST, FILE_BYTES_MOST),
            _lock: lock,
        };
        Ok((spool, tail))
    }

    /// The epoch that began when the spool was opened.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The last header appended.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What is durable.
    pub(super) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// Takes over a sealed batch; from here on it is lost only with the process.
    pub(super) fn append(&mut self, header: &[u8], page: &Page, tail: Tail) {
        if self.pending.is_empty() {
            self.pending_seq = tail.seq + 1 - page.count();
        }
        frame::append(&mut self.pending, header, page);
        self.tail = tail;
    }

    /// Bytes that are not durable.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Hands what is pending to the system. After an error the same may be tried again.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        if self.written == self.pending.len() {
            return Ok(());
        }
        self.mend()?;
        let segment = match &mut self.open {
            Some(segment) => segment,
            None => self.open.insert(Segment::create(&self.dir, (self.epoch, self.pending_seq))?),
        };
        let rest = self.pending.get(self.written..).unwrap_or_default();
        let at = segment.synced + self.written as u64;
        segment.file.write_all_at(rest, at).map_err(fault("write to", &segment.path))?;
        self.written = self.pending.len();
        Ok(())
    }

    /// Makes everything appended durable and shows it to the courier. After an error the same may be tried again.
    ///
    /// # Errors
    /// When the file cannot be written or synced.
    pub(super) fn sync(&mut self, now_us: u64) -> Result<(), Error> {
        self.write()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let Some(mut segment) = self.open.take() else { return Ok(()) };
        if let Err(source) = segment.file.sync_data() {
            let error = fault("sync", &segment.path)(source);
            self.written = 0;
            self.broken = Some(segment);
            return Err(error);
        }
        let bytes = self.pending.len() as u64;
        segment.synced += bytes;
        self.pending.clear();
        self.written = 0;
        self.shelf.put(segment.key, &segment.path, bytes, self.tail, now_us);
        self.shelf.sweep(false);
        self.open = (segment.synced < self.file_bytes_max).then_some(segment);
        Ok(())
    }

    /// Notes for the next process that the epoch ended cleanly, and removes what the recorder holds.
    ///
    /// # Errors
    /// When the chain file cannot be written.
    pub(super) fn leave(&self) -> Result<(), Error> {
        write_chain(&self.dir, &Tail { last: true, ..self.tail })?;
        self.shelf.sweep(true);
        Ok(())
    }

    fn mend(&mut self) -> Result<(), Error> {
        if let Some(segment) = self.broken.as_ref().filter(|segment| segment.synced > 0) {
            let cut = segment.file.set_len(segment.synced).and_then(|()| segment.file.sync_all());
            cut.map_err(fault("cut the unsynced end of", &segment.path))?;
        }
        // Of a file that was never synced nothing was promised: the next one takes its name and its place.
        self.broken = None;
        Ok(())
    }
}

impl Segment {
    /// Nothing that was ever promised bears this name: its first seq is not durable yet.
    fn create(dir: &Path, key: Key) -> Result<Self, Error> {
        let path = dir.join(format!("{}-{}.{SUFFIX}", key.0, key.1));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(fault("make", &path))?;
        sync_folder(dir)?;
        Ok(Self { key, path, file, synced: 0 })
    }
}

/// What a file holds.
struct Scan {
    last_header: Option<Vec<u8>>,
    bytes: u64,
    next_seq: u64,
}

fn scan(path: &Path, key: Key, newest: bool) -> Result<Scan, Error> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(fault("open", path))?;
    let length = file.metadata().map_err(fault("measure", path))?.len();
    let mut scan = Scan { last_header: None, bytes: 0, next_seq: key.1 };
    loop {
        let damaged = || Error::Damaged { path: path.to_owned(), offset: scan.bytes };
        match frame::read(&file, scan.bytes, length).map_err(fault("read", path))? {
            Found::Frame(payload, end) => {
                let batch = frame::batch(payload).ok_or_else(damaged)?;
                scan.next_seq += batch.entries.len() as u64;
                scan.last_header = Some(batch.header.to_vec());
                scan.bytes = end;
            }
            Found::End => return Ok(scan),
            Found::Broken if !newest => return Err(damaged()),
            Found::Broken => {
                if frame::any_beyond(&file, scan.bytes, length).map_err(fault("read", path))? {
                    return Err(damaged());
                }
                let cut = file.set_len(scan.bytes).and_then(|()| file.sync_all());
                cut.map_err(fault("cut the torn end of", path))?;
                return Ok(scan);
            }
        }
    }
}

/// The spool files of a folder, in order of the stream.
fn list(dir: &Path) -> Result<Vec<(Key, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault("list", dir))? {
        let path = entry.map_err(fault("list", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let key = name.strip_suffix(".spool").and_then(|name| name.split_once('-'));
        if let Some((Ok(epoch), Ok(seq))) = key.map(|(epoch, seq)| (epoch.parse(), seq.parse())) {
            files.push(((epoch, seq), path));
        }
    }
    files.sort();
    Ok(files)
}

fn lock_folder(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(fault("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse { dir: dir.to_owned() }),
        Err(fs::TryLockError::Error(source)) => Err(fault("lock", &path)(source)),
    }
}

/// The chain file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    digest: String,
    epoch: u64,
    #[serde(rename = "final")]
    last: bool,
    seq: u64,
}

fn read_chain(dir: &Path) -> Result<Tail, Error> {
    let path = dir.join("chain");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(absent) if absent.kind() == ErrorKind::NotFound => return Ok(Tail::default()),
        Err(source) => return Err(fault("read", &path)(source)),
    };
    let chain = serde_json::from_slice::<Chain>(&text).ok();
    let tail = chain.and_then(|chain| {
        let digest = unhex(&chain.digest)?;
        Some(Tail { epoch: chain.epoch, seq: chain.seq, digest, last: chain.last })
    });
    tail.ok_or(Error::Damaged { path, offset: 0 })
}

/// Replaces the chain file as a whole; durable on return.
fn write_chain(dir: &Path, tail: &Tail) -> Result<(), Error> {
    let (path, draft) = (dir.join("chain"), dir.join("chain.draft"));
    let chain = Chain { digest: hex(&tail.digest), epoch: tail.epoch, last: tail.last, seq: tail.seq };
    let text = serde_json::to_vec(&chain).map_err(|wrong| fault("write", &draft)(wrong.into()))?;
    let mut file = File::create(&draft).map_err(fault("make", &draft))?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(fault("write", &draft))?;
    fs::rename(&draft, &path).map_err(fault("replace", &path))?;
    sync_folder(dir)
}

fn sync_folder(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(fault("sync", dir))
}

fn fault(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::File { doing, path: path.to_owned(), source }
}

const SUFFIX: &str = "spool";
const FILE_BYTES_LEAST: u64 = 64 << 10;
/// A file is left once it is this long; what was pending then still went into it (see `PENDING_BYTES_MAX`).
const FILE_BYTES_MOST: u64 = 48 << 20;
