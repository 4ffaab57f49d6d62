//! What one session sees of names: how its own are resolved, by which snapshot, and what it has changed and not committed.
//! It asks nobody; its relay does, and tells it.

use super::{Doubt, Place};
use clyra_policy::{Changed, Facts, Naming, Standing};
use std::{collections::BTreeSet, sync::Arc, time::Instant};

/// The sight of one session.
#[derive(Debug)]
pub(crate) struct Sight {
    place: Arc<Place>,
    /// Rules about names apply to the session; otherwise it only tells what it changes.
    pub(crate) looks: bool,
    /// Something is enforced for it: then it waits for what it must know.
    guarded: bool,
    strict: bool,
    standing: Arc<Standing>,
    naming: Arc<Naming>,
    /// The snapshot that it is by.
    number: Option<u64>,
    /// The message at hand depends on what cannot be known in time.
    doubtful: bool,
    /// Its names may lead elsewhere than the standing says.
    stale: bool,
    /// So they may again when the transaction is over, or a part of it.
    touched: bool,
    told_at: Stamp,
    /// Tables that it has made in this transaction.
    made: Arc<BTreeSet<Box<str>>>,
    /// What it has changed in this transaction, and what of that may already be in effect.
    uncommitted: Vec<Changed>,
    open: Vec<Arc<Doubt>>,
}

/// A moment in the server's session: where it differs, what was undone may be in effect again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) failures: u64,
    pub(crate) status: u8,
    pub(crate) segments: u64,
}

/// What a message needs, and nobody knows yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A snapshot that is not too old, or that holds a change on which it depends.
    Snapshot,
    /// A name that may be new.
    Name,
}

impl Sight {
    pub(crate) fn new(place: Arc<Place>, looks: bool, guarded: bool, strict: bool) -> Self {
        let (standing, made) = (Arc::new(Standing::default()), Arc::default());
        let naming = Arc::new(Naming::new(None, Arc::clone(&standing), Arc::clone(&made), strict));
        Self {
            place,
            looks,
            guarded,
            strict,
            standing,
            naming,
            number: None,
            doubtful: false,
            stale: true,
            touched: false,
            told_at: Stamp::default(),
            made,
            uncommitted: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Another policy: whether its rules about names apply, and whether it enforces anything.
    pub(crate) fn follow(&mut self, looks: bool, guarded: bool, strict: bool) {
        (self.looks, self.guarded) = (looks, guarded);
        if self.strict != strict {
            self.strict = strict;
            self.number = None;
        }
    }

    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// The session of the server must be asked where names lead.
    pub(crate) fn wants(&self, now: Stamp) -> bool {
        self.stale || (self.touched && now != self.told_at)
    }

    /// The server's session has said so; `whole` says that nothing of it can be undone any more.
    pub(crate) fn told(&mut self, standing: Arc<Standing>, now: Stamp, whole: bool) {
        if self.standing != standing {
            self.standing = standing;
            self.number = None;
        }
        self.stale = false;
        self.touched &= !whole;
        self.told_at = now;
    }

    /// It is about to have another session of the server.
    pub(crate) fn moved(&mut self) {
        self.stale = true;
    }

    /// What the server's session has said, if that holds until somebody changes it.
    pub(crate) fn standing(&self) -> Option<&Arc<Standing>> {
        (!self.stale && !self.touched).then_some(&self.standing)
    }

    /// Takes the newest snapshot, and says what is lacking all the same for this message.
    pub(crate) fn lacks(&mut self, facts: &Arc<Facts>, now: Instant) -> Option<Lack> {
        self.doubtful = false;
        let snapshot = self.place.snapshot(now);
        let number = snapshot.as_ref().map(|one| one.number);
        if self.number != number || number.is_none() {
            let catalog = snapshot.as_ref().map(|one| (Arc::clone(&one.catalog), one.number));
            let (standing, made) = (Arc::clone(&self.standing), Arc::clone(&self.made));
            self.naming = Arc::new(Naming::new(catalog, standing, made, self.strict));
            self.number = number;
        }
        let Some(snapshot) = snapshot else { return Some(Lack::Snapshot) };
        let wide = self.place.wide(facts, &self.naming);
        if self.depends_on_a_change(&wide) {
            return Some(Lack::Snapshot);
        }
        let name = wide.unknown_name()?;
        let table =
            wide.statements.iter().any(|one| one.reads.iter().chain(&one.writes).any(|one| **one == *name));
        if snapshot.catalog.has(name) {
            return None;
        }
        // Functions of the server that nobody has listed are called again and again.
        (table || self.place.is_missed(name, now)).then_some(Lack::Name)
    }

    fn depends_on_a_change(&self, wide: &Facts) -> bool {
        let doubts = self.place.doubts();
        doubts.iter().any(|doubt| {
            // What it makes in the same breath is its own, and was judged when it was made.
            let own = doubt.is_open() && self.open.iter().any(|one| Arc::ptr_eq(one, doubt));
            !own && wide.depends_on(&doubt.changed, &self.standing)
        })
    }

    /// Whether it waits for what is lacking.
    pub(crate) fn waits(&self) -> bool {
        self.guarded && self.place.is_live && self.place.answers()
    }

    /// What is lacking did not come.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// The facts as they are judged.
    pub(crate) fn wide(&self, facts: &Arc<Facts>) -> Arc<Facts> {
        if !self.looks {
            return Arc::clone(facts);
        }
        if self.doubtful {
            return Arc::new(self.place.wide(facts, &self.naming).doubted(DOUBTFUL));
        }
        self.place.wide(facts, &self.naming)
    }

    /// A message goes on to the server.
    pub(crate) fn sent(&mut self, facts: &Arc<Facts>, in_transaction: bool) {
        let wide = self.wide(facts);
        if wide.moves_names() {
            (self.stale, self.touched) = (true, true);
        }
        if let Some(changed) = wide.changes() {
            self.makes(&wide);
            if in_transaction && !wide.ends_transaction() {
                self.uncommitted.push(changed);
            } else {
                self.open.push(self.place.changing(changed));
            }
        }
        if wide.ends_transaction() {
            self.stale |= self.touched;
            for changed in std::mem::take(&mut self.uncommitted) {
                self.open.push(self.place.changing(changed));
            }
        }
    }

    fn makes(&mut self, facts: &Facts) {
        let new: Vec<_> = facts.makes().filter(|name| !self.made.contains(name)).collect();
        if !new.is_empty() && self.made.len() < MADE_MAX {
            Arc::make_mut(&mut self.made).extend(new);
            self.number = None;
        }
    }

    /// Whether anything that it has changed is not over.
    pub(crate) fn is_changing(&self) -> bool {
        !self.open.is_empty() || !self.made.is_empty() || !self.uncommitted.is_empty()
    }

    /// All that it has sent is over, in effect or not.
    pub(crate) fn over(&mut self, lost: bool) {
        self.uncommitted.clear();
        for doubt in std::mem::take(&mut self.open) {
            self.place.changed(&doubt, lost);
        }
        if !self.made.is_empty() {
            self.made = Arc::default();
            self.number = None;
        }
    }
}

impl Drop for Sight {
    /// The server may still be at what its session has sent.
    fn drop(&mut self) {
        self.over(true);
    }
}

/// What a refused client reads where a change of the database could not be followed in time.
const DOUBTFUL: &str =
    "a name that a change of the database, or a catalog that is too old, has made uncertain";
/// Tables made in one transaction that are remembered.
const MADE_MAX: usize = 1_000;
