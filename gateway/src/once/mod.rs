//! Changes under a key: who claims one first, what became of it, how it was answered. It sends nothing, and what it does
//! not know for sure it calls unknown: nothing here is ever done again by itself.
//!
//! Names of keys are not kept, only keyed fingerprints of them. Answers with rows are kept in memory alone.

mod claim;
mod journal;
mod segments;
mod tap;
#[cfg(test)]
mod tests;

pub(crate) use claim::{Claimed, Keyed, Unit, print_of, print_with};
pub(crate) use tap::Tap;

use crate::Error;
use journal::{Fate, Record};
use segments::Segments;
use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, futures::Notified};
use uuid::Uuid;

/// Fingerprint of a key, with everything that it is a key for.
pub(crate) type Key = [u8; 32];
/// Hash of what is asked for under a key.
pub(crate) type Print = [u8; 32];

/// Every key that counts.
#[derive(Debug)]
pub(crate) struct Book {
    inner: Mutex<Inner>,
    /// Told whenever something under a key has ended.
    ended: Notify,
}

#[derive(Debug)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// Keys whose answers are kept for their rows, the oldest first, and the bytes of those answers.
    kept: VecDeque<Key>,
    kept_bytes: usize,
    /// With so many entries, those that count no longer are looked for.
    sweep_at: usize,
    journal: Segments,
}

#[derive(Debug)]
struct Entry {
    print: Print,
    expires_us: u64,
    receipt: Uuid,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is being done.
    Open,
    /// It was done.
    Done(Option<Answer>),
    /// Nobody knows whether it was done.
    Unknown,
}

/// How a change was answered: whole messages of the server up to its `CommandComplete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) said: Arc<[u8]>,
    /// It has rows, in the shape of a simple query's answer or of a portal's.
    pub(crate) rows: Option<Shape>,
}

/// In which shape rows were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Described before, as text.
    Query,
    /// Not described, in the formats that the portal asked for.
    Portal,
}

/// What is claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) key: Key,
    pub(crate) print: Print,
    /// The receipt of the change, should it be the first.
    pub(crate) receipt: Uuid,
    pub(crate) at_us: u64,
    pub(crate) ttl_us: u64,
}

/// What a claim has come to.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is the first: do it, and say what became of it.
    First(Held),
    /// It was done before.
    Done { answer: Option<Answer>, receipt: Uuid },
    /// Something else was asked for under this key.
    Other { receipt: Uuid },
    /// The same is being done.
    Open,
    /// The same was begun, and nobody knows how it ended.
    Unknown { receipt: Uuid },
}

/// A key claimed by the one who does the change; dropped without a word, it is unknown what became of it.
#[derive(Debug)]
pub(crate) struct Held {
    book: Arc<Book>,
    key: Key,
    said: bool,
}

impl Book {
    /// Opens the book as it was left; what was being done then is unknown.
    pub(crate) fn open(folder: PathBuf, now_us: u64) -> Result<Self, Error> {
        let (journal, records) = Segments::open(folder, now_us)?;
        let mut entries = HashMap::new();
        for record in records {
            let state = match record.fate {
                Fate::Open | Fate::Unknown => State::Unknown,
                Fate::Done(said) => State::Done(said.map(|said| Answer { said: said.into(), rows: None })),
                Fate::Released => {
                    entries.remove(&record.key);
                    continue;
                }
            };
            let Record { key, print, expires_us, receipt, .. } = record;
            if expires_us > now_us {
                entries.insert(key, Entry { print, expires_us, receipt, state });
            }
        }
        let inner = Inner {
            sweep_at: (entries.len() * 2).max(SWEEP_MIN),
            entries,
            kept: VecDeque::new(),
            kept_bytes: 0,
            journal,
        };
        Ok(Self { inner: Mutex::new(inner), ended: Notify::new() })
    }

    /// Claims a key. `Err` when that cannot be written down: then nothing may be done.
    pub(crate) fn claim(self: &Arc<Self>, wish: &Wish) -> std::io::Result<Claim> {
        let mut inner = self.inner();
        if let Some(entry) = inner.entries.get(&wish.key).filter(|entry| entry.expires_us > wish.at_us) {
            let receipt = entry.receipt;
            return Ok(match &entry.state {
                _ if entry.print != wish.print => Claim::Other { receipt },
                State::Open => Claim::Open,
                State::Done(answer) => Claim::Done { answer: answer.clone(), receipt },
                State::Unknown => Claim::Unknown { receipt },
            });
        }
        inner.sweep(wish.at_us)?;
        let expires_us = wish.at_us.saturating_add(wish.ttl_us);
        let Wish { key, print, receipt, .. } = *wish;
        inner.journal.write(&Record { key, print, expires_us, receipt, fate: Fate::Open })?;
        inner.entries.insert(key, Entry { print, expires_us, receipt, state: State::Open });
        Ok(Claim::First(Held { book: Arc::clone(self), key, said: false }))
    }

