//! The connections of one user to one database: which rest, how many are open, and who waits. It opens none itself.

use super::{Backend, NotServed, Reported};
use crate::metrics::PoolMetrics;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The connections of one user to one database.
#[derive(Debug)]
pub(crate) struct Rank {
    size: usize,
    metrics: PoolMetrics,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that are open or being opened; never more than `size`.
    open: usize,
    /// Those that are not lent, the longest rested first.
    idle: VecDeque<Box<Backend>>,
    waiting: VecDeque<Waiter>,
    /// What the server reported at the last login, by start-up packet.
    reported: HashMap<Arc<[u8]>, Arc<Reported>>,
}

#[derive(Debug)]
struct Waiter {
    packet: Arc<[u8]>,
    grant: oneshot::Sender<Grant>,
}

/// What one who asked is given.
#[derive(Debug)]
pub(super) enum Grant {
    Backend(Box<Backend>),
    /// The right to open a connection.
    Open(Slot),
}

/// The right to have one connection open; dropped, it goes to the next who waits.
#[derive(Debug)]
pub(crate) struct Slot(Option<Arc<Rank>>);

impl Rank {
    pub(super) fn new(size: usize, metrics: PoolMetrics) -> Self {
        Self { size, metrics, state: Mutex::default() }
    }

    /// A connection that was opened with this packet, or the right to open one; waits for it if need be.
    pub(super) async fn lend(
        self: &Arc<Self>,
        packet: &Arc<[u8]>,
        wait: Duration,
    ) -> Result<Grant, NotServed> {
        let waits = match self.at_once(packet)? {
            Ok(grant) => return Ok(grant),
            Err(waits) => waits,
        };
        let began = Instant::now();
        self.metrics.waiting.increment(1.0);
        let granted = tokio::time::timeout(wait, waits).await;
        self.metrics.waiting.decrement(1.0);
        self.metrics.waited(began.elapsed());
        match granted {
            Ok(Ok(grant)) => Ok(grant),
            Ok(Err(_)) | Err(_) => Err(NotServed::TooLate { wait, size: self.size }),
        }
    }

    /// What can be given now, or a place in the queue.
    fn at_once(
        self: &Arc<Self>,
        packet: &Arc<[u8]>,
    ) -> Result<Result<Grant, oneshot::Receiver<Grant>>, NotServed> {
        loop {
            let mut state = self.lock();
            if let Some(mut backend) = state.take(packet) {
                drop(state);
                self.metrics.idle.decrement(1.0);
                // One that is not quiet is dropped, and with it its slot is free.
                if backend.is_quiet() {
                    return Ok(Ok(Grant::Backend(backend)));
                }
                continue;
            }
            if state.open < self.size {
                state.open += 1;
                self.metrics.open.increment(1.0);
                return Ok(Ok(Grant::Open(Slot(Some(Arc::clone(self))))));
            }
            if let Some(other) = state.idle.pop_front() {
                drop(state);
                self.metrics.idle.decrement(1.0);
                return Ok(Ok(Grant::Open(other.close())));
            }
            state.waiting.retain(|waiter| !waiter.grant.is_closed());
            if state.waiting.len() >= WAITING_MAX {
                return Err(NotServed::QueueFull(WAITING_MAX));
            }
            let (grant, waits) = oneshot::channel();
            state.waiting.push_back(Waiter { packet: Arc::clone(packet), grant });
            return Ok(Err(waits));
        }
    }

    /// Hands a connection to the next who waits, or lets it rest.
    pub(super) fn give_back(backend: Box<Backend>) {
        let Some(rank) = backend.rank() else { return };
        let mut state = rank.lock();
        let mut backend = backend;
        while let Some(waiter) = state.waiting.pop_front() {
            if waiter.grant.is_closed() {
                continue;
            }
            if waiter.packet != backend.packet {
                // It must be another; this one makes room for it.
                drop(state);
                let slot = backend.close();
                let unsent = waiter.grant.send(Grant::Open(slot));
                return drop(unsent);
            }
            match waiter.grant.send(Grant::Backend(backend)) {
                Ok(()) => return,
                Err(Grant::Backend(unsent)) => backend = unsent,
                Err(Grant::Open(_)) => return,
            }
        }
        state.idle.push_back(backend);
        rank.metrics.idle.increment(1.0);
    }

    pub(super) fn reported(&self, packet: &Arc<[u8]>) -> Option<Arc<Reported>> {
        self.lock().reported.get(packet).cloned()
    }

    pub(super) fn learn(&self, packet: &Arc<[u8]>, reported: &Arc<Reported>) {
        let mut state = self.lock();
        if state.reported.len() >= PACKETS_MAX {
            state.reported.clear();
        }
        state.reported.insert(Arc::clone(packet), Arc::clone(reported));
    }

    /// Closes what rests for too long or is too old.
    pub(super) fn sweep(&self, now: Instant, idle_max: Duration, lifetime_max: Duration) {
        let mut closed = Vec::new();
        let mut state = self.lock();
        let all = std::mem::take(&mut state.idle);
        for backend in all {
            let rested = now.saturating_duration_since(backend.rested);
            let lived = now.saturating_duration_since(backend.born);
            if rested >= idle_max || lived >= lifetime_max {
                closed.push(backend);
            } else {
                state.idle.push_back(backend);
            }
        }
        drop(state);
        for backend in closed {
            self.metrics.idle.decrement(1.0);
            backend.leave();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The connection with this packet that rested last: the warmest.
    fn take(&mut self, packet: &Arc<[u8]>) -> Option<Box<Backend>> {
        let at = self
            .idle
            .iter()
            .rposition(|backend| Arc::ptr_eq(&backend.packet, packet) || backend.packet == *packet)?;
        self.idle.remove(at)
    }
}

impl Slot {
    pub(super) fn rank(&self) -> Option<Arc<Rank>> {
        self.0.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(rank) = self.0.take() else { return };
        let mut state = rank.lock();
        while let Some(waiter) = state.waiting.pop_front() {
            match waiter.grant.send(Grant::Open(Self(Some(Arc::clone(&rank))))) {
                Ok(()) => return,
                Err(Grant::Open(mut unsent)) => unsent.0 = None,
                Err(Grant::Backend(_)) => {}
            }
        }
        state.open = state.open.saturating_sub(1);
        rank.metrics.open.decrement(1.0);
    }
}

/// Clients that may wait for a connection of one user and database.
const WAITING_MAX: usize = 10_000;
/// Start-up packets of which it is remembered what the server reports.
const PACKETS_MAX: usize = 1_000;
