//! Changes of definitions that have gone to a server, until a snapshot is taken behind them: what depends on them is not
//! judged by an older one.

use super::Place;
use clyra_policy::Changed;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A change on its way.
#[derive(Debug)]
pub(crate) struct Doubt {
    pub(crate) changed: Changed,
    /// How many looks at the database had begun when it was over; [`OPEN`] until then.
    over: AtomicU64,
}

impl Doubt {
    /// It may still come into effect.
    pub(crate) fn is_open(&self) -> bool {
        self.over.load(Ordering::SeqCst) == OPEN
    }
}

impl Place {
    /// Changes that no snapshot holds yet.
    pub(crate) fn doubts(&self) -> arc_swap::Guard<Arc<Vec<Arc<Doubt>>>> {
        self.doubts.load()
    }

    /// A change goes to the server.
    pub(crate) fn changing(&self, changed: Changed) -> Arc<Doubt> {
        let doubt = Arc::new(Doubt { changed, over: AtomicU64::new(OPEN) });
        self.doubts.rcu(|all| {
            let mut all = Vec::clone(all);
            all.push(Arc::clone(&doubt));
            all
        });
        doubt
    }

    /// A change is over, in effect or not. Where its session has gone with it (`lost`), the server may still be at it.
    pub(crate) fn changed(&self, doubt: &Doubt, lost: bool) {
        let more = if lost { LOOKS_MORE } else { 0 };
        doubt.over.store(self.begun.load(Ordering::SeqCst) + more, Ordering::SeqCst);
        self.wake();
    }

    /// A look at the database was brought to its end: what was `seen` holds what was over before it began.
    pub(super) fn looked(&self, number: u64, seen: bool) {
        if seen && !self.doubts.load().is_empty() {
            self.doubts.rcu(|all| {
                let left = all.iter().filter(|one| one.over.load(Ordering::SeqCst) >= number);
                left.cloned().collect::<Vec<_>>()
            });
        }
        self.ended.send_replace(number);
    }
}

/// A change that is not over.
const OPEN: u64 = u64::MAX;
/// So many looks more until a change whose session was lost is taken to be over.
const LOOKS_MORE: u64 = 2;
