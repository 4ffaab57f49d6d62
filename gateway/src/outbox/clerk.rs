//! The one thread that numbers, encodes, seals and stores what the data path hands over; it never talks to the network.
//!
//! ```text
//! put, durable ─▶ inbox ─(linger)─▶ issuer ─▶ page ─ seal ─▶ spool ─ write ─ fdatasync ─▶ waiters, courier
//! ```

use super::issuer::Issuer;
use super::pen::{Loss, Page};
use super::shelf::Tail;
use super::spool::Spool;
use super::{Error, Shut, State, lock, now_us};
use crate::draft::Draft;
use clyra_seal::batch::{self, Claims};
use clyra_seal::key::SigningKey;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What waits for the clerk. Sessions push under the lock; the clerk alone takes.
#[derive(Debug)]
pub(super) struct Inbox {
    pile: Mutex<Pile>,
    bell: Condvar,
    /// Drafts not yet handed to the spool.
    depth: AtomicU64,
    drafts_max: usize,
}

#[derive(Debug, Default)]
struct Pile {
    drafts: Vec<Draft>,
    /// Who waits for the disk, and for which draft by its place in the pile.
    waiters: VecDeque<(usize, oneshot::Sender<Result<(), Shut>>)>,
    asks: Vec<Ask>,
    lost: u64,
    stop: Option<oneshot::Sender<Result<Spool, Error>>>,
    /// The outbox was dropped: leave at once, as a crash would.
    dropped: bool,
    /// The clerk is gone; nothing will ever be taken again.
    gone: bool,
    clerk: Rest,
}

impl Pile {
    /// Tells the one who waits for this draft that it could not be kept.
    fn refuse(&mut self, place: usize) {
        let waiting = self.waiters.iter().position(|(first, _)| *first == place);
        if let Some((_, waiter)) = waiting.and_then(|waiting| self.waiters.remove(waiting)) {
            let _ = waiter.send(Err(Shut { why: "the receipt is longer than the log can hold".to_owned() }));
        }
    }
}

/// Who asked for a close, and how many receipts the run has.
type Closed = (oneshot::Sender<Option<u64>>, Option<u64>);

/// Somebody asks that a run be closed.
#[derive(Debug)]
struct Ask {
    run_id: String,
    answer: oneshot::Sender<Option<u64>>,
}

/// What the clerk does just now, so that sessions ring only when it helps.
#[derive(Debug, Default, PartialEq, Eq)]
enum Rest {
    /// At work: it will look into the pile before it rests.
    #[default]
    Busy,
    /// Waits a little for company.
    Linger,
    /// Waits for anything.
    Sleep,
    /// Waits for the disk, and hears only those who want an answer.
    Stuck,
}

impl Inbox {
    /// An inbox that is full at `queue_max` drafts; what is already under way may go over it, up to twice as many.
    pub(super) fn new(queue_max: usize) -> Self {
        Self {
            pile: Mutex::default(),
            bell: Condvar::new(),
            depth: AtomicU64::new(0),
            drafts_max: queue_max.saturating_mul(2),
        }
    }

    /// Drafts not yet handed to the spool.
    pub(super) fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    /// Adds a draft; one too many counts as lost.
    pub(super) fn put(&self, draft: Draft) {
        let mut pile = lock(&self.pile);
        if pile.gone || pile.drafts.len() >= self.drafts_max {
            pile.lost = pile.lost.saturating_add(1);
            return;
        }
        pile.drafts.push(draft);
        self.depth.fetch_add(1, Relaxed);
        let ring = match pile.clerk {
            Rest::Busy | Rest::Stuck => false,
            Rest::Linger => pile.drafts.len() == DRAFTS_PLENTY,
            Rest::Sleep => true,
        };
        self.ring(pile, ring);
    }

