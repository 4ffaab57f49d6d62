//! The kill switch: one level that every statement reads, journalled before a turn is acknowledged. It never decides
//! what a level covers; the judge does.

use crate::Error;
use clyra_spec::KillLevel;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// How the switch stands, and who turned it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    /// The level.
    pub level: KillLevel,
    /// Why, as given.
    pub reason: String,
    /// Who, as given.
    pub by: String,
    /// When (RFC 3339); empty when it was never turned.
    pub at: String,
    /// Raised by one with every turn.
    pub turn: u64,
    /// Id of the `switch` entry.
    pub entry: String,
}

/// The switch of one gateway.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    journal: PathBuf,
    /// Read by every statement; written only under the lock of `turn`.
    level: AtomicU32,
    turn: Mutex<Turn>,
}

impl KillSwitch {
    /// The switch as the journal left it. A journal that cannot be read keeps the gate shut: it is an error.
    pub(crate) fn open(journal: PathBuf) -> Result<Self, Error> {
        let turn = match fs::read(&journal) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|err| Error::Damaged { path: journal.clone(), why: err.to_string() })?,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Turn::default(),
            Err(source) => return Err(Error::Data { path: journal, source }),
        };
        Ok(Self { journal, level: AtomicU32::new(turn.level.number()), turn: Mutex::new(turn) })
    }

    /// The level that holds now.
    pub(crate) fn level(&self) -> KillLevel {
        // A number that is no level cannot be stored; were it ever, everything is blocked.
        KillLevel::from_number(self.level.load(Ordering::Acquire)).unwrap_or(KillLevel::BlockStatements)
    }

    /// How it stands.
    pub(crate) fn stand(&self) -> Turn {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns it: journalled and durable first, then in effect.
    pub(crate) fn set(&self, mut next: Turn) -> Result<Turn, Error> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        next.turn = turn.turn + 1;
        if next.level > turn.level {
            // Blocking takes effect at once, whatever the disk says.
            self.level.store(next.level.number(), Ordering::Release);
        }
        write_durably(&self.journal, &serde_json::to_vec(&next).unwrap_or_default())
            .map_err(|source| Error::Data { path: self.journal.clone(), source })?;
        self.level.store(next.level.number(), Ordering::Release);
        turn.clone_from(&next);
        Ok(next)
    }
}

/// Replaces a file so that after a crash either the old or the new content is there.
fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_survives_and_damage_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("kill.json");
        let switch = KillSwitch::open(journal.clone()).unwrap();
        assert_eq!(switch.level(), KillLevel::Observe);
        let turn = Turn { level: KillLevel::BlockWrites, by: "ann".into(), ..Turn::default() };
        assert_eq!(switch.set(turn).unwrap().turn, 1);
        let again = KillSwitch::open(journal.clone()).unwrap();
        assert_eq!((again.level(), again.stand().turn), (KillLevel::BlockWrites, 1));
        fs::write(&journal, "{").unwrap();
        assert!(matches!(KillSwitch::open(journal), Err(Error::Damaged { .. })));
    }

    #[test]
    fn blocking_takes_effect_even_when_the_journal_cannot_be_written() {
        let switch = KillSwitch::open("/nonexistent/kill.json".into()).unwrap();
        assert!(switch.set(Turn { level: KillLevel::BlockStatements, ..Turn::default() }).is_err());
        assert_eq!(switch.level(), KillLevel::BlockStatements);
        assert!(switch.set(Turn::default()).is_err());
        assert_eq!(
            switch.level(),
            KillLevel::BlockStatements,
            "a release that is not journalled does not hold"
        );
    }
}
