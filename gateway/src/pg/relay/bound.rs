//! Runs a message that has bounds: the client waits, its answer is watched, and what goes too far is undone. It says
//! nothing about the bounds; the gate does.

use super::{Broken, Relay};
use crate::{gate::Ticket, pg::question::Kind};
use clyra_wire::{Completion, End, OwnAnswer, Refusal, Refused, error_response};

impl Relay {
    /// Sends a message on under the watch of its bounds.
    pub(super) async fn run_watched(&mut self, ticket: Box<Ticket>, kind: Kind) -> Result<(), Broken> {
        self.settled().await?;
        // A simple query is committed before the server says what it did, so that it needs a block around it.
        let wrapped = matches!(kind, Kind::Query) && self.wire.status() == b'I';
        if wrapped {
            let begun = self.ask_server("BEGIN").await?;
            if !begun.completed() || self.wire.status() != b'T' {
                self.not_begun(&ticket, &begun);
                return Ok(());
            }
        }
        let far = ticket.far(0);
        match kind {
            Kind::Query => {
                self.open_bytes += ticket.bytes_in;
                self.wire.allow_query(ticket);
            }
            _ => self.wire.allow_execute(ticket),
        }
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
            Err(error) => self.wire.cut(error),
        }
    }

    /// No block could be opened: nothing is sent on.
    fn not_begun(&mut self, ticket: &Ticket, answer: &OwnAnswer) {
        let error = failed(answer);
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