    /// Adds a draft and tells when it is durable.
    pub(super) fn put_waiting(&self, draft: Draft) -> oneshot::Receiver<Result<(), Shut>> {
        let (tell, told) = oneshot::channel();
        let mut pile = lock(&self.pile);
        if !pile.gone {
            let place = pile.drafts.len();
            pile.drafts.push(draft);
            pile.waiters.push_back((place, tell));
            self.depth.fetch_add(1, Relaxed);
        }
        let ring = pile.clerk != Rest::Busy;
        self.ring(pile, ring);
        told
    }

    /// Counts an entry that was not taken.
    pub(super) fn lose(&self) {
        let mut pile = lock(&self.pile);
        pile.lost = pile.lost.saturating_add(1);
        let ring = pile.clerk == Rest::Sleep;
        self.ring(pile, ring);
    }

    /// Asks that a run be closed.
    pub(super) fn ask_close(&self, run_id: &str) -> oneshot::Receiver<Option<u64>> {
        let (answer, answered) = oneshot::channel();
        let mut pile = lock(&self.pile);
        if !pile.gone {
            pile.asks.push(Ask { run_id: run_id.to_owned(), answer });
        }
        self.ring(pile, true);
        answered
    }

    /// Asks the clerk to end the epoch, make all of it durable and hand back the spool.
    pub(super) fn stop(&self) -> oneshot::Receiver<Result<Spool, Error>> {
        let (answer, answered) = oneshot::channel();
        let mut pile = lock(&self.pile);
        if !pile.gone {
            pile.stop = Some(answer);
        }
        self.ring(pile, true);
        answered
    }

    /// Makes the clerk leave without another word.
    pub(super) fn abandon(&self) {
        let mut pile = lock(&self.pile);
        pile.dropped = true;
        self.ring(pile, true);
    }

    fn ring(&self, mut pile: MutexGuard<'_, Pile>, ring: bool) {
        if ring {
            pile.clerk = Rest::Busy;
        }
        drop(pile);
        if ring {
            self.bell.notify_one();
        }
    }

