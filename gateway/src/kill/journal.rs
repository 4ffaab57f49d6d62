//! The file that keeps the kill switch over a crash: read at the start, replaced as a whole at every turn.

use super::{Kill, KillSet};
use crate::Error;
use clyra_spec::KillLevel;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Page {
    Set(KillSet),
    /// What gateways wrote whose switch had one level for everybody.
    First(First),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    level: KillLevel,
    reason: String,
    by: String,
    at: String,
    turn: u64,
    entry: String,
}

/// The switch as the file left it. A file that cannot be read keeps the gate shut: it is an error.
pub(crate) fn read(path: &Path) -> Result<KillSet, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(KillSet::default()),
        Err(source) => return Err(Error::Data { path: path.to_owned(), source }),
    };
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    match serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))? {
        Page::Set(set) => Ok(set),
        Page::First(First { level, reason, by, at, turn, entry }) => {
            let at: Option<jiff::Timestamp> = at.parse().ok();
            let at_us = at.and_then(|at| u64::try_from(at.as_microsecond()).ok()).unwrap_or_default();
            let kill = Kill { level, reason, by, at_us, turn, entry, since_us: at_us, ..Kill::default() };
            Ok(KillSet::default().with(&kill))
        }
    }
}

/// Replaces the file so that after a crash either the old or the new content is there.
pub(crate) fn write(path: &Path, set: &KillSet) -> Result<(), Error> {
    let bytes = serde_json::to_vec(set).unwrap_or_default();
    let replaced = || {
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    replaced().map_err(|source| Error::Data { path: path.to_owned(), source })
}
