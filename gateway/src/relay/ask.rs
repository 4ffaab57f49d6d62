//! Puts a message before the gate, with its facts from its text or from what was prepared before, and carries out what the
//! gate says; asks the server questions of the gateway's own. It decides nothing.

use super::{Broken, Relay, Wire, names::Cursors, stop::stirred};
use crate::gate::{Arrival, Gate, Known, Passage, Ticket, Visitor};
use clyra_policy::{ByName, Facts, Problem};
use clyra_wire::{Ask, End, OwnAnswer, OwnQuestion, Refused};
use std::{future::poll_fn, sync::Arc, time::Duration};

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

impl Relay {
    pub(super) async fn put_before_gate(&mut self, question: Question) -> Result<(), Broken> {
        if self.visitor.as_ref().is_some_and(|visitor| visitor.sight.is_some()) {
            self.know_names(&question).await?;
        }
        let Some(visitor) = self.visitor.as_mut() else { return Ok(()) };
        let arrival = Arrival {
            began: self.began,
            bytes: question.bytes,
            portal: matches!(question.kind, Kind::Bind | Kind::Execute),
        };
        let mut passage = {
            let wire = PreparedNames(&self.wire, &self.cursors);
            let prepared = |name: ByName<'_>| wire.named(name);
            match question.kind {
                // A statement is judged when it is prepared, too: what may not run is not even prepared.
                // Values are judged when they are bound, since planning may already look at them.
                Kind::Parse | Kind::Bind
                    if self.house.gate.lets(visitor, &question.known, arrival.portal, &prepared) =>
                {
                    None
                }
                _ => {
                    Some(self.house.gate.pass(visitor, Arc::clone(&question.known), arrival, &prepared).await)
                }
            }
        };
        if self.pooled.is_some() && !matches!(passage, Some(Passage::Shut(_))) {
            passage = self.pass_pool(passage, &question);
        }
        let bounded = matches!(&passage, Some(Passage::Go(ticket)) if ticket.is_bounded());
        let facts = Arc::clone(&question.known.facts);
        if matches!(passage, Some(Passage::Go(_))) {
            self.follow_names_sent(&facts);
        }
        match (passage, question.kind) {
            (None | Some(Passage::Go(_)), Kind::Bind) => self.wire.allow_bind(question.known),
            (None, _) | (Some(Passage::Go(_)), Kind::Parse) => {
                if let Some(error) = self.prepare(question.known, question.text.as_deref()) {
                    self.refuse(error);
                }
            }
            (Some(Passage::Go(ticket)), Kind::Query | Kind::Execute) if self.forgets(&ticket) => {}
            (Some(Passage::Go(ticket)), Kind::Query | Kind::Execute) if ticket.is_bounded() => {
                self.run_bounded(ticket, question.kind, question.text.as_deref()).await?;
            }
            (Some(Passage::Go(ticket)), Kind::Query) => self.send_query(ticket, question.text.as_deref()),
            (Some(Passage::Go(ticket)), Kind::Execute) => self.wire.allow_execute(ticket),
            (Some(Passage::Go(ticket)), Kind::Function) => self.wire.allow_function(ticket),
            (Some(Passage::Shut(error)), _) => self.refuse(error),
        }
        if bounded {
            // What was asked on its behalf came to its end before it was sent.
            self.follow_names_sent(&facts);
        }
        self.settle();
        Ok(())
    }

    /// Sends a simple query on, or the text that goes in its place.
    pub(super) fn send_query(&mut self, ticket: Box<Ticket>, text: Option<&str>) {
        self.open_bytes += ticket.bytes_in;
        match text {
            None => self.wire.allow_query(ticket),
            Some(text) => {
                let sent = self.wire.allow_query_as(ticket, text.as_bytes());
                self.server.outbox.extend_from_slice(&sent);
            }
        }
    }

    pub(super) fn refuse(&mut self, error: Vec<u8>) {
        match self.wire.refuse(error) {
            Refused::Answer(answer) => self.client.outbox.extend_from_slice(&answer),
            Refused::Poison(poison) => self.server.outbox.extend_from_slice(&poison),
            Refused::Silent => {}
        }
    }

    /// What the rules let pass may still be more than a shared session can carry; then it never ran.
    fn pass_pool(&mut self, passage: Option<Passage>, question: &Question) -> Option<Passage> {
        let Some(error) = self.leaves_behind(question.kind, &question.known) else { return passage };
        if let (Some(Passage::Go(ticket)), Some(visitor)) = (&passage, &self.visitor) {
            let skipped = End { skipped: true, ..End::default() };
            self.house.gate.settle(visitor, ticket, Some(&skipped));
        }
        Some(Passage::Shut(error))
    }

    /// Asks the server a question of the gateway's own and waits for the answer; the client's bytes stay where they
    /// are. Earlier messages of the client are answered first. For use between a message's `Ask` and its decision:
    /// it runs in the client's transaction where there is one, and an error of it aborts that.
    pub(super) async fn ask_server<'q>(
        &mut self,
        question: impl Into<OwnQuestion<'q>>,
    ) -> Result<OwnAnswer, Broken> {
        self.settled().await?;
        let Some(asked) = self.wire.own(question.into()) else {
            return Ok(OwnAnswer { skipped: true, ..OwnAnswer::default() });
        };
        self.server.outbox.extend_from_slice(&asked);
        let answered = async {
            loop {
                self.hear_server()?;
                if let Some(answer) = self.wire.owned() {
                    return Ok(answer);
                }
                self.server_turn().await?;
            }
        };
        tokio::time::timeout(ANSWER_MAX, answered).await.unwrap_or(Err(Broken::Unanswered))
    }

    /// Waits until everything sent on is answered; the client's bytes stay where they are.
    pub(super) async fn settled(&mut self) -> Result<(), Broken> {
        self.hear_server()?;
        if self.wire.is_settled() {
            return Ok(());
        }
        if let Some(flush) = self.wire.flush() {
            self.server.outbox.extend_from_slice(&flush);
        }
        while !self.wire.is_settled() {
            self.server_turn().await?;
            self.hear_server()?;
        }
        Ok(())
    }

    pub(super) async fn server_turn(&mut self) -> Result<(), Broken> {
        if self.server.ended && self.server.inbox.is_empty() {
            return Err(Broken::Io);
        }
        if self.is_stirred() {
            self.interrupt().await;
        }
        let (gate, heard, insist) = (Arc::clone(&self.house.gate), self.heard, self.insist);
        tokio::select! {
            biased;
            turned = poll_fn(|cx| self.poll_server(cx)) => turned.map_err(|_| Broken::Io),
            () = stirred(&gate, heard, insist) => Ok(()),
        }
    }
}

/// How long the server may take for a question of the gateway's own.
const ANSWER_MAX: Duration = Duration::from_secs(30);
