//! The gate: the one place on the data path where anything is decided. It touches no socket.
//!
//! A message is put before the rules with its facts; the verdict becomes a receipt; in `strict` evidence the receipt is
//! durable before anything is sent on. While receipts cannot be kept, the gate is shut.

use crate::{
    Error,
    draft::{
        Draft, OutcomeDraft, PolicyCard, PolicyDraft, ReceiptDraft, RunClaims, SessionCard, SwitchDraft,
    },
    kill::{KillSwitch, Turn},
    metrics::{Metrics, Standing},
    outbox::Outbox,
};
use arc_swap::ArcSwap;
use clyra_policy::{Caller, Decision, Facts, FactsMemo, Login, OnFull, Policy};
use clyra_seal::fingerprint::Secret;
use clyra_spec::{Auth, KillLevel, Mode, Phase, Status};
use clyra_wire::{Completion, End, Refusal, error_response};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use uuid::Uuid;

/// The gate of one gateway, shared by all its sessions.
#[derive(Debug)]
pub(crate) struct Gate {
    force: ArcSwap<Force>,
    /// Where the policy came from; `None` for the starter policy.
    policy_file: Option<PathBuf>,
    /// Takes the place of the file's mode.
    mode: Option<Mode>,
    memo: FactsMemo,
    pub(crate) kill: KillSwitch,
    pub(crate) outbox: Arc<Outbox>,
    secret: Secret,
    pub(crate) metrics: Metrics,
    pub(crate) upstream: String,
    /// Open sessions; a count for people, never for decisions.
    open: AtomicU64,
}

/// A policy in force.
#[derive(Debug)]
pub(crate) struct Force {
    pub(crate) policy: Policy,
    pub(crate) card: Arc<PolicyCard>,
}

/// Who stands before the gate: one per session.
#[derive(Debug)]
pub(crate) struct Visitor {
    user: String,
    database: String,
    application: String,
    auth: Auth,
    force: Arc<Force>,
    caller: Caller,
    card: Arc<SessionCard>,
    pub(crate) run: Option<Arc<RunClaims>>,
}

/// A message as the gate knows it: its facts, and the fingerprints of its statements.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: Arc<Facts>,
    shapes: Box<[[u8; 32]]>,
}

/// A message that was let pass, until it is settled.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) known: Arc<Known>,
    decision: Decision,
    policy: Arc<PolicyCard>,
    at_us: u64,
    decided_us: u64,
    began: Instant,
    sent: Instant,
    bytes_in: u64,
    /// Ids of the intents, one per statement, in strict evidence.
    intents: Vec<Uuid>,
    /// The outbox had no room: its receipts are counted as lost.
    lost: bool,
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
}

impl Gate {
    pub(crate) fn new(parts: Parts) -> Result<Self, Error> {
        let force = Arc::new(force(parts.policy_file.as_ref(), parts.mode)?);
        let gate = Self {
            force: ArcSwap::new(force),
            policy_file: parts.policy_file,
            mode: parts.mode,
            memo: FactsMemo::new(MEMO_ENTRIES, MEMO_BYTES),
            kill: parts.kill,
            outbox: parts.outbox,
            secret: parts.secret,
            metrics: Metrics::new()?,
            upstream: parts.upstream,
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
        prepared: &dyn Fn(&str) -> Option<Arc<Facts>>,
    ) -> Passage {
        self.refresh(visitor);
        let at_us = now_us();
        let asked = Instant::now();
        let decision =
            visitor.force.policy.decide(&visitor.caller, &known.facts, self.kill.level(), prepared);
        let decided_us = micros(asked);
        self.metrics.decided(&decision);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one decision stay far below 2^53")]
        self.metrics.decision_us.record(decided_us as f64);
        let mut ticket = Box::new(Ticket {
            known,
            policy: Arc::clone(&visitor.force.card),
            decision,
            at_us,
            decided_us,
            began: arrival.began,
            sent: asked,
            bytes_in: arrival.bytes,
            intents: Vec::new(),
            lost: false,
        });
        if let Some(refusal) = ticket.decision.refusal.clone() {
            return Passage::Shut(self.refuse(visitor, &ticket, &refusal).await);
        }
        if let Err(shut) = self.admit(visitor, &mut ticket).await {
            return Passage::Shut(shut);
        }
        ticket.sent = Instant::now();
        Passage::Go(ticket)
    }

    /// Whether a message would pass now; nothing is recorded, since it does not run yet.
    pub(crate) fn lets(
        &self,
        visitor: &mut Visitor,
        known: &Known,
        prepared: &dyn Fn(&str) -> Option<Arc<Facts>>,
    ) -> bool {
        self.refresh(visitor);
        let level = self.kill.level();
        visitor.force.policy.decide(&visitor.caller, &known.facts, level, prepared).refusal.is_none()
    }

    /// What became of a message that was let pass.
    pub(crate) fn settle(&self, visitor: &Visitor, ticket: Ticket, end: Option<End>) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of one statement stay far below 2^53")]
        {
            let (upstream_us, total_us) = (micros(ticket.sent), micros(ticket.began));
            self.metrics.upstream_us.record(upstream_us as f64);
            self.metrics.added_us.record(total_us.saturating_sub(upstream_us) as f64);
        }
        self.write_outcomes(visitor, &ticket, end.as_ref());
    }

