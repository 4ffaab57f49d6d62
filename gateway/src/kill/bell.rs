//! The bell of the kill switch: wakes every session when it is turned, so that each looks at what stands for it. A
//! session pays for it when it begins and when it ends, and never in between.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// Everybody who is to be woken.
#[derive(Debug, Default)]
pub(crate) struct Bell(Mutex<Sleepers>);

#[derive(Debug, Default)]
struct Sleepers {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

impl Bell {
    /// From now on the task of this waker is woken at every turn.
    pub(crate) fn enter(self: &Arc<Self>, waker: &Waker) -> Hearing {
        let mut sleepers = self.lock();
        sleepers.next += 1;
        let number = sleepers.next;
        sleepers.wakers.insert(number, waker.clone());
        drop(sleepers);
        Hearing { bell: Arc::clone(self), number }
    }

    /// Wakes everybody.
    pub(crate) fn ring(&self) {
        self.lock().wakers.values().for_each(Waker::wake_by_ref);
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this lives, its task hears the bell.
#[derive(Debug)]
pub(crate) struct Hearing {
    bell: Arc<Bell>,
    number: u64,
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.bell.lock().wakers.remove(&self.number);
    }
}
