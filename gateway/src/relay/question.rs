//! What a message of the client asks of the gate: its facts, from its text or from what was prepared before.

use super::{Wire, names::Cursors};
use crate::gate::{Gate, Known, Visitor};
use clyra_policy::{ByName, Facts, Problem};
use clyra_wire::Ask;
use std::sync::Arc;

/// A message on its way to the gate.
pub(super) struct Question {
    pub(super) kind: Kind,
    pub(super) known: Arc<Known>,
    pub(super) bytes: u64,
    /// What goes to the server instead of the client's text, with the tenant's condition added; `known` is about it.
    pub(super) text: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Query,
    Parse,
    Bind,
    Execute,
    Function,
}

/// The question of a message; nothing while more of it must be there.
pub(super) fn question(
    gate: &Gate,
    visitor: &Visitor,
    wire: &Wire,
    ask: Ask<'_, Arc<Known>>,
) -> Option<Question> {
    let text = |kind, sql: &[u8], whole: bool| {
        let bytes = sql.len() as u64;
        if !wire.reads_as_default(sql) {
            let why = "the session's strings or encoding are not PostgreSQL's defaults";
            return Question { kind, bytes, known: gate.know(visitor, unread(why)), text: None };
        }
        let known = gate.known(visitor, sql, whole);
        match gate.reworded(visitor, &known, sql) {
            Some((known, text)) => Question { kind, bytes, known, text: Some(text) },
            None => Question { kind, bytes, known, text: None },
        }
    };
    Some(match ask {
        Ask::Bind { prepared, body, bytes } => Question {
            kind: Kind::Bind,
            bytes: bytes as u64,
            known: gate.bound(visitor, &prepared, body, bytes)?,
            text: None,
        },
        Ask::Query(sql) => text(Kind::Query, sql, true),
        Ask::Parse(sql) => text(Kind::Parse, sql, !may_take_values(sql)),
        Ask::TooLong { bytes, parse } => Question {
            kind: if parse { Kind::Parse } else { Kind::Query },
            bytes: bytes as u64,
            known: gate.know(visitor, unread("it is longer than what is read")),
            text: None,
        },
        Ask::Execute(known) => Question {
            kind: Kind::Execute,
            bytes: 0,
            known: known
                .unwrap_or_else(|| gate.know(visitor, unread("the portal is not known to the gateway"))),
            text: None,
        },
        Ask::Function(oid) => Question {
            kind: Kind::Function,
            bytes: 0,
            known: gate.know(visitor, Arc::new(Facts::of_function_call(oid))),
            text: None,
        },
    })
}

/// Whether values may come beside the text: a dollar before a digit, wherever it stands.
fn may_take_values(sql: &[u8]) -> bool {
    sql.windows(2).any(|pair| matches!(pair, [b'$', b'0'..=b'9']))
}

/// Facts of a message that was not read.
fn unread(why: &str) -> Arc<Facts> {
    // A lone 0xff is no text in any reading: the facts say so, and here it is said why.
    let mut facts = Facts::of_postgres(&[0xff]);
    facts.problem = Some(Problem { message: why.to_owned(), position: None, syntax: false });
    Arc::new(facts)
}

/// What the session knows under a name: prepared, or about to be.
pub(super) struct PreparedNames<'a>(pub(super) &'a Wire, pub(super) &'a Cursors);

impl PreparedNames<'_> {
    pub(super) fn named(&self, name: ByName<'_>) -> Option<Arc<Facts>> {
        match name {
            ByName::Statement(name) => self.facts(name),
            ByName::Cursor(name) => self.cursor(name),
        }
    }

    /// What a cursor reads: one that is declared, or about to be, or a portal of the protocol.
    fn cursor(&self, name: &str) -> Option<Arc<Facts>> {
        let declares = |facts: &Facts| {
            facts.statements.iter().any(|one| one.declares().is_some_and(|(declared, _)| declared == name))
        };
        let coming =
            self.0.open_tickets().map(|ticket| &ticket.known.facts).filter(|facts| declares(facts)).last();
        let portal = || self.0.to_run(name.as_bytes()).map(|known| Arc::clone(&known.facts));
        coming.or_else(|| self.1.get(name)).cloned().or_else(portal)
    }

    pub(super) fn facts(&self, name: &str) -> Option<Arc<Facts>> {
        let coming = self.0.open_tickets().find_map(|ticket| {
            let statements = &ticket.known.facts.statements;
            let found =
                statements.iter().rev().find(|statement| statement.prepares.as_deref() == Some(name))?;
            Some(Arc::new(Facts { statements: Box::new([found.clone()]), problem: None }))
        });
        coming.or_else(|| self.0.statement(name.as_bytes()).map(|known| Arc::clone(&known.facts)))
    }
}