    /// One receipt a statement: what became of it.
    fn write_outcomes(&self, visitor: &Visitor, ticket: &Ticket, end: Option<&End>) {
        let (upstream_us, total_us) = (micros(ticket.sent), micros(ticket.began));
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
            let mut receipt = draft(visitor, ticket, statement, phase, new_id(ticket.at_us));
            receipt.intent = intent;
            receipt.outcome = Some(outcome);
            if intent.is_some() {
                receipt.at_us = now_us();
            }
            self.outbox.put(Draft::Receipt(receipt));
        }
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
        ticket.intents = (0..count).map(|_| new_id(ticket.at_us)).collect();
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
            let id = new_id(ticket.at_us);
            first.get_or_insert(id);
            let receipt = Draft::Receipt(draft(visitor, ticket, statement, Phase::Whole, id));
            if ticket.decision.strict && statement + 1 == count {
                // Refused either way; a receipt that cannot be kept now stays in the outbox.
                let _ = self.outbox.durable(receipt).await;
            } else {
                self.outbox.put(receipt);
            }
        }
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

    /// A visitor, once the server has let it in.
    pub(crate) fn visitor(&self, login: &Login<'_>, auth: Auth, run: Option<Arc<RunClaims>>) -> Visitor {
        self.open.fetch_add(1, Ordering::Relaxed);
        let force = self.force.load_full();
        let caller = force.policy.caller(login);
        let card = Arc::new(self.card(login, &caller, auth));
        if let Some(run) = &run {
            self.outbox.put(Draft::RunJoin(Arc::clone(run)));
        }
        Visitor {
            user: login.user.to_owned(),
            database: login.database.to_owned(),
            application: login.application.to_owned(),
            auth,
            force,
            caller,
            card,
            run,
        }
    }

    /// A visitor leaves.
    pub(crate) fn leave(&self, visitor: &Visitor) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(run) = &visitor.run {
            self.outbox.put(Draft::RunLeave(Arc::clone(run)));
        }
    }

    /// What is known of a message's text.
    pub(crate) fn known(&self, visitor: &Visitor, sql: &[u8]) -> Arc<Known> {
        self.know(visitor, self.memo.of(sql))
    }

    /// Fingerprints the statements of a message.
    pub(crate) fn know(&self, visitor: &Visitor, facts: Arc<Facts>) -> Arc<Known> {
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        let shapes = facts
            .statements
            .iter()
            .map(|statement| ascii(&self.secret.of_hash("shape", tenant, &statement.shape)))
            .collect();
        Arc::new(Known { facts, shapes })
    }

    /// Reads the policy file again; a broken file keeps the policy in force.
    pub(crate) fn reload(&self) -> Result<Arc<Force>, Error> {
        let force = Arc::new(force(self.policy_file.as_ref(), self.mode)?);
        self.force.store(Arc::clone(&force));
        self.took_into_use("reload");
        Ok(force)
    }

    /// The policy in force, and its file.
    pub(crate) fn in_force(&self) -> (Arc<Force>, Option<&PathBuf>) {
        (self.force.load_full(), self.policy_file.as_ref())
    }

    /// Turns the kill switch; answers once the turn is journalled, in effect and its entry durable.
    pub(crate) async fn turn(&self, level: KillLevel, by: String, reason: String) -> Result<Turn, Error> {
        let (id, at_us) = (new_id(now_us()), now_us());
        let at = clock_text(at_us);
        let turn = Turn { level, by: by.clone(), reason: reason.clone(), at, turn: 0, entry: id.to_string() };
        let turn = self.kill.set(turn)?;
        let entry = Draft::Switch(SwitchDraft { id, at_us, level, by, reason });
        self.outbox.durable(entry).await.map_err(|shut| Error::NotRecorded(shut.to_string()))?;
        Ok(turn)
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
            kill_level: self.kill.level().number(),
        }
    }

    fn took_into_use(&self, reason: &'static str) {
        let force = self.force.load();
        let at_us = now_us();
        self.outbox.put(Draft::Policy(PolicyDraft {
            id: new_id(at_us),
            at_us,
            name: force.policy.name().to_owned(),
            card: Arc::clone(&force.card),
            mode: force.policy.mode(),
            reason,
        }));
    }

    /// Follows a policy that was taken into use since the visitor's last message.
    fn refresh(&self, visitor: &mut Visitor) {
        let force = self.force.load();
        if Arc::ptr_eq(&force, &visitor.force) {
            return;
        }
        visitor.force = Arc::clone(&force);
        let login = Login {
            user: &visitor.user,
            database: &visitor.database,
            application: &visitor.application,
            tenant: None,
        };
        visitor.caller = force.policy.caller(&login);
        visitor.card = Arc::new(self.card(&login, &visitor.caller, visitor.auth));
    }

    fn card(&self, login: &Login<'_>, caller: &Caller, auth: Auth) -> SessionCard {
        let tenant = caller.tenant.as_deref().unwrap_or_default();
        SessionCard {
            actor: self.secret.of("actor", tenant, caller.actor.as_bytes()),
            actor_kind: caller.kind,
            auth,
            tenant: caller.tenant.as_deref().map(|tenant| self.secret.of("tenant", "", tenant.as_bytes())),
            via: (!login.application.is_empty()).then(|| login.application.to_owned()),
            database: login.database.to_owned(),
            upstream: self.upstream.clone(),
        }
    }
}

