//! One turn of a session: what was read is dealt with as the wire session says, what is to be told is written, what ended
//! is settled. It judges nothing, and however a session ends, it leaves nothing open.

use super::{Broken, Relay, ask::question, stop::stirred};
use crate::gate::{Arrival, Passage, Ticket};
use bytes::Buf;
use clyra_policy::{Facts, StatementFacts};
use clyra_spec::{KillLevel, Verb};
use clyra_wire::{Completion, End, Heard, Step, WireError};
use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
};

impl Relay {
    /// Deals with the client's bytes; true when it takes its leave.
    pub(super) async fn hear_client(&mut self) -> Result<bool, Broken> {
        loop {
            if self.pooled.is_some() && !self.has_server().await? {
                self.needed = 1;
                if self.client.ended {
                    self.client.inbox.clear();
                }
                return Ok(false);
            }
            if let Some(visitor) = &mut self.visitor {
                self.wire.ask_binds(self.house.gate.looks_at_binds(visitor));
            }
            let step = self.wire.client(&self.client.inbox).map_err(Broken::Wire)?;
            match step {
                Step::More(bytes) => {
                    self.needed = bytes;
                    if self.client.ended {
                        // What is not whole now never will be.
                        self.client.inbox.clear();
                    }
                    return Ok(false);
                }
                Step::Hold => {
                    self.needed = 1;
                    return Ok(false);
                }
                Step::Forward(bytes) => self.client.hand(bytes, &mut self.server),
                Step::Drop(bytes) => self.client.inbox.advance(bytes),
                Step::Refer(refer) => self.refer(&refer),
                Step::Tell(told) => self.server.outbox.extend_from_slice(&told),
                Step::Answer(bytes, answer) => {
                    self.client.inbox.advance(bytes);
                    self.client.outbox.extend_from_slice(&answer);
                }
                Step::Leave(bytes) => {
                    // A connection of a pool stays.
                    if self.pooled.is_none() {
                        self.client.hand(bytes, &mut self.server);
                    }
                    return Ok(true);
                }
                // Asked again when the server has answered some of what is open.
                Step::Ask(_) if self.open_bytes > OPEN_BYTES_MAX => {
                    self.needed = 1;
                    return Ok(false);
                }
                Step::Ask(ask) => {
                    let Some(visitor) = self.visitor.as_mut() else {
                        return Err(Broken::Wire(WireError::Unexpected { tag: 0, place: "before login" }));
                    };
                    let bytes = ask.bytes();
                    match question(&self.house.gate, visitor, &self.wire, ask) {
                        Some(question) if self.hears_claim(&question) => {}
                        Some(question) => self.put_before_gate(question).await?,
                        None => {
                            self.wire.defer_bind();
                            self.needed = bytes;
                            if self.client.ended {
                                self.client.inbox.clear();
                            }
                            return Ok(false);
                        }
                    }
                }
            }
            // What is written out soon does not pile up, however much the client pipelines.
            if self.server.outbox.len() > OUTBOX_BYTES_MAX || self.client.outbox.len() > OUTBOX_BYTES_MAX {
                self.needed = 1;
                return Ok(false);
            }
        }
    }

    pub(super) fn hear_server(&mut self) -> Result<(), Broken> {
        loop {
            match self.wire.server(&self.server.inbox).map_err(Broken::Wire)? {
                Heard::More if self.server.ended => break self.server.inbox.clear(),
                Heard::More => break,
                Heard::Forward(bytes) => {
                    if let Some(tap) = &mut self.tap {
                        tap.hear(self.server.inbox.get(..bytes).unwrap_or_default());
                    }
                    self.server.hand(bytes, &mut self.client);
                }
                Heard::Drop(bytes) => self.server.inbox.advance(bytes),
                Heard::Tell(told) => self.server.outbox.extend_from_slice(&told),
                Heard::Replace(bytes, answer) => {
                    self.server.inbox.advance(bytes);
                    self.client.outbox.extend_from_slice(&answer);
                }
                Heard::Full => self.bounded(None),
                Heard::Completed(done) => self.bounded(Some(done)),
            }
        }
        if let Some(probe) = self.wire.probe() {
            self.server.outbox.extend_from_slice(&probe);
        }
        self.settle();
        Ok(())
    }