    /// Returns when all claims so far outlast a failure of power, not of the process alone.
    pub(crate) async fn durable(&self) -> std::io::Result<()> {
        let file = self.inner().journal.file();
        tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(std::io::Error::other)?
    }

    /// Comes when something under any key has ended.
    pub(crate) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// What nobody knows the end of: fingerprint, receipt, and until when it counts.
    pub(crate) fn unknown(&self, now_us: u64) -> Vec<(Key, Uuid, u64)> {
        let inner = self.inner();
        let open = inner.entries.iter().filter(|(_, one)| one.expires_us > now_us);
        let unknown = open.filter(|(_, one)| matches!(one.state, State::Unknown));
        unknown.map(|(key, one)| (*key, one.receipt, one.expires_us)).collect()
    }

    /// Somebody has looked: it was done, or it was not. False when nothing under this key is unknown.
    pub(crate) fn resolve(&self, key: &Key, done: bool) -> std::io::Result<bool> {
        let is_unknown =
            self.inner().entries.get(key).is_some_and(|entry| matches!(entry.state, State::Unknown));
        if is_unknown {
            self.settle(key, done.then_some(State::Done(None)))?;
            let file = self.inner().journal.file();
            file.sync_data()?;
        }
        Ok(is_unknown)
    }

    /// Puts what was written on the disk, and forgets files whose keys count no longer.
    pub(crate) fn upkeep(&self, now_us: u64) {
        // Nobody waits meanwhile for the book. What fails here fails again at the next claim, and is told there.
        let unsynced = self.inner().journal.unsynced();
        if unsynced.is_none_or(|file| file.sync_data().is_ok()) {
            let _ = self.inner().journal.forget(now_us);
        }
    }

    /// Writes down what became of a claim, then lets it count. Without a state the key is free again.
    fn settle(&self, key: &Key, state: Option<State>) -> std::io::Result<()> {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get(key) else { return Ok(()) };
        let fate = match &state {
            None => Fate::Released,
            Some(State::Done(answer)) => {
                let bare = answer.as_ref().filter(|answer| answer.rows.is_none());
                Fate::Done(bare.map(|answer| answer.said.to_vec()))
            }
            Some(State::Open | State::Unknown) => Fate::Unknown,
        };
        let (print, expires_us, receipt) = (entry.print, entry.expires_us, entry.receipt);
        // Should this fail, the journal says `open`: unknown after a restart, which is true enough.
        let written = inner.journal.write(&Record { key: *key, print, expires_us, receipt, fate });
        match state {
            Some(State::Done(Some(answer))) if answer.rows.is_some() => inner.keep(*key, answer),
            Some(state) => {
                if let Some(entry) = inner.entries.get_mut(key) {
                    entry.state = state;
                }
            }
            None => drop(inner.entries.remove(key)),
        }
        drop(inner);
        self.ended.notify_waiters();
        written
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Keeps an answer with rows; the oldest of them go where there are too many.
    fn keep(&mut self, key: Key, answer: Answer) {
        self.kept_bytes += answer.said.len();
        self.kept.push_back(key);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.state = State::Done(Some(answer));
        }
        while self.kept_bytes > KEPT_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else { break };
            if let Some(Entry { state: State::Done(answer), .. }) = self.entries.get_mut(&oldest) {
                let freed = answer.take().map_or(0, |answer| answer.said.len());
                self.kept_bytes = self.kept_bytes.saturating_sub(freed);
            }
        }
    }

    /// Makes room, where it may be short, by forgetting what counts no longer.
    fn sweep(&mut self, now_us: u64) -> std::io::Result<()> {
        if self.entries.len() < self.sweep_at {
            return Ok(());
        }
        self.entries.retain(|_, entry| entry.expires_us > now_us);
        self.kept.retain(|key| self.entries.contains_key(key));
        let kept = self.kept.iter().filter_map(|key| match &self.entries.get(key)?.state {
            State::Done(Some(answer)) => Some(answer.said.len()),
            _ => None,
        });
        self.kept_bytes = kept.sum();
        if self.entries.len() >= ENTRIES_MAX {
            let full = format!("{ENTRIES_MAX} idempotency keys count already; the oldest end first");
            return Err(std::io::Error::other(full));
        }
        self.sweep_at = (self.entries.len() * 2).clamp(SWEEP_MIN, ENTRIES_MAX);
        Ok(())
    }
}

impl Held {
    /// It was done, and answered so.
    pub(crate) fn done(self, answer: Option<Answer>) {
        self.say(Some(State::Done(answer)));
    }

    /// It was not done: whoever asks again may do it.
    pub(crate) fn released(self) {
        self.say(None);
    }

    fn say(mut self, state: Option<State>) {
        self.said = true;
        let _ = self.book.settle(&self.key, state);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.said {
            let _ = self.book.settle(&self.key, Some(State::Unknown));
        }
    }
}

/// Keys that count at once.
const ENTRIES_MAX: usize = 1_000_000;
const SWEEP_MIN: usize = 1_024;
/// Bytes of answers with rows.
const KEPT_BYTES_MAX: usize = 64 << 20;
