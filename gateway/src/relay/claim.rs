//! Settings of a session that are the gateway's own: its pin to a tenant, and its claims. It judges no statement.
//!
//! Messages about a claim the gateway answers in the server's place; they are neither judged nor sent on, since they
//! change nothing but what receipts say of a run. The pin is set before the client's first statement, where the policy
//! fences by row-level security, once the server's role and tables are seen to hold that fence. Whoever gives a client
//! another session of the server must pin that one, too, before anything of the client goes to it: the pin stands in the
//! server's session.

use super::{Broken, Relay};
use crate::{
    claims::Change,
    gate::Ticket,
    relay::ask::{Kind, Question},
};
use clyra_policy::{Claims, OwnSetting, Pin, Said, Setting};
use clyra_spec::Verb;
use clyra_wire::{Answered, End, OwnAnswer, Refusal, Refused, error_response, ready_for_query};
use std::sync::Arc;

impl Relay {
    /// Answers a message that is about a claim and nothing else; false when it is another.
    pub(super) fn hears_claim(&mut self, question: &Question) -> bool {
        let [statement] = &*question.known.facts.statements else { return false };
        let Some(own) = statement.own.as_deref() else { return false };
        let name = match own {
            OwnSetting::Set { name, .. } | OwnSetting::Show { name } => name,
        };
        if let Some(why) = self.why_not(name) {
            match self.wire.refuse(why) {
                Refused::Answer(answer) => self.client.outbox.extend_from_slice(&answer),
                Refused::Poison(poison) => self.server.outbox.extend_from_slice(&poison),
                Refused::Silent => {}
            }
            return true;
        }
        if matches!(question.kind, Kind::Bind) {
            // There is nothing in it that values could be bound to.
            self.wire.allow_bind(Arc::clone(&question.known));
            return true;
        }
        if matches!(question.kind, Kind::Parse) {
            let known = Arc::clone(&question.known);
            let parse = self.wire.allow_parse_as(known, stand_in(own).as_bytes(), &self.client.inbox);
            self.server.outbox.extend_from_slice(&parse);
            return true;
        }
        let simple = matches!(question.kind, Kind::Query);
        let said = self.take_claim(own, simple);
        match self.wire.answer(said) {
            Answered::Now(said) => self.client.outbox.extend_from_slice(&said),
            Answered::Tell(bytes) => self.server.outbox.extend_from_slice(&bytes),
            Answered::Later => {}
        }
        true
    }

    /// What the client reads when nothing can be claimed.
    fn why_not(&self, name: &str) -> Option<Vec<u8>> {
        let (sqlstate, message, hint) = if self.wire.is_failed() {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            ("25P02", message.to_owned(), String::new())
        } else if name != KEY && !Claims::NAMES.contains(&name) {
            let allowed = Claims::NAMES.map(|name| format!("clyra.{name}")).join(", ");
            ("42704", format!("clyra: no claim `clyra.{name}`"), format!("allowed: {allowed}"))
        } else {
            return None;
        };
        let refusal = Refusal { sqlstate, message: &message, detail: "", hint: &hint, position: None };
        Some(error_response(&refusal))
    }

    /// Carries it out, and says what a server would answer; a simple query hears what its row looks like first.
    fn take_claim(&mut self, own: &OwnSetting, simple: bool) -> Vec<u8> {
        let opening = self.wire.open_tickets().any(|ticket| {
            ticket.known.facts.statements.iter().any(|statement| statement.verb == Verb::Begin)
        });
        let in_transaction = self.wire.status() != b'I' || opening;
        let Some(visitor) = self.visitor.as_mut() else { return Vec::new() };
        let row = |name: &str, value: &str, tag: &str| {
            let head = if simple { description(name) } else { Vec::new() };
            [head, data(value), complete(tag)].concat()
        };
        match own {
            OwnSetting::Show { name } if &**name == KEY => {
                row(&format!("clyra.{name}"), visitor.claims().key(), "SHOW")
            }
            OwnSetting::Set { name, value, said, .. } if &**name == KEY => {
                visitor.claims().set_key(value.as_deref());
                match said {
                    Said::Set => complete("SET"),
                    Said::Reset => complete("RESET"),
                    Said::Function => row("set_config", visitor.claims().key(), "SELECT 1"),
                }
            }
            OwnSetting::Show { name } => {
                let value = visitor.claims().now().shown(name).unwrap_or_default();
                row(&format!("clyra.{name}"), &value, "SHOW")
            }
            OwnSetting::Set { name, value, local, said } => {
                let change = Change { name, value: value.as_deref(), local: *local, in_transaction };
                visitor.claims().change(change);
                let value = visitor.claims().now().shown(name).unwrap_or_default();
                self.house.gate.claims_changed(visitor);
                match said {
                    Said::Set => complete("SET"),
                    Said::Reset => complete("RESET"),
                    Said::Function => row("set_config", &value, "SELECT 1"),
                }
            }
        }
    }

