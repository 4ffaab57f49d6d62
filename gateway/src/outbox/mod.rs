//! Receipts from the data path to the recorder: numbered, encoded, sealed and spooled here, then sent until the
//! recorder holds them; it never decides, and it never drops what it acknowledged.
//!
//! ```text
//! sessions ─ put ──────▶ inbox ─▶ clerk (own thread) ─▶ spool ─▶ courier (task) ─▶ recorder
//!          ─ durable ──▶    ◀─ fdatasync ─┘               ◀─ delete ─┘  ◀─ ack ─┘
//! ```
//! `put` costs a push under a lock. `durable` answers after the group's fdatasync. `room` says whether the gate may
//! let anything pass; where a rule lets it pass all the same, `lost` makes the loss an entry of its own.

mod clerk;
mod courier;
mod frame;
mod issuer;
#[cfg(test)]
mod memory;
mod pen;
mod shelf;
mod spool;
#[cfg(test)]
mod tests;

use crate::draft::Draft;
use clerk::{Clerk, Inbox};
use clyra_seal::key::SigningKey;
use issuer::Issuer;
use pen::Pen;
use shelf::Shelf;
use spool::Spool;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// Where receipts are kept until the recorder has them, and how many.
#[derive(Clone, Debug)]
pub(crate) struct OutboxSettings {
    /// Folder of the spool; made when it is not there.
    pub(crate) dir: PathBuf,
    /// The recorder.
    pub(crate) recorder: SocketAddr,
    /// Drafts in memory before the gate shuts.
    pub(crate) queue_max: usize,
    /// How long a draft that nobody waits for may wait for company, milliseconds.
    pub(crate) linger_ms: u64,
    /// Bytes that the recorder does not hold before the gate shuts.
    pub(crate) spool_bytes_max: u64,
    /// How long a run without a session stays open, milliseconds.
    pub(crate) run_idle_ms: u64,
}

impl OutboxSettings {
    /// The usual bounds: 65,536 drafts, 5 ms, 10 GiB, 3 s.
    pub(crate) fn new(dir: PathBuf, recorder: SocketAddr) -> Self {
        Self {
            dir,
            recorder,
            queue_max: 65_536,
            linger_ms: 20,
            spool_bytes_max: 10 << 30,
            run_idle_ms: 3_000,
        }
    }
}

/// Why nothing may pass that must leave a receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Shut {
    /// For people.
    pub(crate) why: String,
}

/// Why the outbox cannot start, go on or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it cannot be used.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another gateway uses the folder.
    #[error("the spool `{}` is in use by another gateway; give each gateway a folder of its own", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// Something that was promised is not as it was written.
    #[error(
        "`{}` is damaged at byte `{offset}`, and not at its torn end; restore the spool from a copy, or move it and \
         the gateway's key away together so that a new stream begins", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first frame lies that cannot be read.
        offset: u64,
    },
    /// A file of the spool is gone.
    #[error(
        "a spool file before `{}` is missing; restore the spool from a copy, or move it and the gateway's key away \
         together so that a new stream begins", path.display()
    )]
    Missing {
        /// The file that does not follow on the one before it.
        path: PathBuf,
    },
    /// The spool was written with another key.
    #[error(
        "the last batch in `{}` does not open with key `{key}`: {source}; allowed is only the key that wrote the \
         spool", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Id of the key that was tried.
        key: String,
        /// What is wrong.
        source: clyra_seal::Error,
    },
    /// The recorder knows another past of this gateway.
    #[error(
        "the recorder ends at epoch `{epoch}`, seq `{seq}` of this gateway, and the spool does not go on from there; \
         restore the spool or the recorder from a copy, or move spool and key away so that a new stream begins"
    )]
    Estranged {
        /// Epoch that the recorder names; 0 when it holds nothing.
        epoch: u64,
        /// Seq that the recorder names.
        seq: u64,
    },
    /// A batch could not be sealed.
    #[error("cannot seal a batch: {0}")]
    Seal(clyra_seal::Error),
    /// The clerk's thread could not be started, or is gone.
    #[error("the outbox's thread: {0}")]
    Thread(std::io::Error),
}

