//! A walk over everything that a stopped recorder has on disk: which file is not what the rest of the log says it is, and
//! from which byte on. It changes nothing.

mod files;
mod segments;

use crate::log::Tip;
use crate::recorder::{index_path, lock};
use crate::shelf::Published;
use crate::shelf::commit::{self, Commit};
use crate::shelf::store::Store;
use crate::{Error, index::Index, witness};
use clyra_seal::key::SigningKey;
use clyra_seal::note;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::runtime::Handle;
use tokio::task;

/// One file that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The first byte that is not as it should be, or where the frame or entry begins that holds it.
    pub offset: u64,
    /// What was found.
    pub why: String,
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Entries under the checkpoint.
    pub published: u64,
    /// Entries that are durable.
    pub size: u64,
    /// Files read.
    pub files: u64,
    /// Every fault, in the order in which it was found.
    pub faults: Vec<Fault>,
}

impl Health {
    fn fault(&mut self, path: &Path, offset: u64, why: impl Into<String>) {
        self.faults.push(Fault { path: path.into(), offset, why: why.into() });
    }

    /// Notes where the bytes of a file begin to differ from those that are due.
    fn compare(&mut self, path: &Path, due: &[u8], why: &str) -> Result<bool, Error> {
        let found = fs::read(path).map_err(Error::file("read", path))?;
        self.files += 1;
        let same = found.iter().zip(due).take_while(|(found, due)| found == due).count();
        let equal = same == found.len() && same == due.len();
        if !equal {
            self.fault(path, same as u64, why);
        }
        Ok(equal)
    }
}

/// Walks over a recorder's data folder, which no recorder may be using.
///
/// # Errors
/// When the folder is in use or cannot be read. What is damaged is never an error but stands in the answer.
pub async fn fsck(data: &Path) -> Result<Health, Error> {
    let (data, runtime) = (data.to_owned(), Handle::current());
    let walked = task::spawn_blocking(move || walk(&data, runtime));
    walked.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?
}

/// Makes the index of a recorder's data folder anew; how many entries it covers.
///
/// # Errors
/// When the folder is in use, or the log cannot be read.
pub async fn reindex(data: &Path) -> Result<u64, Error> {
    let (data, runtime) = (data.to_owned(), Handle::current());
    let made = task::spawn_blocking(move || {
        let _lock = held(&data)?;
        let store = Store::open(&data.join("log"), runtime)?;
        let key = SigningKey::load(&data.join("log.key"))?;
        let path = index_path(&data);
        if path.exists() {
            fs::remove_file(&path).map_err(Error::file("delete", &path))?;
        }
        let index = Index::open(&path)?;
        let Some(bytes) = store.get("checkpoint")? else { return Ok(0) };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let told = note::open_checkpoint(&text, &key.verifying())?;
        index.fill(&store, &Published { size: told.size, root: told.root, note: text })?;
        Ok(told.size)
    });
    made.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?
}

/// The lock of a folder that is there.
fn held(data: &Path) -> Result<fs::File, Error> {
    let log = data.join("log");
    if !log.is_dir() {
        return Err(Error::file("open", &log)(std::io::ErrorKind::NotFound.into()));
    }
    lock(data)
}

fn walk(data: &Path, runtime: Handle) -> Result<Health, Error> {
    let _lock = held(data)?;
    let mut health = Health::default();
    keys(data, &mut health);
    let store = Store::open(&data.join("log"), runtime)?;
    let commits = commits(data, &store)?;
    // The newest commit that can be read says how far tiles and checkpoint go: the checkpoint is not signed before it.
    let shown = shown(data, &store, &commits)?;
    health.published = shown.map_or(0, |(size, _)| size);
    let mut tips = commits.iter().filter_map(|held| Some((held.size?, Tip::default()))).collect();
    let entries_hold = files::check(&data.join("log"), shown, &mut tips, &mut health)?;
    for held in &commits {
        let size = held.size.unwrap_or_default();
        let tip = tips.get(&size).filter(|tip| entries_hold && tip.tree.size() == size && size > 0);
        match tip.map(Commit::of).or_else(|| held.commit.clone()) {
            Some(due) => {
                health.compare(&held.path, &due.to_bytes()?, "not what the log says of itself")?;
            }
            None => health.fault(&held.path, 0, "the commit cannot be read"),
        }
    }
    checkpoint(data, &commits, shown, &mut health)?;
    let compared = if entries_hold { health.published } else { 0 };
    segments::check(&data.join("wal"), &store, compared, &mut health)?;
    Ok(health)
}

