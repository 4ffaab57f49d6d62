//! Runs a message that has bounds: the client waits, its answer is watched, and what goes too far is undone. It says
//! nothing about the bounds; the gate does.

use super::{Broken, Relay};
use crate::{
    gate::Ticket,
    pg::cancel::cancel,
    relay::question::{Kind, PreparedNames},
};
use clyra_policy::ByName;
use clyra_wire::{Completion, End, OwnAnswer, Refusal, Refused, error_response};

impl Relay {
    /// Sends on a message that has bounds.
    pub(super) async fn run_bounded(
        &mut self,
        mut ticket: Box<Ticket>,
        kind: Kind,
        text: Option<&str>,
    ) -> Result<(), Broken> {
        self.settled().await?;
        if let Some(error) = self.price(&mut ticket).await? {
            self.not_sent(&ticket, error);
            return Ok(());
        }
        if let Some(error) = self.stopped_meanwhile(&mut ticket) {
            self.refuse(error);
            return Ok(());
        }
        if ticket.is_watched() {
            return self.run_watched(ticket, kind, text).await;
        }
        self.allow(ticket, kind, text);
        Ok(())
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
        ticket: Box<Ticket>,
        kind: Kind,
        text: Option<&str>,
    ) -> Result<(), Broken> {
        // A simple query is committed before the server says what it did, so that it needs a block around it.
        let wrapped = matches!(kind, Kind::Query) && self.wire.status() == b'I';
        if wrapped {
            let begun = self.ask_server("BEGIN").await?;
            if !begun.completed() || self.wire.status() != b'T' {
                self.not_sent(&ticket, failed(&begun));
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
    fn not_sent(&mut self, ticket: &Ticket, error: Vec<u8>) {
        if let Some(visitor) = &self.visitor {
            self.house.gate.settle(visitor, ticket, Some(&End { skipped: true, ..End::default() }));
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
