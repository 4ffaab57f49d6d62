//! The names of prepared statements behind a pool: by their text, so that clients who prepare the same share it, and
//! known for each server session, so that it is prepared again where it is missing. It sends nothing.

use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A statement as a client prepared it.
#[derive(Debug)]
pub(crate) struct Text {
    /// Its name at the server.
    pub(crate) name: Box<[u8]>,
    /// What stands behind the name in its `Parse`.
    pub(crate) rest: Box<[u8]>,
    /// When it was prepared, in turns: what a server prepared before that may be older than a table's new shape.
    pub(crate) turn: u64,
    held: Arc<AtomicUsize>,
}

/// Bytes of statements that one client holds.
#[derive(Debug, Default)]
pub(crate) struct Held(Arc<AtomicUsize>);

impl Held {
    /// Takes a statement in; `None` where it would be too much for one client.
    pub(crate) fn take(&self, rest: &[u8]) -> Option<Text> {
        if self.0.load(Ordering::Relaxed) + rest.len() > HELD_BYTES_MAX {
            return None;
        }
        self.0.fetch_add(rest.len(), Ordering::Relaxed);
        let digest = Sha256::digest(rest);
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(Text {
            name: format!("clyra_{hex}").into_bytes().into(),
            rest: rest.into(),
            turn: turn(),
            held: Arc::clone(&self.0),
        })
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.held.fetch_sub(self.rest.len(), Ordering::Relaxed);
    }
}

/// What one session of the server has prepared.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    known: HashMap<Box<[u8]>, Known>,
    /// Those whose preparation the server has not answered.
    unsure: Vec<Box<[u8]>>,
    /// Whose unnamed statement it has, by turn.
    pub(crate) unnamed: u64,
}

#[derive(Debug)]
struct Known {
    turn: u64,
    used: u64,
    /// The client's segment in which it was prepared, while that is not answered.
    segment: Option<u64>,
}

impl Statements {
    /// What must be closed and that it must be prepared before it can be used; `None` where it is there.
    pub(crate) fn lacks(&mut self, text: &Text, segment: u64) -> Option<Vec<Box<[u8]>>> {
        if let Some(known) = self.known.get_mut(&text.name)
            && known.turn >= text.turn
            && known.segment.is_none_or(|prepared| prepared == segment)
        {
            known.used = turn();
            return None;
        }
        Some(self.prepares(text, segment))
    }

    /// It is about to be prepared: what must be closed before.
    pub(crate) fn prepares(&mut self, text: &Text, segment: u64) -> Vec<Box<[u8]>> {
        let mut closes = Vec::new();
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&text.name) {
            let oldest = self.known.iter().filter(|(_, known)| known.segment.is_none());
            if let Some(name) = oldest.min_by_key(|(_, known)| known.used).map(|(name, _)| name.clone()) {
                self.known.remove(&name);
                closes.push(name);
            }
        }
        let now = turn();
        self.known.insert(text.name.clone(), Known { turn: now, used: now, segment: Some(segment) });
        self.unsure.push(text.name.clone());
        closes.push(text.name.clone());
        closes
    }

    /// All that was sent is answered: with success, or not known with which.
    pub(crate) fn answered(&mut self, succeeded: bool) {
        for name in std::mem::take(&mut self.unsure) {
            if !succeeded {
                self.known.remove(&name);
            } else if let Some(known) = self.known.get_mut(&name) {
                known.segment = None;
            }
        }
        if !succeeded {
            self.unnamed = 0;
        }
    }
}

/// Counts on and on.
fn turn() -> u64 {
    static TURNS: AtomicU64 = AtomicU64::new(1);
    TURNS.fetch_add(1, Ordering::Relaxed)
}

/// Statements that one session of the server keeps prepared.
const KNOWN_MAX: usize = 500;
/// Bytes of statements that one client may have prepared.
const HELD_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_prepared_where_they_are_missing() {
        let held = Held::default();
        let (text, other) = (held.take(b"select 1\0\0\0").unwrap(), held.take(b"select 2\0\0\0").unwrap());
        assert!(text.name != other.name && text.name.len() == 38);
        let mut session = Statements::default();
        assert_eq!(session.lacks(&text, 1), Some(vec![text.name.clone()]));
        assert_eq!(session.lacks(&text, 1), None, "on its way in the same segment");
        assert!(session.lacks(&text, 2).is_some(), "the first segment may have failed");
        session.answered(true);
        assert_eq!(session.lacks(&text, 3), None);
        assert!(session.lacks(&other, 3).is_some());
        session.answered(false);
        assert!(session.lacks(&other, 4).is_some());
        // Whoever prepares it later shall not get what was prepared before.
        assert!(session.lacks(&held.take(b"select 1\0\0\0").unwrap(), 5).is_some());
        assert_eq!(session.lacks(&text, 5), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let held = Held::default();
        let mut session = Statements::default();
        for number in 0..KNOWN_MAX + 10 {
            let text = held.take(format!("select {number}\0\0\0").as_bytes()).unwrap();
            let closes = session.lacks(&text, 1).unwrap();
            session.answered(true);
            assert_eq!(closes.len(), if number < KNOWN_MAX { 1 } else { 2 });
        }
        assert_eq!(session.known.len(), KNOWN_MAX);
        assert_eq!(held.0.load(Ordering::Relaxed), 0, "nobody has them any more");
        assert!(held.take(&vec![0; HELD_BYTES_MAX + 1]).is_none());
    }
}
