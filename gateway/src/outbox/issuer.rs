//! Numbers what the data path hands over and keeps the books of its runs; it never reads a clock or touches a disk.
//!
//! Known hole: a run's book (about a hundred bytes) is kept until the process ends, since a run that speaks again
//! must go on with its numbers. Hence their number is bounded; receipts of a run that is new beyond it bear none.

use super::pen::{Close, Loss, Page, Pen};
use crate::draft::{Draft, ReceiptDraft, RunClaims};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Gives every entry of one epoch its number.
#[derive(Debug)]
pub(super) struct Issuer {
    pen: Pen,
    epoch: u64,
    /// Number of the last entry.
    seq: u64,
    /// Every run heard of in this epoch.
    runs: BTreeMap<Arc<str>, Book>,
    /// Open runs without a member: the ones that may have to be closed.
    idle: BTreeSet<Arc<str>>,
    /// Every open run once, by when to look whether it has been silent for too long.
    beats: BTreeSet<(u64, Arc<str>)>,
    run_idle_us: u64,
    /// Entries that could not be kept and of which no gap tells yet.
    lost: u64,
}

/// What is known of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Book {
    /// Sessions that claim it now.
    members: u64,
    /// Receipts so far; the last `run_seq`.
    count: u64,
    /// Opened and not closed since.
    open: bool,
    /// When it was last heard of.
    heard_us: u64,
    /// When it was last told of in an entry.
    told_us: u64,
    /// Stands in `beats`.
    beating: bool,
}

impl Issuer {
    /// An issuer that starts at number 1 and closes a run when it had no member for `run_idle_us`.
    pub(super) fn new(pen: Pen, epoch: u64, run_idle_us: u64) -> Self {
        let (runs, idle, beats) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { pen, epoch, seq: 0, runs, idle, beats, run_idle_us, lost: 0 }
    }

    /// Its pen, to date a header.
    pub(super) fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    /// Number of the last entry; 0 when there is none.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Puts a draft on a page that is not full: its entry, and the opening of its run where that is due. No when the
    /// entry is longer than the log can hold; it then counts as lost.
    pub(super) fn issue(&mut self, page: &mut Page, draft: &Draft, now_us: u64) -> bool {
        match draft {
            Draft::Receipt(receipt) => self.receipt(page, receipt, now_us),
            Draft::RunJoin(claims) => {
                self.join(claims, now_us);
                true
            }
            Draft::RunLeave(claims) => {
                self.leave(claims, now_us);
                true
            }
            Draft::Switch(switch) => {
                let taken = self.pen.switch(page, switch, self.seq + 1);
                self.count(taken)
            }
            Draft::Approval(approval) => {
                let taken = self.pen.approval(page, approval, self.seq + 1);
                self.count(taken)
            }
            Draft::Revocation(revocation) => {
                let taken = self.pen.revocation(page, revocation, self.seq + 1);
                self.count(taken)
            }
            Draft::Policy(policy) => {
                let taken = self.pen.policy(page, policy, self.seq + 1);
                self.count(taken)
            }
        }
    }

    /// Notes that so many entries were not taken at all.
    pub(super) fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// Whether a loss waits to be told.
    pub(super) fn owes_gap(&self) -> bool {
        self.lost > 0
    }

    /// Tells of the losses in one entry, if there are any.
    pub(super) fn tell_losses(&mut self, page: &mut Page, now_us: u64) {
        if self.lost > 0 {
            let loss =
                Loss { epoch: self.epoch, last_seq: self.seq, count: Some(self.lost), reason: "outbox_full" };
            self.lost = 0;
            self.tell(page, &loss, now_us);
        }
    }

    /// Tells of one loss.
    pub(super) fn tell(&mut self, page: &mut Page, loss: &Loss, now_us: u64) {
        let taken = self.pen.gap(page, loss, now_us, self.seq + 1);
        self.count(taken);
    }

    /// When the next run has been idle long enough to be closed.
    pub(super) fn next_close_us(&self) -> Option<u64> {
        self.idle.iter().filter_map(|run_id| self.runs.get(run_id)).map(|book| self.due_us(book)).min()
    }

    /// Closes runs that have been idle long enough, as far as the page takes them. Yes when some are left.
    pub(super) fn close_idle(&mut self, page: &mut Page, now_us: u64) -> bool {
        let due: Vec<Arc<str>> = self.idle.iter().filter(|id| self.is_due(id, now_us)).cloned().collect();
        self.close_each(page, &due, "idle", now_us)
    }

    /// When to look for a run that is open and silent.
    pub(super) fn next_beat_us(&self) -> Option<u64> {
        self.beats.first().map(|(due_us, _)| *due_us)
    }

    /// Tells of each run that is open and was not told of for a while, as far as the page takes them. Yes when some
    /// are left.
    pub(super) fn beat(&mut self, page: &mut Page, now_us: u64) -> bool {
        while self.beats.first().is_some_and(|(due_us, _)| *due_us <= now_us) {
            if page.is_full() {
                return true;
            }
            let Some((_, run_id)) = self.beats.pop_first() else { return false };
            let Some(book) = self.runs.get_mut(&run_id) else { continue };
            if !book.open {
                book.beating = false;
                continue;
            }
            let silent = book.told_us.saturating_add(HEARTBEAT_US) <= now_us;
            let count = book.count;
            if silent {
                book.told_us = now_us;
            }
            self.beats.insert((book.told_us.saturating_add(HEARTBEAT_US), Arc::clone(&run_id)));
            if silent {
                let taken = self.pen.heartbeat(page, &run_id, count, now_us, self.seq + 1);
                self.count(taken);
            }
        }
        false
    }

