//! The entries of the log, as their makers write them.
//!
//! Fields are declared in byte order of their names and optional ones are left out when empty, so that
//! `serde_json::to_vec` gives the RFC 8785 form. Readers do not use these types: they read JSON strictly.

use crate::{
    ActorKind, Auth, KeyState, KillCause, KillClass, KillLevel, KillScope, Mode, Phase, Protocol, Status,
    Verb, Verdict,
};
use serde::Serialize;

/// The place of an entry in its gateway's stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stream<'a> {
    /// Start of the gateway process, milliseconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// The gateway's id.
    pub gateway: &'a str,
    /// Contiguous from 1 within gateway and epoch.
    pub seq: u64,
}

/// One decision of the gate.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt<'a> {
    /// What was asked.
    pub action: Action<'a>,
    /// When it was decided (RFC 3339, UTC, `Z`).
    pub at: &'a str,
    /// Who asked.
    pub caller: Caller<'a>,
    /// What the gate said.
    pub decision: Decision<'a>,
    /// UUIDv7.
    pub id: &'a str,
    /// For `outcome`: the id of the `intent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<&'a str>,
    /// The idempotency key that the caller gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key<'a>>,
    /// Always `receipt`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// What became of it; absent while unknown and when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome<'a>>,
    /// Which part of the story this is.
    pub phase: Phase,
    /// The run that the caller claims it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run<'a>>,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Where it was going.
    pub target: Target<'a>,
    /// Version of this shape, 1.
    pub v: u32,
}

/// What was asked, without any value of it.
#[derive(Clone, Debug, Serialize)]
pub struct Action<'a> {
    /// Functions called, as written, lower-cased unless quoted.
    #[serde(skip_serializing_if = "is_empty")]
    pub functions: &'a [Box<str>],
    /// Tables read.
    #[serde(skip_serializing_if = "is_empty")]
    pub reads: &'a [Box<str>],
    /// Keyed fingerprint of the text that went to the server in the place of the caller's own, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<&'a str>,
    /// Keyed fingerprint of the statement with its literals removed, as the caller wrote it, 32 hex digits.
    pub shape: &'a str,
    /// Number of statements in the message, when more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement_count: Option<u32>,
    /// Place of this statement in its message from 1, when there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement_index: Option<u32>,
    /// What stood out (`no_where`, `unparsed` …).
    #[serde(skip_serializing_if = "is_empty")]
    pub tags: &'a [Box<str>],
    /// Trace that the caller claims it belongs to: a W3C trace id, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<&'a str>,
    /// What it does.
    pub verb: Verb,
    /// Tables written.
    #[serde(skip_serializing_if = "is_empty")]
    pub writes: &'a [Box<str>],
}

/// Who asked.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Caller<'a> {
    /// Keyed fingerprint of the actor, 32 hex digits.
    pub actor: &'a str,
    /// Person, service or agent.
    pub actor_kind: ActorKind,
    /// How it proved who it is.
    pub auth: Auth,
    /// Keyed fingerprint of the tenant, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<&'a str>,
    /// `application_name`, as claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<&'a str>,
}

/// What the gate said.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Decision<'a> {
    /// Ids of the `approval` entries that this action used up.
    #[serde(skip_serializing_if = "is_empty")]
    pub approvals: &'a [Box<str>],
    /// Time taken to decide, microseconds.
    pub decided_us: u64,
    /// Whether the verdict was carried out.
    pub enforced: bool,
    /// `sha256:` and the hex digest of the policy file's bytes.
    pub policy: &'a str,
    /// The policy's own version number.
    pub policy_version: u64,
    /// What each rule that spoke said.
    #[serde(skip_serializing_if = "is_empty")]
    pub rules: &'a [RuleVerdict],
    /// The verdict.
    pub verdict: Verdict,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleVerdict {
    /// Whether this rule's verdict was carried out.
    pub enforced: bool,
    /// The rule's id in the policy file.
    pub id: Box<str>,
    /// Stable reason code.
    pub reason: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
}

/// The idempotency key of an action.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Key<'a> {
    /// Keyed fingerprint of it, and of whose and where it counts.
    pub key: &'a str,
    /// How the action stands to earlier ones under it.
    pub state: KeyState,
}

/// What became of an action that was sent on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome<'a> {
    /// Bytes from the caller for this message.
    pub bytes_in: u64,
    /// Bytes to the caller for this statement.
    pub bytes_out: u64,
    /// Rows reported by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// SQLSTATE of the server's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<&'a str>,
    /// How it ended.
    pub status: Status,
    /// From the caller's bytes to the end of the answer, microseconds.
    pub total_us: u64,
    /// From sending on to the end of the server's answer, microseconds.
    pub upstream_us: u64,
}

/// The run that a caller claims, and the metadata that later steps build on. Claims, not facts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run<'a> {
    /// Data assets that the run is about.
    #[serde(skip_serializing_if = "is_empty")]
    pub asset_ids: &'a [Box<str>],
    /// Business metrics that the run is meant to move.
    #[serde(skip_serializing_if = "is_empty")]
    pub business_metric_refs: &'a [Box<str>],
    /// Why the change is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_intent: Option<&'a str>,
    /// ISO 4217 code or token symbol of a later payout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<&'a str>,
    /// Reference for a later payout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout_ref: Option<&'a str>,
    /// The run's id.
    pub run_id: &'a str,
    /// Contiguous from 1 within this run at this gateway and epoch, over all its entries but open and close.
    pub run_seq: u64,
}