/// What sessions, clerk and courier share.
#[derive(Debug)]
struct State {
    inbox: Inbox,
    shelf: Arc<Shelf>,
    queue_max: u64,
    spool_bytes_max: u64,
    /// Set by the clerk.
    disk: Notice,
    /// Set by the courier.
    refusal: Notice,
    /// Set by the courier.
    connected: AtomicBool,
    /// Of this epoch: the last entry that the clerk has numbered, and the last that the recorder holds.
    issued: AtomicU64,
    acked: AtomicU64,
    epoch: u64,
}

/// The way of every receipt out of the gateway.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Arc<State>,
    clerk: Mutex<Option<JoinHandle<()>>>,
    courier: AbortHandle,
    runtime: Handle,
    epoch: u64,
}

impl Outbox {
    /// Opens the spool, tells of an unclean stop if there was one, and begins an epoch.
    ///
    /// # Errors
    /// When the spool cannot be used, or what it promised is damaged.
    pub(crate) fn start(
        settings: OutboxSettings,
        key: SigningKey,
        runtime: Handle,
    ) -> Result<Arc<Self>, Error> {
        let (public, start_us) = (key.verifying(), now_us());
        let OutboxSettings { dir, recorder, queue_max, linger_ms, spool_bytes_max, run_idle_ms } = settings;
        let (spool, before) = Spool::open(dir, spool_bytes_max, &public, start_us)?;
        let state = Arc::new(State {
            inbox: Inbox::new(queue_max),
            shelf: spool.shelf(),
            queue_max: queue_max as u64,
            spool_bytes_max,
            disk: Notice::default(),
            refusal: Notice::default(),
            connected: AtomicBool::new(false),
            issued: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            epoch: spool.epoch(),
        });
        let epoch = spool.epoch();
        let pen = Pen::new(key.id(), key.name(), epoch, fastrand::u64(..));
        let issuer = Issuer::new(pen, epoch, run_idle_ms.saturating_mul(1_000));
        let linger = Duration::from_millis(linger_ms);
        let mut clerk = Clerk::new(Arc::clone(&state), key, issuer, spool, linger);
        clerk.begin(&before)?;
        let thread = std::thread::Builder::new().name("clyra-clerk".to_owned()).spawn(move || clerk.run());
        let thread = thread.map_err(Error::Thread)?;
        let courier = runtime.spawn(courier::run(Arc::clone(&state), recorder, public)).abort_handle();
        Ok(Arc::new(Self { state, clerk: Mutex::new(Some(thread)), courier, runtime, epoch }))
    }

    /// The epoch of this outbox's entries: its start in milliseconds since 1970-01-01 UTC, or later.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Hands over a draft that nobody waits for. Never waits for the disk. What is under way when the gate shuts is
    /// still taken; far beyond the bounds it counts as lost.
    pub(crate) fn put(&self, draft: Draft) {
        if self.state.is_flooded() {
            self.state.inbox.lose();
        } else {
            self.state.inbox.put(draft);
        }
    }

    /// Whether there is room for another receipt; ask before a statement is sent on.
    ///
    /// # Errors
    /// When the queue or the spool is full, the disk fails, or the recorder refuses this gateway.
    pub(crate) fn room(&self) -> Result<(), Shut> {
        self.state.room()
    }

    /// Counts a receipt that a rule let go unrecorded; a `gap` entry tells of it as soon as there is room.
    pub(crate) fn lost(&self) {
        self.state.inbox.lose();
    }

    /// Hands over a draft and returns once its entry is on disk.
    ///
    /// # Errors
    /// When there is no room, or the disk fails. The entry is kept all the same and comes into the log later; whoever
    /// does not send the statement on says so in an `outcome`.
    pub(crate) async fn durable(&self, draft: Draft) -> Result<(), Shut> {
        if let Err(shut) = self.room() {
            self.put(draft);
            return Err(shut);
        }
        let stored = self.state.inbox.put_waiting(draft).await;
        stored.unwrap_or_else(|_| Err(Shut { why: "the outbox has stopped".to_owned() }))
    }