    /// Closes every open run, as far as the page takes them. Yes when some are left.
    pub(super) fn close_all(&mut self, page: &mut Page, now_us: u64) -> bool {
        let open: Vec<Arc<str>> =
            self.runs.iter().filter(|(_, book)| book.open).map(|(run_id, _)| Arc::clone(run_id)).collect();
        self.close_each(page, &open, "shutdown", now_us)
    }

    /// Closes one run because somebody asked, and says how many receipts it has; `None` for a run never heard of.
    pub(super) fn close_asked(&mut self, page: &mut Page, run_id: &str, now_us: u64) -> Option<u64> {
        if self.runs.get(run_id)?.open {
            self.close(page, run_id, "asked", now_us);
        }
        Some(self.runs.get(run_id)?.count)
    }

    fn receipt(&mut self, page: &mut Page, draft: &ReceiptDraft, now_us: u64) -> bool {
        let Some(claims) = draft.run.as_deref() else {
            let taken = self.pen.receipt(page, draft, self.seq + 1, 0);
            return self.count(taken);
        };
        let run_id = &*claims.run_id;
        if self.is_full_for(run_id) {
            let taken = self.pen.receipt(page, draft, self.seq + 1, 0);
            return self.count(taken);
        }
        if !self.runs.get(run_id).is_some_and(|book| book.open)
            && !self.open(page, run_id, draft.at_us, now_us)
        {
            return self.count(false);
        }
        let Some(book) = self.runs.get_mut(run_id) else { return self.count(false) };
        (book.heard_us, book.told_us) = (now_us, now_us);
        let taken = self.pen.receipt(page, draft, self.seq + 1, book.count + 1);
        book.count += u64::from(taken);
        self.count(taken)
    }

    fn open(&mut self, page: &mut Page, run_id: &str, at_us: u64, now_us: u64) -> bool {
        if !self.pen.run_open(page, run_id, at_us, self.seq + 1) {
            return false;
        }
        self.seq += 1;
        let key: Arc<str> = run_id.into();
        let book = self.runs.entry(Arc::clone(&key)).or_default();
        (book.open, book.told_us) = (true, now_us);
        if !book.beating {
            book.beating = true;
            self.beats.insert((now_us.saturating_add(HEARTBEAT_US), Arc::clone(&key)));
        }
        if book.members == 0 {
            self.idle.insert(key);
        }
        true
    }

    fn join(&mut self, claims: &RunClaims, now_us: u64) {
        if self.is_full_for(&claims.run_id) {
            return;
        }
        let book = self.runs.entry((*claims.run_id).into()).or_default();
        book.members += 1;
        book.heard_us = now_us;
        self.idle.remove(&*claims.run_id);
    }

    fn leave(&mut self, claims: &RunClaims, now_us: u64) {
        let Some(book) = self.runs.get_mut(&*claims.run_id) else { return };
        book.members = book.members.saturating_sub(1);
        book.heard_us = now_us;
        match (book.members, book.open, book.count) {
            (0, true, _) => {
                self.idle.insert((*claims.run_id).into());
            }
            (0, false, 0) => {
                self.runs.remove(&*claims.run_id);
            }
            _ => {}
        }
    }

    fn close_each(
        &mut self,
        page: &mut Page,
        run_ids: &[Arc<str>],
        reason: &'static str,
        now_us: u64,
    ) -> bool {
        for run_id in run_ids {
            if page.is_full() {
                return true;
            }
            self.close(page, run_id, reason, now_us);
        }
        false
    }

    fn close(&mut self, page: &mut Page, run_id: &str, reason: &'static str, now_us: u64) {
        let Some(book) = self.runs.get_mut(run_id) else { return };
        book.open = false;
        self.idle.remove(run_id);
        let close = Close { run_id, count: book.count, reason };
        let taken = self.pen.run_close(page, &close, now_us, self.seq + 1);
        self.count(taken);
    }

    /// Whether there is no room for this run's book.
    fn is_full_for(&self, run_id: &str) -> bool {
        self.runs.len() >= RUNS_MAX && !self.runs.contains_key(run_id)
    }

    fn due_us(&self, book: &Book) -> u64 {
        book.heard_us.saturating_add(self.run_idle_us)
    }

    fn is_due(&self, run_id: &str, now_us: u64) -> bool {
        self.runs.get(run_id).is_some_and(|book| self.due_us(book) <= now_us)
    }

    fn count(&mut self, taken: bool) -> bool {
        if taken {
            self.seq += 1
        } else {
            self.lost = self.lost.saturating_add(1)
        }
        taken
    }
}

/// How long an open run may be without an entry.
pub(super) const HEARTBEAT_US: u64 = 60_000_000;
/// Runs of one epoch: callers choose their ids, and could choose a new one with every statement.
const RUNS_MAX: usize = if cfg!(test) { 1_000 } else { 500_000 };
