//! Pools of connections to the server: lends them to clients for a session or for a transaction, within bounds. It
//! never lends one connection to two, and never one with another's state in it.
//!
//! Connections are kept apart by their whole start-up packet, so that what a session began with is always what its
//! client asked for; how many there may be is counted for each user and database. Whoever waits is served in order of
//! arrival, whichever thread serves him.

mod backend;
mod keys;
mod rank;
mod state;
mod statements;

pub(crate) use backend::{Backend, Kept, Reported, greeting};
pub(crate) use keys::{Keys, Place};
pub(crate) use rank::Rank;
pub(crate) use state::{Keeps, keeps};
pub(crate) use statements::{Held, Statements, Text};

use crate::{
    login::Denied,
    metrics::PoolMetrics,
    secure::Secure,
    settings::{PoolSettings, Upstream},
};
use clyra_wire::Startup;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// All pools of one gateway.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) settings: PoolSettings,
    pub(crate) keys: Keys,
    upstream: Arc<Upstream>,
    secure: Arc<Secure>,
    metrics: PoolMetrics,
    ranks: Mutex<HashMap<(String, String), Arc<Rank>>>,
}

/// What a client's connections to the server must be like.
#[derive(Debug)]
pub(crate) struct Wanted {
    rank: Arc<Rank>,
    startup: Startup,
    packet: Arc<[u8]>,
}

/// Why nobody is lent a connection.
#[derive(Debug)]
pub(crate) enum NotServed {
    /// None became free in time.
    TooLate { wait: Duration, size: usize },
    /// Too many wait already.
    QueueFull(usize),
    /// The server did not let the gateway in, or does not take what the session had set.
    Denied(Denied),
}

impl Pool {
    pub(crate) fn new(
        settings: PoolSettings,
        upstream: Arc<Upstream>,
        secure: Arc<Secure>,
        metrics: PoolMetrics,
    ) -> Self {
        Self { settings, keys: Keys::default(), upstream, secure, metrics, ranks: Mutex::default() }
    }

    /// What a client with this start-up packet wants.
    ///
    /// # Errors
    /// It asks for what only the gateway may choose.
    pub(crate) fn wanted(&self, startup: &Startup) -> Result<Wanted, Denied> {
        let Some(logins) = &self.secure.logins else { return Err(Denied::Left) };
        let (user, packet) = logins.packet(startup)?;
        let client = startup.parameter("user").unwrap_or_default();
        let database = startup.parameter("database").filter(|name| !name.is_empty()).unwrap_or(client);
        let mut ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = ranks
            .entry((user, database.to_owned()))
            .or_insert_with(|| Arc::new(Rank::new(self.settings.size, self.metrics.clone())));
        Ok(Wanted {
            rank: Arc::clone(rank),
            startup: startup.clone(),
            packet: packet.freeze().as_ref().into(),
        })
    }

    /// So many more clients keep their connection for what it holds of them.
    pub(crate) fn pinned(&self, more: f64) {
        self.metrics.pinned.increment(more);
    }

    /// What the server reports at a login, from the last one with such a packet.
    pub(crate) fn reported(&self, wanted: &Wanted) -> Option<Arc<Reported>> {
        wanted.rank.reported(&wanted.packet)
    }

    /// Lends a connection, or opens one.
    ///
    /// # Errors
    /// None is free in time, or none can be opened.
    pub(crate) async fn lend(&self, wanted: &Wanted) -> Result<Box<Backend>, NotServed> {
        let slot = match wanted.rank.lend(&wanted.packet, self.settings.wait_max).await? {
            rank::Grant::Backend(backend) => return Ok(backend),
            rank::Grant::Open(slot) => slot,
        };
        let packet = Arc::clone(&wanted.packet);
        let opening = backend::open(&self.upstream, &self.secure, &wanted.startup, packet, slot);
        let opened = tokio::time::timeout(OPENING_MAX, opening).await;
        let backend = opened.unwrap_or_else(|_| Err(backend::too_slow(OPENING_MAX)));
        let backend = Box::new(backend.map_err(NotServed::Denied)?);
        wanted.rank.learn(&wanted.packet, &backend.reported);
        Ok(backend)
    }

    /// Gives a connection back; its session must be as at its login but for what the backend knows of. One that is
    /// too old is closed.
    pub(crate) fn give_back(&self, mut backend: Box<Backend>) {
        let now = Instant::now();
        if now.duration_since(backend.born) > self.settings.lifetime_max {
            return backend.leave();
        }
        backend.rested = now;
        Rank::give_back(backend);
    }

    /// Closes connections that rest for too long or are too old, again and again, and all at the end.
    pub(crate) async fn swept(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        loop {
            let down = tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => false,
                _ = shutdown.wait_for(|down| *down) => true,
            };
            let now = Instant::now();
            let idle_max = if down { Duration::ZERO } else { self.settings.idle_max };
            let mut ranks = self.ranks.lock().unwrap_or_else(PoisonError::into_inner);
            ranks.retain(|_, rank| {
                rank.sweep(now, idle_max, self.settings.lifetime_max);
                Arc::strong_count(rank) > 1
            });
            if down {
                return;
            }
        }
    }
}

/// How long a login at the server may take.
const OPENING_MAX: Duration = Duration::from_secs(15);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