/// Where an action was going.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Target<'a> {
    /// Database name.
    pub database: &'a str,
    /// The door.
    pub protocol: Protocol,
    /// Name of the upstream.
    pub upstream: &'a str,
}

/// A run's first entry at a gateway.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RunOpen<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `run_open`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// The run's id.
    pub run_id: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// A run that is open and had nothing to tell for a while: its gateway still hears it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Heartbeat<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// Receipts of this run so far at this gateway and epoch; equals the last `run_seq`.
    pub count: u64,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `heartbeat`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// The run's id.
    pub run_id: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// A run's end at a gateway, with the number of its receipts there.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RunClose<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// Receipts of this run at this gateway and epoch; equals the last `run_seq`.
    pub count: u64,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `run_close`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// Why: `idle`, `asked` or `shutdown`.
    pub reason: &'a str,
    /// The run's id.
    pub run_id: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// The kill switch was turned.
#[derive(Clone, Debug, Serialize)]
pub struct Switch<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// The level that stood for it before; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<KillLevel>,
    /// Who turned it, as given; with `dsse`, the operator's name in the policy.
    pub by: &'a str,
    /// What turned it.
    pub cause: KillCause,
    /// Which statements it covers.
    #[serde(skip_serializing_if = "KillClass::is_all")]
    pub class: KillClass,
    /// What an operator signed: `{at, by, class?, expires?, id, level, name?, reason, scope, v}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsse: Option<Dsse<'a>>,
    /// When it ends by itself (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<&'a str>,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `switch`.
    pub kind: &'static str,
    /// The level from now on.
    pub level: KillLevel,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// Whom it covers, for every scope but `global`; for a tenant or an actor a keyed fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// Why, as given.
    pub reason: &'a str,
    /// Whom it covers.
    pub scope: KillScope,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Number of this turn of the gateway's switch, from 1.
    pub turn: u64,
    /// Version, 1.
    pub v: u32,
}

/// Somebody answers for one action, under a signature of theirs.
#[derive(Clone, Debug, Serialize)]
pub struct Approval<'a> {
    /// When it was taken in (RFC 3339).
    pub at: &'a str,
    /// What the approver signed: `{approver, digest, expires, id, reason, v}`.
    pub dsse: Dsse<'a>,
    /// UUIDv7, the one that the approver signed.
    pub id: &'a str,
    /// Always `approval`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// An approval counts no longer.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ApprovalRevoked<'a> {
    /// Id of the `approval` entry.
    pub approval: &'a str,
    /// When (RFC 3339).
    pub at: &'a str,
    /// Who, as given.
    pub by: &'a str,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `approval_revoked`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// Why, as given.
    pub reason: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// A policy was taken into use, or its mode changed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Policy<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// `sha256:` and the hex digest of the file's bytes.
    pub digest: &'a str,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `policy`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// The file's mode, after any override at start.
    pub mode: Mode,
    /// The policy's name.
    pub name: &'a str,
    /// Why: `start` or `reload`.
    pub reason: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
    /// The policy's own version number.
    pub version: u64,
}

/// Entries known, or feared, to be lost: a loss is itself evidence.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Gap<'a> {
    /// When it was noticed (RFC 3339).
    pub at: &'a str,
    /// How many; absent when nobody can know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `gap`.
    pub kind: &'static str,
    /// Last entry known of the stream that has the gap.
    pub last_seq: u64,
    /// Epoch of the stream that has the gap.
    pub lost_epoch: u64,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// `unclean_stop`, `outbox_full` or `spool_lost`.
    pub reason: &'a str,
    /// Place in the gateway's stream.
    pub stream: Stream<'a>,
    /// Version, 1.
    pub v: u32,
}

/// A gateway's signed header over the entries that follow it in the log.
#[derive(Clone, Debug, Serialize)]
pub struct BatchHeader<'a> {
    /// When (RFC 3339).
    pub at: &'a str,
    /// Envelope over [`Batch`](BatchHeader) claims: `{count, epoch, final, first_seq, gateway, previous, root}`.
    pub dsse: Dsse<'a>,
    /// UUIDv7.
    pub id: &'a str,
    /// Always `batch`.
    pub kind: &'static str,
    /// Key id of the gateway.
    pub maker: &'a str,
    /// Version, 1.
    pub v: u32,
}

/// A DSSE v1 envelope with its one signature.
#[derive(Clone, Debug, Serialize)]
pub struct Dsse<'a> {
    /// Standard base64 of the payload.
    pub payload: &'a str,
    /// Media type of the payload.
    #[serde(rename = "payloadType")]
    pub payload_type: &'a str,
    /// Exactly one.
    pub signatures: [DsseSignature<'a>; 1],
}

/// One signature of an envelope.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DsseSignature<'a> {
    /// Which key claims to have signed (a hint, never a decision).
    pub keyid: &'a str,
    /// Standard base64 of the Ed25519 signature over the PAE.
    pub sig: &'a str,
}

fn is_empty(names: &[impl Sized]) -> bool {
    names.is_empty()
}
