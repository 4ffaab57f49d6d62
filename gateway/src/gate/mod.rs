//! The gate: the one place on the data path where anything is decided. It touches no socket.
//!
//! A message is put before the rules with its facts; the verdict becomes a receipt; in `strict` evidence the receipt is
//! durable before anything is sent on. While receipts cannot be kept, the gate is shut.

mod bind;
mod bound;
mod clock;
mod consent;
mod receipt;
mod settle;
mod switch;
mod visitor;

pub(crate) use clock::{new_id, now_us, text as time_text};
pub(crate) use receipt::{Known, Ticket};
use visitor::Asked;
pub(crate) use visitor::{Shown, Visitor};

use crate::force::{Force, Source};
use crate::{
    Error,
    catalog::Catalogs,
    draft::{Draft, PolicyDraft},
    duty::{Approvals, Caps},
    kill::{Breakers, KillSwitch},
    metrics::{Metrics, Standing},
    once::{Book, Print},
    outbox::Outbox,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use clyra_policy::{ByName, Facts, FactsMemo, OnFull};
use clyra_seal::fingerprint::Secret;
use clyra_spec::Phase;
use clyra_wire::{End, Refusal, error_response};
use consent::Waiting;
use receipt::draft;
use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

/// The gate of one gateway, shared by all its sessions.
#[derive(Debug)]
pub(crate) struct Gate {
    force: ArcSwap<Force>,
    source: Source,
    memo: FactsMemo,
    pub(crate) kill: KillSwitch,
    breakers: Breakers,
    pub(crate) caps: Caps,
    /// Changes under a key.
    pub(crate) keys: Arc<Book>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) secret: Secret,
    pub(crate) approvals: Approvals,
    pub(crate) waiting: Waiting,
    pub(crate) metrics: Metrics,
    pub(crate) upstream: String,
    /// What the databases define, where it can be known.
    pub(crate) catalogs: Option<Catalogs>,
    /// Open sessions; a count for people, never for decisions.
    open: AtomicU64,
}

/// What the gate answers.
#[derive(Debug)]
pub(crate) enum Passage {
    /// Send it on.
    Go(Box<Ticket>),
    /// Refuse it with this `ErrorResponse`.
    Shut(Vec<u8>),
}

/// A message on its way to the gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its bytes were read.
    pub(crate) began: Instant,
    /// Bytes of it.
    pub(crate) bytes: u64,
    /// Its values are bound, or are being bound: nothing comes later.
    pub(crate) portal: bool,
}