    /// Entries of this epoch that the recorder does not hold, drafts that wait for their number among them.
    pub(crate) fn depth(&self) -> u64 {
        let numbered = self.state.issued.load(Relaxed).saturating_sub(self.state.acked.load(Relaxed));
        self.state.inbox.depth() + numbered
    }

    /// Whether the recorder is there and has welcomed this gateway.
    pub(crate) fn connected(&self) -> bool {
        self.state.connected.load(Relaxed)
    }

    /// Age of the oldest durable batch that the recorder does not hold, microseconds; 0 when it holds all.
    pub(crate) fn lag_us(&self) -> u64 {
        self.state.shelf.lag_us(now_us())
    }

    /// Why the gate is shut, if it is.
    pub(crate) fn shut(&self) -> Option<String> {
        self.room().err().map(|shut| shut.why)
    }

    /// Closes a run, and says how many receipts it has here once that is on disk; `None` for a run without receipts
    /// in this epoch, and while the disk fails.
    pub(crate) async fn close_run(&self, run_id: &str) -> Option<u64> {
        self.state.inbox.ask_close(run_id).await.ok().flatten()
    }

    /// Ends the epoch: closes all runs, seals the last batch as final, gives the recorder a little time to take what
    /// is left, and leaves the rest in the spool for the next start. Stop the data path first.
    ///
    /// # Errors
    /// When the end cannot be made durable; the next start then tells of an unclean stop.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let gone = || Error::Thread(std::io::Error::other("it has ended already"));
        let spool = self.state.inbox.stop().await.map_err(|_| gone())?;
        if spool.is_ok() && self.state.refusal.is_none() {
            let _ = tokio::time::timeout(LAST_ACKS_WAIT, self.state.shelf.emptied()).await;
        }
        self.courier.abort();
        self.state.connected.store(false, Relaxed);
        self.join();
        let spool = spool?;
        self.runtime.spawn_blocking(move || spool.leave()).await.map_err(|_| gone())?
    }

    fn join(&self) {
        let clerk = lock(&self.clerk).take();
        // A clerk who panicked has shut the gate already.
        let _ = clerk.map(JoinHandle::join);
    }
}

/// Dropped without `stop`, it ends as a crash would end it: the next start tells of an unclean stop.
impl Drop for Outbox {
    fn drop(&mut self) {
        self.courier.abort();
        self.state.inbox.abandon();
        self.join();
    }
}

impl State {
    fn room(&self) -> Result<(), Shut> {
        if self.inbox.depth() >= self.queue_max {
            let why = format!("the outbox is full: `{}` receipts wait for the disk", self.queue_max);
            return Err(Shut { why });
        }
        if self.shelf.held() >= self.spool_bytes_max {
            let why = format!("the spool is full: `{}` bytes wait for the recorder", self.spool_bytes_max);
            return Err(Shut { why });
        }
        self.disk.check()?;
        self.refusal.check()
    }

    /// So far beyond the spool's bound that even what was under way has had its room.
    fn is_flooded(&self) -> bool {
        self.shelf.held() >= self.spool_bytes_max.saturating_add(self.spool_bytes_max / 8)
    }
}

/// A reason to shut the gate, cheap to look at while there is none.
#[derive(Debug, Default)]
struct Notice {
    up: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Notice {
    fn set(&self, why: Option<String>) {
        let mut held = lock(&self.why);
        self.up.store(why.is_some(), Relaxed);
        *held = why;
    }

    fn set_if_none(&self, why: &str) {
        if self.is_none() {
            self.set(Some(why.to_owned()));
        }
    }

    fn is_none(&self) -> bool {
        !self.up.load(Relaxed)
    }

    fn check(&self) -> Result<(), Shut> {
        if self.is_none() {
            return Ok(());
        }
        lock(&self.why).clone().map_or(Ok(()), |why| Err(Shut { why }))
    }
}

/// A panic elsewhere leaves these small structures whole: they are changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds since 1970-01-01 UTC.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

const LAST_ACKS_WAIT: Duration = Duration::from_secs(5);