fn keys(data: &Path, health: &mut Health) {
    for name in ["log.key", "bundle.key"] {
        let path = data.join(name);
        health.files += 1;
        if let Err(error) = SigningKey::load(&path) {
            health.fault(&path, 0, error.to_string());
        }
    }
}

/// A commit that is there.
struct Held {
    path: PathBuf,
    /// What it says, where it can be read.
    commit: Option<Commit>,
    /// The size that it speaks of, as far as that can be read.
    size: Option<u64>,
}

/// Every commit that is there.
fn commits(data: &Path, store: &Store) -> Result<Vec<Held>, Error> {
    let numbers = commit::numbers(store)?.into_iter();
    let held = numbers.map(|number| {
        let path = data.join("log").join(commit::key(number));
        let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
        let commit = Commit::load(store, number).ok().flatten();
        // The size is the last field.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let size = text.rsplit(':').next().and_then(|size| size.trim_end_matches('}').parse().ok());
        Ok(Held { path, size: commit.as_ref().map(Commit::size).or(size), commit })
    });
    held.collect()
}

/// Size and root that the checkpoint shows, from the checkpoint or, where that is damaged, from the newest commit.
fn shown(data: &Path, store: &Store, commits: &[Held]) -> Result<Option<(u64, [u8; 32])>, Error> {
    let newest = commits.iter().rev().find_map(|held| held.commit.as_ref());
    let newest = newest.map(|commit| (commit.size(), commit.root()));
    let Some(bytes) = store.get("checkpoint")? else { return Ok(None) };
    let told = SigningKey::load(&data.join("log.key"))
        .and_then(|key| note::open_checkpoint(&String::from_utf8_lossy(&bytes), &key.verifying()));
    Ok(told.map(|told| Some((told.size, told.root))).unwrap_or(newest))
}

/// The checkpoint must be, byte for byte, what the log's key says to one of the last two commits: Ed25519 has one
/// signature for one text.
fn checkpoint(
    data: &Path,
    commits: &[Held],
    shown: Option<(u64, [u8; 32])>,
    health: &mut Health,
) -> Result<(), Error> {
    let path = data.join("log/checkpoint");
    let (Some((size, root)), Ok(key)) = (shown, SigningKey::load(&data.join("log.key"))) else {
        return Ok(());
    };
    let mut due = note::sign_checkpoint(key.name(), size, &root, &key);
    let found = fs::read(&path).map_err(Error::file("read", &path))?;
    if let Some(lines) = found.strip_prefix(due.as_bytes()) {
        due.push_str(&cosigned(data, &due, lines));
    }
    if health.compare(&path, due.as_bytes(), "the checkpoint is not what the log's key signs")? {
        let last = commits.iter().rev().take(2).filter_map(|held| held.commit.as_ref());
        let is_read = last.clone().count() == commits.len().min(2);
        if is_read && !last.into_iter().any(|commit| (commit.size(), commit.root()) == (size, root)) {
            health.fault(&path, 0, "the checkpoint shows neither of the last two commits");
        }
    }
    Ok(())
}

/// As many of these lines as witnesses of the list signed.
fn cosigned(data: &Path, note: &str, lines: &[u8]) -> String {
    let witnesses = witness::read(&data.join("witnesses")).unwrap_or_default();
    let lines = std::str::from_utf8(lines).unwrap_or_default().split_inclusive('\n');
    let holds = |line: &&str| {
        let line = line.strip_suffix('\n');
        line.is_some_and(|line| witnesses.iter().any(|witness| witness.key.signed(note, line)))
    };
    lines.take_while(holds).collect()
}

#[cfg(test)]
mod tests;
