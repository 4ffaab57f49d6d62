//! What a message leaves behind: from its ticket and its end to one receipt a statement.

use super::{Gate, Visitor, clock};
use crate::draft::{Draft, OutcomeDraft, PolicyCard, ReceiptDraft, RunClaims};
use crate::duty::{Grant, PlanValues};
use crate::once::{Key, Keyed, Print};
use arc_swap::ArcSwapOption;
use clyra_policy::{Bound, Decision, Facts};
use clyra_spec::{KeyState, KillLevel, Phase, Status};
use clyra_wire::{Completion, End};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};
use uuid::Uuid;

/// A message as the gate knows it: its facts, and the fingerprints of its statements.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: Arc<Facts>,
    pub(super) shapes: Arc<[[u8; 32]]>,
    /// What an approval is bound to, where the caller's rules ask for one and its own bytes tell all that it does.
    pub(super) digest: Option<Box<str>>,
    /// What a key is bound to, where the caller's rules may ask for one and all of its bytes were read.
    pub(crate) print: Option<Print>,
    /// Keyed fingerprint of the text that goes to the server in the place of the client's, as 32 ASCII hex digits.
    pub(super) sent: Option<[u8; 32]>,
    /// Types of its parameters, once they are known.
    pub(crate) types: ArcSwapOption<Box<[u32]>>,
    /// For a portal: which of its values are the caller's tenant.
    pub(super) bound: Option<Bound>,
    /// For a portal under a bound of cost: its values.
    pub(super) plan: Option<PlanValues>,
    /// How it was prepared, where a pool must be able to prepare it again.
    pub(crate) prepared: std::sync::OnceLock<crate::pool::Text>,
    /// What it leaves in the server's session, where a pool has looked.
    pub(crate) keeps: std::sync::OnceLock<crate::pool::Keeps>,
}

/// A message that was let pass, until it is settled.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) known: Arc<Known>,
    pub(crate) decision: Decision,
    pub(super) policy: Arc<PolicyCard>,
    /// The run that it belongs to.
    pub(super) run: Option<Arc<RunClaims>>,
    pub(crate) at_us: u64,
    pub(super) decided_us: u64,
    pub(super) began: Instant,
    pub(super) sent: Instant,
    pub(crate) bytes_in: u64,
    /// Ids of the intents, one per statement, in strict evidence.
    pub(super) intents: Vec<Uuid>,
    /// The outbox had no room: its receipts are counted as lost.
    pub(super) lost: bool,
    /// Caps that it uses.
    pub(super) grants: Vec<Grant>,
    /// The turn of the kill switch under which it was judged.
    pub(super) turn: u64,
    /// The level at which the kill switch wants it stopped; 0 for none.
    pub(super) stopped: AtomicU32,
    /// Which of its statements went too far, and the id of the receipt that says so.
    pub(super) breached: Option<(usize, Uuid)>,
    /// The key that it holds.
    pub(crate) keyed: Option<Keyed>,
    /// The key that it was given, and how it stands to earlier ones under it.
    pub(crate) key: Option<(Key, KeyState)>,
    /// The id of its first receipt, where somebody was told of it.
    pub(crate) named: Option<Uuid>,
}

impl Gate {
    /// One receipt a statement: what became of it.
    pub(super) fn write_outcomes(&self, visitor: &Visitor, ticket: &Ticket, end: Option<&End>) {
        let (upstream_us, total_us) = (clock::micros(ticket.sent), clock::micros(ticket.began));
        for statement in 0..ticket.known.facts.statements.len() {
            if ticket.lost {
                self.outbox.lost();
                continue;
            }
            let (status, sqlstate, done) = fate(end, statement);
            let outcome = OutcomeDraft {
                status,
                rows: done.and_then(|done| done.rows),
                sqlstate,
                bytes_in: ticket.bytes_in,
                bytes_out: done.map_or(0, |done| done.bytes),
                upstream_us,
                total_us,
            };
            let intent = ticket.intents.get(statement).copied();
            let phase = if intent.is_some() { Phase::Outcome } else { Phase::Whole };
            let told = ticket.breached.filter(|(place, _)| *place == statement).map(|(_, id)| id);
            let named = ticket.named.filter(|_| statement == 0);
            let id = told.or(named).unwrap_or_else(|| clock::new_id(ticket.at_us));
            let mut receipt = draft(visitor, ticket, statement, phase, id);
            receipt.intent = intent;
            receipt.outcome = Some(outcome);
            if let Some(decision) = self.found(ticket, statement, done) {
                receipt.decision = decision;
            }
            let stopped = KillLevel::from_number(ticket.stopped.load(Ordering::Relaxed)).unwrap_or_default();
            if stopped != KillLevel::Observe && !matches!(status, Status::Ok) {
                receipt.decision.stop(stopped);
            }
            if intent.is_some() {
                receipt.at_us = clock::now_us();
            }
            self.outbox.put(Draft::Receipt(receipt));
        }
    }
}

/// A receipt about one statement of a message, without its outcome.
pub(super) fn draft(
    visitor: &Visitor,
    ticket: &Ticket,
    statement: usize,
    phase: Phase,
    id: Uuid,
) -> Box<ReceiptDraft> {
    Box::new(ReceiptDraft {
        id,
        at_us: ticket.at_us,
        phase,
        intent: None,
        session: Arc::clone(&visitor.card),
        run: ticket.run.clone(),
        facts: Arc::clone(&ticket.known.facts),
        statement,
        shape: ticket.known.shapes.get(statement).copied().unwrap_or([b'0'; 32]),
        sent: ticket.known.sent,
        key: ticket.key.filter(|_| phase != Phase::Intent),
        decision: ticket.decision.clone(),
        policy: Arc::clone(&ticket.policy),
        decided_us: ticket.decided_us,
        outcome: None,
    })
}

/// How one statement of a message ended.
fn fate(end: Option<&End>, statement: usize) -> (Status, Option<[u8; 5]>, Option<Completion>) {
    let Some(end) = end else { return (Status::Unknown, None, None) };
    if end.skipped {
        return (Status::Skipped, None, None);
    }
    match (end.completions.get(statement).copied(), end.error) {
        (Some(done), error) if done.undone => (Status::Error, error, Some(done)),
        (Some(done), _) => (Status::Ok, None, Some(done)),
        (None, Some(error)) if statement == end.completions.len() => {
            let status = if error == *QUERY_CANCELED { Status::Cancelled } else { Status::Error };
            (status, Some(error), None)
        }
        (None, Some(_)) => (Status::Skipped, None, None),
        // A rule of the server may leave a statement without a completion of its own.
        (None, None) => (Status::Ok, None, None),
    }
}

const QUERY_CANCELED: &[u8; 5] = b"57014";
