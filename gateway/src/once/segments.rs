//! The journal of keys on the disk: files that are only added to, and removed whole once no key in them counts. It knows
//! nothing of what the records mean but when their time ends.

use super::journal::{Record, decoded, encoded};
use crate::Error;
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files, the last one open for writing.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// Numbers of the files before the last, and when the last of their keys ends.
    older: Vec<(u64, u64)>,
    number: u64,
    file: Arc<File>,
    bytes: u64,
    ends_us: u64,
    /// Written since it was last on the disk.
    fresh: bool,
}

impl Segments {
    /// Opens the files of a folder, and gives what they hold, in order.
    pub(super) fn open(folder: PathBuf, now_us: u64) -> Result<(Self, Vec<Record>), Error> {
        let data = |source| Error::Data { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(data)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(data)? {
            let name = entry.map_err(data)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        let (mut records, mut older) = (Vec::new(), Vec::new());
        let (mut number, mut bytes, mut ends_us) = (1, 0, 0);
        for (at, one) in numbers.iter().enumerate() {
            let path = place(&folder, *one);
            let content = fs::read(&path).map_err(|source| Error::Data { path: path.clone(), source })?;
            let begun = records.len();
            let whole = read(&content, &mut records);
            // Only the last write of all may have been cut off.
            let rest = content.get(whole..).unwrap_or_default();
            if !rest.is_empty() && (at + 1 < numbers.len() || !is_cut(rest)) {
                let why = format!("the record at byte {whole} is not whole");
                return Err(Error::Damaged { path, why });
            }
            ends_us = records.iter().skip(begun).map(|record| record.expires_us).max().unwrap_or(0);
            (number, bytes) = (*one, whole as u64);
            if at + 1 < numbers.len() {
                older.push((*one, ends_us));
            }
        }
        let path = place(&folder, number);
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        let file = opened.map_err(|source| Error::Data { path: path.clone(), source })?;
        // A record that was cut off would put all later ones out of step.
        file.set_len(bytes).map_err(|source| Error::Data { path, source })?;
        let file = Arc::new(file);
        let mut segments = Self { folder, older, number, file, bytes, ends_us, fresh: false };
        segments.forget(now_us).map_err(|source| Error::Data { path: segments.folder.clone(), source })?;
        Ok((segments, records))
    }

    /// Writes one record.
    pub(super) fn write(&mut self, record: &Record) -> std::io::Result<()> {
        if self.bytes > LONG_BYTES {
            self.turn()?;
        }
        let bytes = encoded(record);
        if let Err(error) = (&*self.file).write_all(&bytes) {
            // A part of it would put all later ones out of step.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        self.ends_us = self.ends_us.max(record.expires_us);
        self.fresh = true;
        Ok(())
    }

    /// The file that all is in that is not on the disk yet; to be synced where nobody waits for the next write.
    pub(super) fn unsynced(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.fresh).then(|| Arc::clone(&self.file))
    }

    /// The file that is written to.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Writes on in a new file.
    fn turn(&mut self) -> std::io::Result<()> {
        self.file.sync_data()?;
        let path = place(&self.folder, self.number + 1);
        self.file = Arc::new(OpenOptions::new().append(true).create_new(true).open(path)?);
        File::open(&self.folder)?.sync_all()?;
        self.older.push((self.number, self.ends_us));
        self.number += 1;
        (self.bytes, self.ends_us) = (0, 0);
        Ok(())
    }

    /// Removes files of which no key counts any longer. They go in the order in which they were written, so that no release
    /// is lost before what it releases.
    pub(super) fn forget(&mut self, now_us: u64) -> std::io::Result<()> {
        let gone = self.older.iter().take_while(|(_, ends_us)| *ends_us <= now_us).count();
        for (number, _) in self.older.drain(..gone) {
            fs::remove_file(place(&self.folder, number))?;
        }
        Ok(())
    }
}

/// Reads whole records; gives how many bytes they take.
fn read(content: &[u8], records: &mut Vec<Record>) -> usize {
    let mut whole = 0;
    while let Some((record, bytes)) = content.get(whole..).and_then(decoded) {
        records.push(record);
        whole += bytes;
    }
    whole
}

/// Whether this is what a write leaves that was cut off: the beginning of one record, or what a file system fills in.
fn is_cut(rest: &[u8]) -> bool {
    let begun = match rest.split_first_chunk::<2>() {
        Some((length, behind)) => usize::from(u16::from_be_bytes(*length)) > behind.len(),
        None => true,
    };
    let filled = rest.iter().all(|byte| *byte == 0);
    let goes_on = (1..rest.len()).any(|at| rest.get(at..).and_then(decoded).is_some());
    filled || (begun && rest.len() < RECORD_BYTES_MAX && !goes_on)
}

fn place(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{SUFFIX}"))
}

const SUFFIX: &str = ".keys";
/// With so many bytes, a file is long enough.
const LONG_BYTES: u64 = 16 << 20;
/// More than any record takes.
const RECORD_BYTES_MAX: usize = 8 << 10;