    /// Waits until anything can be read or written, and does it.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut turned = self.poll_server(cx)?.is_ready();
        if self.server.outbox.len() <= OUTBOX_BYTES_MAX
            && (self.client.inbox.len() < self.needed || self.client.inbox.len() < INBOX_BYTES_MAX)
        {
            turned |= self.client.poll_fill(cx, self.needed)?.is_ready();
        }
        if self.client.ended && self.client.inbox.is_empty() && self.pooled.is_none() {
            turned |= self.server.poll_close(cx)?.is_ready();
        }
        if turned {
            return Poll::Ready(Ok(()));
        }
        self.client.slim();
        self.server.slim();
        Poll::Pending
    }

    /// As [`Relay::poll_turn`], but what the client says next stays where it is.
    pub(super) fn poll_server(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut turned = self.server.poll_send(cx)?.is_ready();
        turned |= self.client.poll_send(cx)?.is_ready();
        if self.client.outbox.len() <= OUTBOX_BYTES_MAX {
            turned |= self.server.poll_fill(cx, 1)?.is_ready();
        }
        if turned { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Writes the receipts of what ended, and follows what SQL text prepared or forgot.
    pub(super) fn settle(&mut self) {
        while let Some((known, types)) = self.wire.described() {
            known.types.store(Some(Arc::new(types)));
        }
        while let Some((mut ticket, end)) = self.wire.ended() {
            self.settle_key(&mut ticket, &end);
            self.open_bytes = self.open_bytes.saturating_sub(ticket.bytes_in);
            self.follow_names(&ticket, &end);
            self.follow_claims(&ticket, &end);
            if let Some(visitor) = &self.visitor {
                self.house.gate.settle(visitor, &ticket, Some(&end));
            }
        }
        self.follow_transaction();
        self.follow_changes();
    }

    fn follow_names(&mut self, ticket: &Ticket, end: &End) {
        let statements = &ticket.known.facts.statements;
        for (statement, _) in statements.iter().zip(&end.completions) {
            if let Some(name) = &statement.prepares
                && let Some(visitor) = &self.visitor
            {
                let facts = Arc::new(Facts { statements: Box::new([statement.clone()]), problem: None });
                self.wire.install(name.as_bytes(), self.house.gate.know(visitor, facts));
            }
            if is_about_cursors(statement) {
                self.follow_cursors(statement);
            }
            if let Some(name) = &statement.deallocates {
                self.wire.deallocate(name.as_deref().map(str::as_bytes));
            }
        }
    }

    /// Puts the whole connection before the gate once, and carries it to its end.
    pub(super) async fn carry_unread(&mut self) -> Result<(), Broken> {
        let Some(visitor) = self.visitor.as_mut() else { return Ok(()) };
        let known = self.house.gate.know(visitor, Arc::new(Facts::of_replication()));
        let arrival = Arrival { began: self.began, bytes: 0, portal: false };
        let ticket = match self.house.gate.pass(visitor, known, arrival, &|_| None).await {
            Passage::Go(ticket) => ticket,
            Passage::Shut(error) => {
                self.client.outbox.extend_from_slice(&error);
                self.client.flush().await;
                return Ok(());
            }
        };
        let mut bytes = 0;
        let carried = self.carry(&mut bytes).await;
        if let Some(visitor) = &self.visitor {
            let completion = Completion { rows: None, returned: 0, bytes, undone: false };
            let end = End { completions: vec![completion], ..End::default() };
            self.house.gate.settle(visitor, &ticket, Some(&end));
        }
        carried
    }

    async fn carry(&mut self, bytes: &mut u64) -> Result<(), Broken> {
        let mut shutdown = self.house.shutdown.clone();
        let down = async move { drop(shutdown.wait_for(|down| *down).await) };
        tokio::pin!(down);
        self.needed = 1;
        let gate = Arc::clone(&self.house.gate);
        loop {
            if self.is_stirred() {
                self.heard = gate.kill.turn();
                // What it says is not read: all of it is stopped with the first level that stops any statement.
                let level = self.visitor.as_mut().map(|visitor| gate.hears_kill(visitor));
                if level.is_some_and(|level| level >= KillLevel::BlockStatements) {
                    return Err(Broken::Killed);
                }
                self.attends = false;
            }
            *bytes += self.server.inbox.len() as u64;
            self.server.hand(self.server.inbox.len(), &mut self.client);
            self.client.hand(self.client.inbox.len(), &mut self.server);
            if self.server.ended && self.client.outbox.is_empty() {
                return Ok(());
            }
            let heard = self.heard;
            tokio::select! {
                biased;
                turned = poll_fn(|cx| self.poll_turn(cx)) => turned.map_err(|_| Broken::Io)?,
                () = stirred(&gate, heard, None) => {}
                // A receiver of a replication stream comes again on its own.
                () = &mut down => return Err(Broken::Shutdown),
            }
        }
    }
}

impl Drop for Relay {
    /// However a session ends, what it left open is settled as unknown.
    fn drop(&mut self) {
        if let Some(visitor) = &self.visitor {
            for (ticket, end) in self.wire.abandon() {
                self.house.gate.settle(visitor, &ticket, end.as_ref());
            }
            self.house.gate.leave(visitor);
        }
        self.house.gate.metrics.sessions.decrement(1.0);
    }
}

fn is_about_cursors(statement: &StatementFacts) -> bool {
    statement.declares().is_some() || statement.closes().is_some() || statement.verb == Verb::Discard
}

/// So many bytes of statements may be open before the client is heard further: a pipeline of large ones stays small.
const OPEN_BYTES_MAX: u64 = 1 << 20;
/// So many bytes may wait for a slow peer before the other side is read no further.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// So many bytes of a client may wait that cannot be dealt with yet.
const INBOX_BYTES_MAX: usize = 64 << 10;
