//! What the data path hands to the outbox: facts of one event, not yet numbered, not yet encoded.
//!
//! A draft is cheap to make and to move; it never holds statement text or values.

use clyra_policy::{Decision, Facts};
use clyra_spec::{
    ActorKind, Auth, KeyState, KillCause, KillClass, KillLevel, KillScope, Mode, Phase, Status,
};
use std::sync::Arc;
use uuid::Uuid;

/// One event for the log.
#[derive(Debug)]
pub(crate) enum Draft {
    /// A decision, its outcome, or both.
    Receipt(Box<ReceiptDraft>),
    /// A session that claims this run has begun.
    RunJoin(Arc<RunClaims>),
    /// A session that claimed this run has ended.
    RunLeave(Arc<RunClaims>),
    /// The kill switch was turned.
    Switch(Box<SwitchDraft>),
    /// A policy was taken into use.
    Policy(PolicyDraft),
    /// Somebody answers for a message.
    Approval(ApprovalDraft),
    /// An approval counts no longer.
    Revocation(RevocationDraft),
}

/// A receipt without number, encoding and seal.
#[derive(Debug)]
pub(crate) struct ReceiptDraft {
    /// Id of the entry.
    pub id: Uuid,
    /// When it was decided, microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// Which part of the story.
    pub phase: Phase,
    /// For an outcome: the id of its intent.
    pub intent: Option<Uuid>,
    /// Who asked and where it goes; one per session.
    pub session: Arc<SessionCard>,
    /// The run it belongs to.
    pub run: Option<Arc<RunClaims>>,
    /// What the message asks.
    pub facts: Arc<Facts>,
    /// Which statement of the message this receipt is about.
    pub statement: usize,
    /// Keyed fingerprint of the statement's shape, as 32 ASCII hex digits.
    pub shape: [u8; 32],
    /// Keyed fingerprint of the text that goes on in the place of the caller's own, as 32 ASCII hex digits.
    pub sent: Option<[u8; 32]>,
    /// Keyed fingerprint of the idempotency key, as 32 ASCII hex digits, and how the action stands to earlier ones under it.
    pub key: Option<([u8; 32], KeyState)>,
    /// What the gate said.
    pub decision: Decision,
    /// Digest, version of the policy that said so.
    pub policy: Arc<PolicyCard>,
    /// Time taken to decide, microseconds.
    pub decided_us: u64,
    /// What became of it.
    pub outcome: Option<OutcomeDraft>,
}

/// What a receipt says of its session; the same for all its receipts.
#[derive(Debug)]
pub(crate) struct SessionCard {
    /// Keyed fingerprint of the actor, 32 hex digits.
    pub actor: String,
    /// Person, service or agent.
    pub actor_kind: ActorKind,
    /// How it proved who it is.
    pub auth: Auth,
    /// Keyed fingerprint of the tenant.
    pub tenant: Option<String>,
    /// `application_name`, bounded.
    pub via: Option<String>,
    /// Database name.
    pub database: String,
    /// Name of the upstream.
    pub upstream: String,
}

/// What a receipt says of the policy that decided.
#[derive(Debug)]
pub(crate) struct PolicyCard {
    /// `sha256:` and hex.
    pub digest: String,
    /// The owner's version number.
    pub version: u64,
}

/// The claims of a run, as the caller made them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RunClaims {
    /// The run's id.
    pub run_id: Box<str>,
    /// Why the change is made.
    pub change_intent: Option<Box<str>>,
    /// Data assets.
    pub asset_ids: Vec<Box<str>>,
    /// Business metrics.
    pub business_metric_refs: Vec<Box<str>>,
    /// Reference for a later payout.
    pub payout_ref: Option<Box<str>>,
    /// Currency of a later payout.
    pub currency: Option<Box<str>>,
}

/// What became of a statement that was sent on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutcomeDraft {
    /// How it ended.
    pub status: Status,
    /// Rows reported by the server.
    pub rows: Option<u64>,
    /// SQLSTATE of the server's error, five ASCII characters.
    pub sqlstate: Option<[u8; 5]>,
    /// Bytes from the caller.
    pub bytes_in: u64,
    /// Bytes to the caller.
    pub bytes_out: u64,
    /// Microseconds from sending on to the end of the answer.
    pub upstream_us: u64,
    /// Microseconds from the caller's bytes to the end of the answer.
    pub total_us: u64,
}

/// A turn of the kill switch.
#[derive(Debug)]
pub(crate) struct SwitchDraft {
    /// Id of the entry.
    pub id: Uuid,
    /// When, microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// Number of the turn.
    pub turn: u64,
    /// The level that stood before, where one did.
    pub before: Option<KillLevel>,
    /// The level from now on.
    pub level: KillLevel,
    /// Whom it covers.
    pub scope: KillScope,
    /// As entries call them; empty for everybody.
    pub name: String,
    /// Which statements.
    pub class: KillClass,
    /// When it ends by itself (RFC 3339).
    pub expires: Option<String>,
    /// What turned it.
    pub cause: KillCause,
    /// Who, as given.
    pub by: String,
    /// Why, as given.
    pub reason: String,
    /// The order that an operator signed, checked.
    pub envelope: Option<Vec<u8>>,
}

/// A policy taken into use.
#[derive(Debug)]
pub(crate) struct PolicyDraft {
    /// Id of the entry.
    pub id: Uuid,
    /// When, microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// The policy's name.
    pub name: String,
    /// Digest and version.
    pub card: Arc<PolicyCard>,
    /// Its mode, after any override at start.
    pub mode: Mode,
    /// `start` or `reload`.
    pub reason: &'static str,
}

/// An approval that was taken.
#[derive(Debug)]
pub(crate) struct ApprovalDraft {
    /// Id of the entry, which the approver has signed.
    pub id: Uuid,
    /// When, microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// The envelope, checked.
    pub envelope: Vec<u8>,
}

/// An approval that was taken back.
#[derive(Debug)]
pub(crate) struct RevocationDraft {
    /// Id of the entry.
    pub id: Uuid,
    /// When, microseconds since 1970-01-01 UTC.
    pub at_us: u64,
    /// Id of the approval.
    pub approval: String,
    /// Who, as given.
    pub by: String,
    /// Why, as given.
    pub reason: String,
}
