//! Settles what ended: receipts, and the names that SQL text prepared or forgot. However a session ends, nothing stays
//! open.

use super::Relay;
use crate::gate::Ticket;
use clyra_policy::Facts;
use clyra_wire::End;
use std::sync::Arc;

impl Relay {
    /// Writes the receipts of what ended, and follows what SQL text prepared or forgot.
    pub(super) fn settle(&mut self) {
        while let Some((known, types)) = self.wire.described() {
            known.types.store(Some(Arc::new(types)));
        }
        while let Some((ticket, end)) = self.wire.ended() {
            self.open_bytes = self.open_bytes.saturating_sub(ticket.bytes_in);
            self.follow_names(&ticket, &end);
            self.follow_claims(&ticket, &end);
            if let Some(visitor) = &self.visitor {
                self.house.gate.settle(visitor, &ticket, Some(&end));
            }
        }
        self.follow_transaction();
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
            if let Some(name) = &statement.deallocates {
                self.wire.deallocate(name.as_deref().map(str::as_bytes));
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