/// What a gate is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) policy_file: Option<PathBuf>,
    pub(crate) mode: Option<Mode>,
    pub(crate) kill: KillSwitch,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) secret: Secret,
    pub(crate) upstream: String,
}

fn force(file: Option<&PathBuf>, mode: Option<Mode>) -> Result<Force, Error> {
    let policy = match file {
        None => Policy::starter(),
        Some(path) => {
            let yaml = std::fs::read_to_string(path)
                .map_err(|source| Error::PolicyFile { path: path.clone(), source })?;
            Policy::parse(&yaml, &path.display().to_string())?
        }
    };
    let policy = match mode {
        Some(mode) => policy.with_mode(mode),
        None => policy,
    };
    let card = Arc::new(PolicyCard { digest: policy.digest().to_owned(), version: policy.version() });
    Ok(Force { policy, card })
}

fn draft(visitor: &Visitor, ticket: &Ticket, statement: usize, phase: Phase, id: Uuid) -> Box<ReceiptDraft> {
    Box::new(ReceiptDraft {
        id,
        at_us: ticket.at_us,
        phase,
        intent: None,
        session: Arc::clone(&visitor.card),
        run: visitor.run.clone(),
        facts: Arc::clone(&ticket.known.facts),
        statement,
        shape: ticket.known.shapes.get(statement).copied().unwrap_or([b'0'; 32]),
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

fn shut_words(why: &str) -> Vec<u8> {
    error_response(&Refusal {
        sqlstate: "53400",
        message: "clyra: the gate is shut, since receipts cannot be kept",
        detail: why,
        hint: "retry when the operator has made room; a policy with `on_full: gap` would let statements pass unrecorded",
        position: None,
    })
}

/// A UUIDv7 of this moment.
pub(crate) fn new_id(at_us: u64) -> Uuid {
    let random = fastrand::u128(..).to_le_bytes();
    let mut bytes = [0; 10];
    for (byte, random) in bytes.iter_mut().zip(random) {
        *byte = random;
    }
    uuid::Builder::from_unix_timestamp_millis(at_us / 1_000, &bytes).into_uuid()
}

#[expect(clippy::disallowed_methods, reason = "the data path reads the clock here, and only here")]
fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn clock_text(at_us: u64) -> String {
    let micros = i64::try_from(at_us).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}

fn ascii(digits: &str) -> [u8; 32] {
    digits.as_bytes().try_into().unwrap_or([b'0'; 32])
}

const QUERY_CANCELED: &[u8; 5] = b"57014";
/// Texts whose facts are remembered, and the bytes that they may take.
const MEMO_ENTRIES: usize = 20_000;
const MEMO_BYTES: usize = 64 << 20;