    /// Waits for work until `deadline`, lingers for more of it, and takes it all; the drafts stay while `stuck`.
    fn take(&self, deadline: Option<Instant>, linger: Duration, stuck: bool) -> Pile {
        let mut pile = lock(&self.pile);
        let mut linger_end = None;
        loop {
            let urgent =
                !pile.waiters.is_empty() || !pile.asks.is_empty() || pile.stop.is_some() || pile.dropped;
            let some = !stuck && (!pile.drafts.is_empty() || pile.lost > 0);
            if urgent || pile.drafts.len() >= DRAFTS_PLENTY && !stuck {
                break;
            }
            let now = Instant::now();
            let until = if some { Some(*linger_end.get_or_insert(now + linger)) } else { deadline };
            if until.is_some_and(|until| until <= now) {
                break;
            }
            pile.clerk = match (stuck, some) {
                (true, _) => Rest::Stuck,
                (false, true) => Rest::Linger,
                (false, false) => Rest::Sleep,
            };
            let wait = until.map_or(LONGEST_SLEEP, |until| until - now);
            pile = self.bell.wait_timeout(pile, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut taken = std::mem::take(&mut *pile);
        pile.gone = taken.stop.is_some();
        if stuck && !pile.gone {
            std::mem::swap(&mut pile.drafts, &mut taken.drafts);
        }
        taken
    }
}

/// The clerk, on its own thread.
#[derive(Debug)]
pub(super) struct Clerk {
    state: Arc<State>,
    key: SigningKey,
    issuer: Issuer,
    spool: Spool,
    linger: Duration,
    /// Entries of the batch being written.
    page: Page,
    /// When the disk was last synced, or last tried.
    tried: Instant,
    /// The disk's fault, while it lasts.
    stuck: Option<String>,
}

impl Clerk {
    /// A clerk with an empty page.
    pub(super) fn new(
        state: Arc<State>,
        key: SigningKey,
        issuer: Issuer,
        spool: Spool,
        linger: Duration,
    ) -> Self {
        Self { state, key, issuer, spool, linger, page: Page::default(), tried: Instant::now(), stuck: None }
    }

    /// Tells of an unclean stop, so that it is durable before anything else of this epoch.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub(super) fn begin(&mut self, before: &Tail) -> Result<(), Error> {
        if before.last || before.epoch == 0 {
            return Ok(());
        }
        let loss = Loss { epoch: before.epoch, last_seq: before.seq, count: None, reason: "unclean_stop" };
        self.issuer.tell(&mut self.page, &loss, now_us());
        self.cut(false)?;
        self.spool.sync(now_us())
    }

    /// Works until the outbox is stopped or dropped.
    pub(super) fn run(mut self) {
        let _leaving = Leaving(Arc::clone(&self.state));
        loop {
            let mut pile = self.state.inbox.take(self.deadline(), self.linger, self.stuck.is_some());
            if pile.dropped {
                return;
            }
            let stop = pile.stop.take();
            let worked = self.work(pile);
            if let Some(answer) = stop {
                let ended = worked.and_then(|()| self.finish());
                let _ = answer.send(ended.map(|()| self.spool));
                return;
            }
            if let Err(error) = worked {
                self.tell(Some(error.to_string()));
                return;
            }
        }
    }

    /// Fails only when sealing does, which nothing can mend.
    fn work(&mut self, mut pile: Pile) -> Result<(), Error> {
        let now_us = now_us();
        self.issuer.lose(pile.lost);
        if self.stuck.is_some() {
            // Their drafts have not been looked at; whatever the disk does next, they are not on it.
            self.answer(&mut pile.waiters, usize::MAX);
        }
        let drafts = std::mem::take(&mut pile.drafts);
        for (place, draft) in drafts.iter().enumerate() {
            if !self.issuer.issue(&mut self.page, draft, now_us) {
                pile.refuse(place);
            }
            if self.page.is_full() {
                self.cut(false)?;
                self.store(pile.waiters.front().is_some_and(|(first, _)| *first <= place));
                self.answer(&mut pile.waiters, place);
            }
        }
        // Numbered before they are no longer waiting: what the gateway owes the recorder never looks less than it is.
        self.state.issued.store(self.issuer.seq(), Relaxed);
        self.state.inbox.depth.fetch_sub(drafts.len() as u64, Relaxed);
        let closed = if self.stuck.is_none() { self.keep_books(pile.asks, now_us)? } else { Vec::new() };
        self.cut(false)?;
        self.state.issued.store(self.issuer.seq(), Relaxed);
        self.store(!pile.waiters.is_empty() || !closed.is_empty());
        self.answer(&mut pile.waiters, usize::MAX);
        for (answer, count) in closed {
            let _ = answer.send(count.filter(|_| self.stuck.is_none()));
        }
        Ok(())
    }

    /// Closes runs, those that idle and those asked for, and tells of losses when there is room again.
    fn keep_books(&mut self, asks: Vec<Ask>, now_us: u64) -> Result<Vec<Closed>, Error> {
        while self.issuer.close_idle(&mut self.page, now_us) {
            self.cut(false)?;
        }
        while self.issuer.beat(&mut self.page, now_us) {
            self.cut(false)?;
        }
        let mut closed = Vec::new();
        for ask in asks {
            if self.page.is_full() {
                self.cut(false)?;
            }
            closed.push((ask.answer, self.issuer.close_asked(&mut self.page, &ask.run_id, now_us)));
        }
        if self.issuer.owes_gap() && self.state.room().is_ok() {
            if self.page.is_full() {
                self.cut(false)?;
            }
            self.issuer.tell_losses(&mut self.page, now_us);
        }
        Ok(closed)
    }

    /// Closes all runs and ends the epoch; durable on return.
    fn finish(&mut self) -> Result<(), Error> {
        while self.issuer.close_all(&mut self.page, now_us()) {
            self.cut(false)?;
        }
        self.issuer.tell_losses(&mut self.page, now_us());
        if self.issuer.seq() > 0 {
            self.cut(true)?;
        }
        self.spool.sync(now_us())
    }

    /// Seals the page, if there is anything on it or the epoch ends, and hands it to the spool.
    fn cut(&mut self, last: bool) -> Result<(), Error> {
        let count = self.page.count();
        if count == 0 && !last {
            return Ok(());
        }
        let claims = Claims {
            gateway: self.key.name().to_owned(),
            epoch: self.spool.epoch(),
            first_seq: self.issuer.seq() + 1 - count,
            count,
            root: self.page.root(),
            previous: self.spool.tail().digest,
            last,
        };
        let (at, id) = self.issuer.pen().stamp(now_us());
        let header = batch::seal(&self.key, &claims, at, &id).map_err(Error::Seal)?;
        let tail = Tail { epoch: claims.epoch, seq: claims.last_seq(), digest: batch::digest(&header), last };
        self.spool.append(&header, &self.page, tail);
        self.page.clear();
        Ok(())
    }

    /// Writes what was cut, and syncs when somebody waits, when it is time, or when much is pending.
    fn store(&mut self, waited_for: bool) {
        let due = self.tried.elapsed() >= if self.stuck.is_some() { RETRY_PAUSE } else { SYNC_PAUSE };
        let much = self.spool.pending_bytes() >= PENDING_BYTES_MAX;
        if self.spool.pending_bytes() == 0 || (self.stuck.is_some() && !due) {
            return;
        }
        if waited_for || due || much {
            self.sync();
        } else if let Err(error) = self.spool.write() {
            self.tried = Instant::now();
            self.tell(Some(error.to_string()));
        }
    }

    fn sync(&mut self) {
        let done = self.spool.sync(now_us());
        self.tried = Instant::now();
        self.tell(done.err().map(|error| error.to_string()));
    }

    /// Answers those who wait for drafts up to `place`.
    fn answer(&self, waiters: &mut VecDeque<(usize, oneshot::Sender<Result<(), Shut>>)>, place: usize) {
        while waiters.front().is_some_and(|(first, _)| *first <= place) {
            let Some((_, waiter)) = waiters.pop_front() else { return };
            let _ = waiter.send(match &self.stuck {
                None => Ok(()),
                Some(why) => Err(Shut { why: why.clone() }),
            });
        }
    }

    fn tell(&mut self, fault: Option<String>) {
        if fault != self.stuck {
            self.state.disk.set(fault.clone());
            self.stuck = fault;
        }
    }

    /// When to look up although nobody rings.
    fn deadline(&self) -> Option<Instant> {
        if self.stuck.is_some() {
            return Some(self.tried + RETRY_PAUSE);
        }
        let sync = (self.spool.pending_bytes() > 0).then(|| self.tried + SYNC_PAUSE);
        let book = self.issuer.next_close_us().into_iter().chain(self.issuer.next_beat_us()).min();
        let book = book.map(|due_us| {
            Instant::now() + Duration::from_micros(due_us.saturating_sub(now_us())).max(CLOSE_PAUSE)
        });
        let gap = self.issuer.owes_gap().then(|| Instant::now() + GAP_PAUSE);
        sync.into_iter().chain(book).chain(gap).min()
    }
}

/// However the clerk ends: nobody waits for one who is gone, and the gate is shut.
struct Leaving(Arc<State>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.disk.set_if_none("the outbox has stopped");
        let mut pile = lock(&self.0.inbox.pile);
        *pile = Pile { gone: true, ..Pile::default() };
    }
}

/// So many drafts are worth a batch of their own; lingering longer only makes them wait.
const DRAFTS_PLENTY: usize = 2_048;
const SYNC_PAUSE: Duration = Duration::from_millis(100);
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often to look whether there is room to tell of losses.
const GAP_PAUSE: Duration = Duration::from_millis(100);
const CLOSE_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// With this much pending the disk is synced early; with `FILE_BYTES_MOST` it bounds a spool file.
const PENDING_BYTES_MAX: usize = 4 << 20;