impl Gate {
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let force = Arc::new(parts.source.read()?);
        let gate = Self {
            force: ArcSwap::new(force),
            source: parts.source,
            memo: FactsMemo::new(MEMO_ENTRIES, MEMO_BYTES),
            kill: parts.kill,
            breakers: Breakers::default(),
            caps: Caps::open(parts.cap_journal, parts.secret.clone(), clock::now_us())?,
            keys: Arc::new(parts.keys),
            approvals: parts.approvals,
            waiting: Waiting::default(),
            outbox: parts.outbox,
            secret: parts.secret,
            metrics: Metrics::new()?,
            upstream: parts.upstream,
            catalogs: parts.catalogs,
            open: AtomicU64::new(0),
        };
        gate.took_into_use("start");
        Ok(gate)
    }

    /// Brings one message before the rules; nothing else on the data path decides anything.
    pub(crate) async fn pass(
        &self,
        visitor: &mut Visitor,
        known: Arc<Known>,
        arrival: Arrival,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Passage {
        self.refresh(visitor);
        let at_us = clock::now_us();
        let asked = Instant::now();
        let run = visitor.run_of(&known.facts);
        let moment = Asked { portal: arrival.portal, run: run.as_deref(), at_us };
        let mut decision = self.judge(visitor, &known, &moment, prepared);
        let sharers = visitor.sharers(run.as_deref());
        let grants = self.caps.take(sharers, &mut decision, known.facts.statements.len(), at_us);
        let decided_us = clock::micros(asked);
        self.metrics.decided(&decision);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one decision stay far below 2^53")]
        self.metrics.decision_us.record(decided_us as f64);
        let mut ticket = Box::new(Ticket {
            known,
            policy: Arc::clone(&visitor.force.card),
            run,
            decision,
            at_us,
            decided_us,
            began: arrival.began,
            sent: asked,
            bytes_in: arrival.bytes,
            intents: Vec::new(),
            lost: false,
            grants,
            breached: None,
            stopped: AtomicU32::new(0),
            turn: visitor.kills.turn,
            keyed: None,
            key: None,
            named: None,
        });
        if ticket.decision.approvals.is_some()
            && let Err(error) = self.use_approvals(visitor, &mut ticket, arrival.portal, prepared)
        {
            self.give_all_back(&ticket);
            return Passage::Shut(shut_words(&error.to_string()));
        }
        if let Some(refusal) = ticket.decision.refusal.clone() {
            self.give_all_back(&ticket);
            self.note_wanted(visitor, &ticket);
            return Passage::Shut(self.refuse(visitor, &ticket, &refusal).await);
        }
        if let Err(shut) = self.admit(visitor, &mut ticket).await {
            self.give_all_back(&ticket);
            return Passage::Shut(shut);
        }
        if let Some(shut) = self.stopped_meanwhile(visitor, &mut ticket, prepared) {
            return Passage::Shut(shut);
        }
        visitor.went(&ticket.known.facts);
        ticket.sent = Instant::now();
        Passage::Go(ticket)
    }

    /// Whether a message would pass now; nothing is recorded, since it does not run yet.
    pub(crate) fn lets(
        &self,
        visitor: &mut Visitor,
        known: &Known,
        portal: bool,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> bool {
        self.refresh(visitor);
        let run = visitor.run_of(&known.facts);
        let moment = Asked { portal, run: run.as_deref(), at_us: clock::now_us() };
        self.judge(visitor, known, &moment, prepared).refusal.is_none()
    }

    /// What became of a message that was let pass.
    pub(crate) fn settle(&self, visitor: &Visitor, ticket: &Ticket, end: Option<&End>) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one statement stay far below 2^53")]
        {
            let (upstream_us, total_us) = (clock::micros(ticket.sent), clock::micros(ticket.began));
            self.metrics.upstream_us.record(upstream_us as f64);
            self.metrics.added_us.record(total_us.saturating_sub(upstream_us) as f64);
        }
        self.settle_caps(ticket, end);
        self.write_outcomes(visitor, ticket, end);
    }

    /// Room for the receipts, and in strict evidence the intents on disk; otherwise the words of the refusal.
    async fn admit(&self, visitor: &Visitor, ticket: &mut Ticket) -> Result<(), Vec<u8>> {
        if let Err(shut) = self.outbox.room() {
            return match visitor.force.policy.on_full() {
                OnFull::Gap => {
                    ticket.lost = true;
                    Ok(())
                }
                OnFull::Block => Err(shut_words(&shut.to_string())),
            };
        }
        if !ticket.decision.strict {
            return Ok(());
        }
        let count = ticket.known.facts.statements.len();
        ticket.intents = (0..count).map(|_| clock::new_id(ticket.at_us)).collect();
        for (statement, id) in ticket.intents.clone().into_iter().enumerate() {
            let receipt = Draft::Receipt(draft(visitor, ticket, statement, Phase::Intent, id));
            if statement + 1 < count {
                self.outbox.put(receipt);
            } else if let Err(shut) = self.outbox.durable(receipt).await {
                if visitor.force.policy.on_full() == OnFull::Gap {
                    ticket.lost = true;
                    continue;
                }
                // The intents may still reach the log: it shall say that nothing was sent on.
                let skipped = End { skipped: true, ..End::default() };
                self.write_outcomes(visitor, ticket, Some(&skipped));
                return Err(shut_words(&shut.to_string()));
            }
        }
        Ok(())
    }

    /// Writes the receipts of a refusal and gives its words.
    async fn refuse(&self, visitor: &Visitor, ticket: &Ticket, refusal: &clyra_policy::Refusal) -> Vec<u8> {
        let mut first = None;
        let count = ticket.known.facts.statements.len();
        for statement in 0..count {
            let id = clock::new_id(ticket.at_us);
            first.get_or_insert(id);
            let receipt = Draft::Receipt(draft(visitor, ticket, statement, Phase::Whole, id));
            if ticket.decision.strict && statement + 1 == count {
                // Refused either way; a receipt that cannot be kept now stays in the outbox.
                let _ = self.outbox.durable(receipt).await;
            } else {
                self.outbox.put(receipt);
            }
        }
        self.count_denials(visitor, &ticket.decision, ticket.run.as_deref());
        let receipt = first.unwrap_or_default();
        let hint = format!("{}; receipt {receipt}", refusal.hint);
        error_response(&Refusal {
            sqlstate: refusal.sqlstate,
            message: &refusal.message,
            detail: &refusal.detail,
            hint: hint.trim_start_matches("; "),
            position: refusal.position,
        })
    }

    /// What is known of a message's text.
    /// `whole` says that its bytes tell all that it does: no value comes beside them.
    pub(crate) fn known(&self, visitor: &Visitor, sql: &[u8], whole: bool) -> Arc<Known> {
        let digest = if whole { self.digest_for(visitor, sql) } else { None };
        self.know_as(visitor, self.memo.of(sql), digest, visitor.print_of(sql))
    }

    /// Fingerprints the statements of a message.
    pub(crate) fn know(&self, visitor: &Visitor, facts: Arc<Facts>) -> Arc<Known> {
        self.know_as(visitor, facts, None, None)
    }

    fn know_as(
        &self,
        visitor: &Visitor,
        facts: Arc<Facts>,
        digest: Option<Box<str>>,
        print: Option<Print>,
    ) -> Arc<Known> {
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        let shapes = facts
            .statements
            .iter()
            .map(|statement| ascii(&self.secret.of_hash("shape", tenant, &statement.shape)))
            .collect();
        Arc::new(Known {
            facts,
            shapes,
            digest,
            print,
            sent: None,
            types: ArcSwapOption::empty(),
            bound: None,
            plan: None,
            prepared: OnceLock::new(),
            keeps: OnceLock::new(),
        })
    }

    /// Reads the policy file again; a broken file keeps the policy in force.
    pub(crate) fn reload(&self) -> Result<Arc<Force>, Error> {
        let force = Arc::new(self.source.read()?);
        self.force.store(Arc::clone(&force));
        self.took_into_use("reload");
        Ok(force)
    }

    /// The policy in force, and its file.
    pub(crate) fn in_force(&self) -> (Arc<Force>, Option<&PathBuf>) {
        (self.force.load_full(), self.source.file.as_ref())
    }

    /// Open sessions.
    pub(crate) fn sessions(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// How things stand beside the data path.
    pub(crate) fn standing(&self) -> Standing {
        Standing {
            outbox_depth: self.outbox.depth(),
            recorder_lag_us: self.outbox.lag_us(),
            recorder_connected: self.outbox.connected(),
            shut: self.outbox.shut().is_some(),
            kill: self.kill.stand(),
        }
    }

    fn took_into_use(&self, reason: &'static str) {
        let force = self.force.load();
        let at_us = clock::now_us();
        self.outbox.put(Draft::Policy(PolicyDraft {
            id: clock::new_id(at_us),
            at_us,
            name: force.policy.name().to_owned(),
            card: Arc::clone(&force.card),
            mode: force.policy.mode(),
            reason,
        }));
    }
}

/// What a gate is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) source: Source,
    pub(crate) approvals: Approvals,
    pub(crate) kill: KillSwitch,
    /// Where what the caps have let through is kept.
    pub(crate) cap_journal: PathBuf,
    pub(crate) keys: Book,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) secret: Secret,
    pub(crate) upstream: String,
    pub(crate) catalogs: Option<Catalogs>,
}

fn shut_words(why: &str) -> Vec<u8> {
    error_response(&Refusal {
        sqlstate: "53400",
        message: "clyra: the gate is shut, since receipts cannot be kept",
        detail: why,
        hint: "retry when the operator has made room; a policy with `on_full: gap` would let statements pass unrecorded",
        position: None,
    })
}

/// The digits of a fingerprint.
pub(crate) fn ascii(digits: &str) -> [u8; 32] {
    digits.as_bytes().try_into().unwrap_or([b'0'; 32])
}

/// Texts whose facts are remembered, and the bytes that they may take.
const MEMO_ENTRIES: usize = 20_000;
const MEMO_BYTES: usize = 64 << 20;