    /// What a statement that ended means for claims: RESET ALL and DISCARD ALL, and the end of a transaction.
    pub(super) fn follow_claims(&mut self, ticket: &Ticket, end: &End) {
        let Some(visitor) = self.visitor.as_mut() else { return };
        let done = ticket.known.facts.statements.iter().zip(&end.completions);
        for (statement, _) in done {
            if statement.settings.contains(&Setting::All) {
                visitor.claims().reset();
                self.house.gate.claims_changed(visitor);
            }
            if visitor.claims().is_held() && matches!(statement.verb, Verb::Commit | Verb::Rollback) {
                visitor.claims().ending(statement.verb == Verb::Commit && end.error.is_none());
            }
        }
    }

    /// Follows the server's word about the transaction, where that matters to claims.
    pub(super) fn follow_transaction(&mut self) {
        let Some(visitor) = self.visitor.as_mut() else { return };
        if !visitor.claims().is_held() {
            return;
        }
        let status = self.wire.status();
        if status != b'I' || self.wire.is_settled() {
            visitor.claims().standing(status);
            self.house.gate.claims_changed(visitor);
        }
    }

    /// Pins the session, or breaks it off with what does not hold. The client is not told that the server is ready
    /// before it is.
    pub(super) async fn pin(&mut self) -> Result<(), Broken> {
        let pins = self.visitor.as_ref().map(|visitor| self.house.gate.pins(visitor)).unwrap_or_default();
        if pins.is_empty() {
            return Ok(());
        }
        // The pin would stay in the server's session, which the next client gets.
        if let Some(pin) = pins.first().filter(|_| self.pooled.is_some()) {
            return Err(unfenced(
                pin,
                "sessions of a pool are not pinned; give this caller a session of its own",
            ));
        }
        let ready = ready_for_query(b'I');
        let told = self.client.outbox.len();
        let held = self.client.outbox.ends_with(&ready);
        if held {
            self.client.outbox.truncate(told - ready.len());
        }
        for pin in &pins {
            self.fence_holds(pin).await?;
            let set = pin.set().ok_or_else(|| unfenced(pin, "the caller has no tenant"))?;
            self.asked(pin, &set).await?;
            if let (Some(visitor), Some((setting, tenant))) = (&mut self.visitor, pin.value()) {
                visitor.pinned.push((setting.into(), tenant.into()));
            }
        }
        if held {
            self.client.outbox.extend_from_slice(&ready);
        }
        Ok(())
    }

    async fn fence_holds(&mut self, pin: &Pin) -> Result<(), Broken> {
        for step in Pin::BEGIN {
            self.asked(pin, step).await?;
        }
        let roles = self.asked(pin, Pin::ROLES).await?;
        let tables = self.asked(pin, &pin.tables()).await?;
        self.asked(pin, Pin::END).await?;
        if roles.rows.is_empty() {
            return Err(unfenced(pin, "the server does not tell the role of the session"));
        }
        let finding = Pin::role_finding(texts(&roles)).or_else(|| pin.table_finding(texts(&tables)));
        match finding {
            Some(finding) => Err(unfenced(pin, &finding)),
            // What was cut off could be the one that matters.
            None if tables.truncated => {
                Err(unfenced(pin, "more tables without row-level security than are looked at"))
            }
            None => Ok(()),
        }
    }

    async fn asked(&mut self, pin: &Pin, sql: &str) -> Result<OwnAnswer, Broken> {
        let answer = self.ask_server(sql).await?;
        if answer.completed() {
            return Ok(answer);
        }
        let why = answer.error.map_or_else(|| "it does not answer".to_owned(), |error| error.message);
        Err(unfenced(pin, &format!("the server cannot be asked: {why}")))
    }
}

/// What is prepared in its place, so that a server describes what the gateway will answer.
fn stand_in(own: &OwnSetting) -> String {
    match own {
        OwnSetting::Show { name } => format!("SELECT NULL::text AS \"clyra.{name}\""),
        OwnSetting::Set { said: Said::Function, .. } => "SELECT NULL::text AS set_config".to_owned(),
        OwnSetting::Set { .. } => String::new(),
    }
}

/// `RowDescription` of one text.
fn description(name: &str) -> Vec<u8> {
    let head = [&[0, 1], name.as_bytes(), &[0; 7]].concat();
    message(b'T', &[&head[..], &[0, 0, 0, TEXT_OID, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]].concat())
}

/// `DataRow` of one text.
fn data(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(0).to_be_bytes();
    message(b'D', &[&[0, 1], &length[..], value.as_bytes()].concat())
}

/// `CommandComplete`.
fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &[tag.as_bytes(), &[0]].concat())
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    [&[tag], &length[..], body].concat()
}

/// The setting that is no claim: a key for the next change.
const KEY: &str = "idempotency_key";
/// The first three columns of each row; empty for what is not there.
fn texts(answer: &OwnAnswer) -> impl Iterator<Item = [&str; 3]> {
    answer.rows.iter().map(|row| {
        let text =
            |at: usize| row.get(at).and_then(Option::as_deref).and_then(|one| std::str::from_utf8(one).ok());
        [0, 1, 2].map(|at| text(at).unwrap_or_default())
    })
}

fn unfenced(pin: &Pin, what: &str) -> Broken {
    Broken::Unfenced(format!("clyra: rule `{}` refuses the connection: {what}", pin.rule))
}

/// `text` in every version of PostgreSQL's catalog.
const TEXT_OID: u8 = 25;
