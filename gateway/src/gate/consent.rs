//! Approvals at the gate: what they are bound to, that they stand, and that they are used up before what they are for is
//! sent on. Which message needs one only the judge says.

use super::{Gate, Known, Ticket, Visitor, clock, visitor::Asked};
use crate::{
    Error,
    draft::{ApprovalDraft, Draft, RevocationDraft},
    duty::{Approval, Refused},
};
use clyra_policy::{Approvals, ByName, Decision, Facts};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// A message that was refused for want of an approval, for people.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) digest: String,
    pub(crate) at_us: u64,
    pub(crate) actor: String,
    pub(crate) database: String,
    /// Verbs and tables.
    pub(crate) what: String,
}

/// The last messages that were refused for want of an approval; kept in memory only, since the caller asks again.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<VecDeque<Wanted>>);

impl Waiting {
    fn add(&self, wanted: Wanted) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|one| one.digest != wanted.digest);
        list.truncate(WANTED_MAX - 1);
        list.push_front(wanted);
    }

    /// The last ones first.
    pub(crate) fn all(&self) -> Vec<Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn done(&self, digest: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.digest != digest);
    }
}

impl Gate {
    /// What an approval of these bytes is bound to. It is keyed, since the bytes may hold values that could be guessed.
    pub(crate) fn digest(&self, tenant: &str, database: &str, sql: &[u8]) -> String {
        let bytes = [database.as_bytes(), b"\0", sql].concat();
        self.secret.of("approval", tenant, &bytes)
    }

    /// The digest, where the caller's rules ask for approvals.
    pub(super) fn digest_for(&self, visitor: &Visitor, sql: &[u8]) -> Option<Box<str>> {
        if !visitor.force.policy.asks_approval(&visitor.caller) {
            return None;
        }
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        Some(self.digest(tenant, visitor.database(), sql).into())
    }

    /// What the policy says of a message, with the approvals that stand for it.
    pub(super) fn judge(
        &self,
        visitor: &Visitor,
        known: &Known,
        asked: &Asked<'_>,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Decision {
        if !visitor.force.policy.asks_approval(&visitor.caller) {
            return visitor.judge(known, asked, Approvals::Unknown, prepared);
        }
        let Some(digest) = known.digest.as_deref() else {
            return visitor.judge(known, asked, Approvals::Unbound, prepared);
        };
        let given = self.approvals.standing(digest, &visitor.force.signers, asked.at_us);
        visitor.judge(known, asked, Approvals::Of { digest, given: &given }, prepared)
    }

    /// Uses up the approvals for which a message passes. Where another message was faster, it is judged again; `Err` when
    /// the use cannot be made durable.
    pub(super) fn use_approvals(
        &self,
        visitor: &Visitor,
        ticket: &mut Ticket,
        portal: bool,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Result<(), Error> {
        for _ in 0..TRIES {
            let Some(ids) = ticket.decision.approvals.clone() else { return Ok(()) };
            if ticket.decision.refusal.is_some() {
                return Ok(());
            }
            if self.approvals.use_up(&ids, ticket.at_us)? {
                if let Some(digest) = &ticket.known.digest {
                    self.waiting.done(digest);
                }
                return Ok(());
            }
            self.give_all_back(ticket);
            ticket.grants.clear();
            let asked = Asked { portal, run: ticket.run.as_deref(), at_us: ticket.at_us };
            ticket.decision = self.judge(visitor, &ticket.known, &asked, prepared);
        }
        Err(Error::NotRecorded("approvals are used up faster than they can be found".to_owned()))
    }

    /// Notes what was refused for want of an approval.
    pub(super) fn note_wanted(&self, visitor: &Visitor, ticket: &Ticket) {
        let is_missing = |reason: &str| matches!(reason, "approval_missing" | "approval_own");
        let Some(digest) = &ticket.known.digest else { return };
        if !ticket.decision.rules.iter().any(|rule| is_missing(rule.reason)) {
            return;
        }
        let statements = ticket.known.facts.statements.iter().take(STATEMENTS_TOLD_MAX);
        let what: Vec<String> = statements
            .map(|one| {
                let tables: Vec<&str> = one.writes.iter().chain(&one.reads).map(|table| &**table).collect();
                format!("{} {}", one.verb.as_str(), tables.join(", ")).trim_end().to_owned()
            })
            .collect();
        self.waiting.add(Wanted {
            digest: digest.to_string(),
            at_us: ticket.at_us,
            actor: visitor.caller.actor.to_string(),
            database: visitor.database().to_owned(),
            what: what.join("; "),
        });
    }

    /// Takes an approval: its entry durable first, then it counts.
    pub(crate) async fn approve(&self, envelope: Vec<u8>) -> Result<Approval, Refused> {
        let at_us = clock::now_us();
        let approval = self.approvals.read(&envelope, &self.force.load().signers, at_us)?;
        let id =
            uuid::Uuid::parse_str(&approval.id).map_err(|error| Refused::Malformed(error.to_string()))?;
        self.outbox
            .durable(Draft::Approval(ApprovalDraft { id, at_us, envelope }))
            .await
            .map_err(|shut| Error::NotRecorded(shut.to_string()))?;
        self.approvals.give(approval.clone())?;
        Ok(approval)
    }

    /// Takes an approval back: it counts no longer, then its entry is written.
    pub(crate) async fn revoke(&self, id: String, by: String, reason: String) -> Result<Approval, Refused> {
        let at_us = clock::now_us();
        let approval = self.approvals.revoke(&id, at_us)?;
        let entry = RevocationDraft { id: clock::new_id(at_us), at_us, approval: id, by, reason };
        self.outbox
            .durable(Draft::Revocation(entry))
            .await
            .map_err(|shut| Error::NotRecorded(shut.to_string()))?;
        Ok(approval)
    }
}

const WANTED_MAX: usize = 256;
const STATEMENTS_TOLD_MAX: usize = 4;
/// Approvals of one digest that may be lost to faster messages before it is given up.
const TRIES: usize = 8;
