//! Carries out the kill switch against what is on its way: cancels what runs and insists, breaks off copies, aborts open
//! transactions, ends connections. It never trusts that a closed socket stops a statement, and decides nothing.

use super::{Broken, Relay, ask::PreparedNames};
use crate::{
    gate::Gate,
    pg::cancel::{cancel, terminate},
    socket::Side,
};
use clyra_policy::ByName;
use clyra_spec::KillLevel;
use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

/// What runs, and is to be stopped.
pub(super) struct Stopping {
    since: Instant,
    /// When to insist.
    next: Instant,
    terminated: bool,
}

/// Ends when the switch was turned since the session last looked, or when it is time to insist.
pub(super) async fn stirred(gate: &Gate, heard: u64, insist: Option<Instant>) {
    let rung = poll_fn(|_| if gate.kill.turn() == heard { Poll::Pending } else { Poll::Ready(()) });
    match insist {
        None => rung.await,
        Some(at) => drop(tokio::time::timeout_at(at.into(), rung).await),
    }
}

impl Relay {
    /// Whether the switch must be looked at.
    pub(super) fn is_stirred(&self) -> bool {
        self.house.gate.kill.turn() != self.heard || self.attends || self.insist.is_some()
    }

    /// Looks at the switch, and does what it says against this session. To be called between messages.
    pub(super) async fn attend(&mut self) -> Result<(), Broken> {
        let level = self.interrupt().await;
        self.attends = self.visitor.is_none();
        if level < KillLevel::CancelRunning {
            return Ok(());
        }
        if self.wire.owes() {
            return if level == KillLevel::Disconnect { self.see_off().await } else { Ok(()) };
        }
        if level == KillLevel::Disconnect {
            return Err(Broken::Killed);
        }
        let hangs_open = self.wire.status() == b'T' || self.wire.open_tickets().next().is_some();
        if hangs_open && !self.wire.is_failed() {
            self.mark();
            // No rollback: the client would take what it says next for part of its transaction.
            self.ask_server(ABORT).await?;
        }
        Ok(())
    }

    /// As [`Relay::attend`], as far as it is about what runs; gives the level that covers the whole session.
    pub(super) async fn interrupt(&mut self) -> KillLevel {
        self.heard = self.house.gate.kill.turn();
        self.attends = true;
        let Some(visitor) = &mut self.visitor else { return KillLevel::Observe };
        let level = self.house.gate.hears_kill(visitor);
        self.insist = None;
        if self.wire.copies_in() && self.covered(KillLevel::BlockStatements).is_some() {
            match self.wire.break_copy("clyra: the kill switch is on") {
                Some(told) => self.server.outbox.extend_from_slice(&told),
                // In the middle of a message: once it is through.
                None => self.insist = Some(Instant::now() + AGAIN),
            }
        }
        let running = self.covered(KillLevel::CancelRunning).filter(|_| self.wire.owes());
        match running {
            None => self.stopping = None,
            Some(how) => {
                self.mark();
                self.press(how).await;
            }
        }
        if let Some(stopping) = &self.stopping {
            let soonest = self.insist.map_or(stopping.next, |at| at.min(stopping.next));
            self.insist = Some(soonest);
        } else if level == KillLevel::Disconnect && self.wire.owes() {
            self.insist = self.insist.or(Some(Instant::now() + AGAIN));
        }
        level
    }

    /// The level, from `least` on, at which the switch covers something that is open.
    fn covered(&self, least: KillLevel) -> Option<KillLevel> {
        let visitor = self.visitor.as_ref()?;
        let wire = PreparedNames(&self.wire, &self.cursors);
        let prepared = |name: ByName<'_>| wire.named(name);
        let open = self.wire.open_tickets();
        open.filter_map(|ticket| self.house.gate.stop_of(visitor, ticket, least, &prepared)).max()
    }

    /// Notes with each open message that is covered that it is to be stopped.
    fn mark(&self) {
        let Some(visitor) = &self.visitor else { return };
        let wire = PreparedNames(&self.wire, &self.cursors);
        let prepared = |name: ByName<'_>| wire.named(name);
        let gate = &self.house.gate;
        for ticket in self.wire.open_tickets() {
            if let Some(level) = gate.stop_of(visitor, ticket, KillLevel::CancelRunning, &prepared) {
                gate.mark_stopped(ticket, level);
            }
        }
    }

    /// Cancels what runs, again and again; ends its server session where that is wanted, or cancelling does not help.
    async fn press(&mut self, how: KillLevel) {
        let now = Instant::now();
        let stopping = self.stopping.get_or_insert(Stopping { since: now, next: now, terminated: false });
        if now < stopping.next {
            return;
        }
        let pressed = now.duration_since(stopping.since);
        let ends = !stopping.terminated && (how == KillLevel::Disconnect || pressed >= GRACE);
        self.tainted = true;
        let key = self.server_key();
        // What is said to the server meanwhile waits until it has heard this.
        let ended = ends && self.terminate(&key).await;
        if !ended && !key.is_empty() {
            let _ = tokio::time::timeout(CANCEL_MAX, cancel(&self.house, &key)).await;
        }
        if let Some(stopping) = &mut self.stopping {
            stopping.terminated |= ended;
            stopping.next = Instant::now() + if pressed >= GRACE { GRACE } else { AGAIN };
        }
    }

    /// Ends the server session with the gateway's own login; false where it has none, or may not.
    async fn terminate(&self, key: &[u8]) -> bool {
        let login = &self.login;
        let ended = terminate(&self.house, &login.user, &login.database, key);
        tokio::time::timeout(CANCEL_MAX, ended).await.unwrap_or(false)
    }

    /// Process and key of the server session.
    pub(super) fn server_key(&self) -> Box<[u8]> {
        match &self.pooled {
            Some(pooled) => pooled.cancel_key(),
            None => self.wire.cancel_key().into(),
        }
    }

    /// The client is to go, and the server still owes an answer: it has a little time, then the client hears no more. The
    /// statement is stopped all the same.
    async fn see_off(&mut self) -> Result<(), Broken> {
        let since = *self.leaving.get_or_insert_with(Instant::now);
        if since.elapsed() < LAST_ANSWER_MAX {
            return Ok(());
        }
        if self.wire.is_between() {
            self.say_goodbye(&Broken::Killed).await;
        }
        self.client = Side::nobody();
        let mut shutdown = self.house.shutdown.clone();
        while self.wire.owes() && !self.server.ended && !*shutdown.borrow_and_update() {
            let (gate, heard) = (Arc::clone(&self.house.gate), self.heard);
            let insist = Some(self.insist.unwrap_or_else(|| Instant::now() + GRACE));
            tokio::select! {
                biased;
                turned = poll_fn(|cx| self.poll_server(cx)) => turned.map_err(|_| Broken::Io)?,
                () = stirred(&gate, heard, insist) => drop(self.interrupt().await),
                _ = shutdown.changed() => {}
            }
            self.hear_server()?;
            self.client.outbox.clear();
        }
        Err(Broken::Io)
    }
}

/// It cannot be parsed, so that the server aborts the transaction.
const ABORT: &str = "clyra: the kill switch aborts this transaction";
/// How long cancelling may take before the server session is ended.
const GRACE: Duration = Duration::from_secs(1);
/// When to insist, until then.
const AGAIN: Duration = Duration::from_millis(200);
/// How long the server may take to hear that something is to be stopped.
const CANCEL_MAX: Duration = Duration::from_secs(2);
/// How long a client that is to go waits for its last answer.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(2);
