//! Runs a message that has bounds or a key: the client waits, its answer is watched, what goes too far is undone, and what was
//! done before is answered as it was. It says nothing about bounds and keys; the gate does.

use super::{Broken, Relay};
use crate::{
    gate::Ticket,
    once::{Claimed, Shape, Tap, Unit},
    pg::cancel::cancel,
    relay::ask::{Kind, PreparedNames},
};
use clyra_policy::ByName;
use clyra_spec::Verb;
use clyra_wire::{Answered, Completion, End, OwnAnswer, Refusal, Refused, error_response};

impl Relay {
    /// Sends on a message that has bounds.
    pub(super) async fn run_bounded(
        &mut self,
        mut ticket: Box<Ticket>,
        kind: Kind,
        text: Option<&str>,
    ) -> Result<(), Broken> {
        self.settled().await?;
        if ticket.is_keyed() && !self.claim_key(&mut ticket, kind).await? {
            return Ok(());
        }
        if let Some(error) = self.price(&mut ticket).await? {
            self.not_sent(&mut ticket, error);
            return Ok(());
        }
        if let Some(error) = self.stopped_meanwhile(&mut ticket) {
            self.settle_key(&mut ticket, &End { skipped: true, ..End::default() });
            self.refuse(error);
            return Ok(());
        }
        if ticket.is_watched() {
            return self.run_watched(ticket, kind, text).await;
        }
        self.allow(ticket, kind, text);
        Ok(())
    }

    /// Claims the key of a change, if it has one. True when the change goes on.
    async fn claim_key(&mut self, ticket: &mut Ticket, kind: Kind) -> Result<bool, Broken> {
        // The end of an earlier segment tells what is a part of this one.
        while self.wire.awaits_ready() {
            self.server_turn().await?;
            self.hear_server()?;
        }
        let begun = |ticket: &Ticket| {
            ticket.is_keyed() || ticket.known.facts.statements.iter().any(|one| one.verb == Verb::Begin)
        };
        let shape = if matches!(kind, Kind::Query) { Shape::Query } else { Shape::Portal };
        let unit = Unit {
            shape,
            part: self.wire.status() != b'I' || self.wire.open_tickets().any(|ticket| begun(ticket)),
            beside: self.wire.open_tickets().any(|ticket| ticket.holds_key()),
        };
        let Some(visitor) = self.visitor.as_mut() else { return Ok(false) };
        match self.house.gate.claim(visitor, ticket, unit).await {
            Claimed::Go => {
                if ticket.holds_key() {
                    self.tap = Some(Tap::new(shape));
                }
                return Ok(true);
            }
            Claimed::Refuse(error) => self.not_sent(ticket, error),
            Claimed::Say(said) => {
                let skipped = End { skipped: true, ..End::default() };
                self.house.gate.settle(visitor, ticket, Some(&skipped));
                match self.wire.answer(said) {
                    Answered::Now(said) => self.client.outbox.extend_from_slice(&said),
                    Answered::Tell(bytes) => self.server.outbox.extend_from_slice(&bytes),
                    Answered::Later => {}
                }
            }
        }
        Ok(false)
    }

    /// A change that holds its key has ended.
    pub(super) fn settle_key(&mut self, ticket: &mut Ticket, end: &End) {
        if ticket.holds_key() {
            let answer = self.tap.take().and_then(Tap::answer);
            ticket.settle_key(end, answer);
        }
    }

    /// What the client reads where the kill switch was turned while the message waited.
    fn stopped_meanwhile(&mut self, ticket: &mut Ticket) -> Option<Vec<u8>> {
        let wire = PreparedNames(&self.wire, &self.cursors);
        let prepared = |name: ByName<'_>| wire.named(name);
        self.house.gate.stopped_meanwhile(self.visitor.as_mut()?, ticket, &prepared)
    }

    /// Asks the planner what the message will cost; gives what the client reads instead where that is too much.
    async fn price(&mut self, ticket: &mut Ticket) -> Result<Option<Vec<u8>>, Broken> {
        // A question that fails would abort the client's transaction: no rule in shadow mode may do that.
        let costs = ticket.costs(self.wire.is_idle());
        for (at, place) in costs {
            let Some((sql, values)) = ticket.plan_of(place) else { continue };
            let plan = self.ask_server(values.question(&sql)).await?;
            if plan.skipped {
                break;
            }
            if let Some(error) = self.house.gate.priced(ticket, at, place, &plan) {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }

    fn allow(&mut self, ticket: Box<Ticket>, kind: Kind, text: Option<&str>) {
        if matches!(kind, Kind::Query) {
            self.send_query(ticket, text);
        } else {
            self.wire.allow_execute(ticket);
        }
    }

    /// Sends a message on under the watch of its bounds.
    async fn run_watched(
        &mut self,
        mut ticket: Box<Ticket>,
        kind: Kind,
        text: Option<&str>,
    ) -> Result<(), Broken> {
        // A simple query is committed before the server says what it did, so that it needs a block around it.
        let wrapped = matches!(kind, Kind::Query) && self.wire.status() == b'I';
        if wrapped {
            let begun = self.ask_server("BEGIN").await?;
            if !begun.completed() || self.wire.status() != b'T' {
                self.not_sent(&mut ticket, failed(&begun));
                return Ok(());
            }
        }
        let far = ticket.far(0);
        self.allow(ticket, kind, text);
        self.wire.watch(far, wrapped);
        Ok(())
    }

    /// The answer of the watched message is as long as it may be, or a statement of it is about to complete.
    pub(super) fn bounded(&mut self, done: Option<Completion>) {
        let Some((ticket, place, far)) = self.wire.watched_ticket() else { return };
        let gate = &self.house.gate;
        let next = match done {
            Some(done) => gate.completed(ticket, place, done).map(|()| ticket.far(place + 1)),
            None => gate.full(ticket, place, far),
        };
        match next {
            Ok(far) => {
                self.wire.widen(far);
                if done.is_some() {
                    self.wire.let_complete();
                }
            }
            Err(error) => {
                self.wire.cut(error);
                // What is left of an answer may be long.
                self.cancelling = done.is_none();
            }
        }
    }

    /// Cancels what is left of an answer that was cut off, if the server is not through with it.
    pub(super) async fn cancel_rest(&mut self) {
        if !std::mem::take(&mut self.cancelling) || self.wire.watched_ticket().is_none() {
            return;
        }
        let key = self.server_key();
        if !key.is_empty() {
            // Nothing goes to the server until it has heard this, so that it stops nothing else.
            cancel(&self.house, &key).await;
        }
    }

    /// What was let pass is not sent on after all.
    pub(super) fn not_sent(&mut self, ticket: &mut Ticket, error: Vec<u8>) {
        let skipped = End { skipped: true, ..End::default() };
        self.settle_key(ticket, &skipped);
        if let Some(visitor) = &self.visitor {
            self.house.gate.settle(visitor, ticket, Some(&skipped));
        }
        match self.wire.refuse(error) {
            Refused::Answer(answer) => self.client.outbox.extend_from_slice(&answer),
            Refused::Poison(poison) => self.server.outbox.extend_from_slice(&poison),
            Refused::Silent => {}
        }
    }
}

/// The server's error, in its own words.
fn failed(answer: &OwnAnswer) -> Vec<u8> {
    let (sqlstate, message) = match &answer.error {
        Some(error) => (error.sqlstate, error.message.as_str()),
        None => (*b"25001", "clyra: no transaction could be opened around the statement"),
    };
    let sqlstate = str::from_utf8(&sqlstate).unwrap_or("XX000");
    error_response(&Refusal { sqlstate, message, detail: "", hint: "", position: None })
}
