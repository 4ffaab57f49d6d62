//! Writes entries: from a draft and its number to the bytes that the log will hold; it never numbers anything itself.

use crate::draft::{ApprovalDraft, PolicyDraft, ReceiptDraft, RevocationDraft, RunClaims, SwitchDraft};
use clyra_seal::{Hash, dsse::Envelope, merkle};
use clyra_spec::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, ENTRY_BYTES_MAX, LABEL_BYTES_MAX, WHOLE_NUMBER_MAX,
};
use clyra_spec::{
    Action, Approval, ApprovalRevoked, Caller, Decision, Dsse, DsseSignature, Gap, Heartbeat, Key, Outcome,
    Policy, Protocol, Receipt, Run, RunClose, RunOpen, Stream, Switch, Target, Verb,
};
use serde::Serialize;
use std::fmt::Write as _;
use uuid::{Builder, fmt::Hyphenated};

/// The entries of one batch, encoded, and the leaves of its tree.
#[derive(Debug, Default)]
pub(super) struct Page {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    leaves: Vec<Hash>,
}

impl Page {
    /// The entries, in order of their numbers.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default())
    }

    /// How many entries it holds.
    pub(super) fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Root of the RFC 6962 tree over its entries.
    pub(super) fn root(&self) -> Hash {
        merkle::root(&self.leaves)
    }

    /// Whether it cannot surely take what one more draft may bring (an opening and a receipt).
    pub(super) fn is_full(&self) -> bool {
        self.ends.len() + 2 > BATCH_ENTRIES_MAX || self.bytes.len() + 2 * ENTRY_BYTES_MAX > BATCH_BYTES_MAX
    }

    /// Makes room for the next batch and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.leaves.clear();
    }

    /// Adds an entry, or leaves the page as it was and says no when the entry is longer than the log can hold.
    fn add(&mut self, entry: &impl Serialize) -> bool {
        let start = self.bytes.len();
        let written = serde_json::to_writer(&mut self.bytes, entry).is_ok();
        let entry = self.bytes.get(start..).unwrap_or_default();
        if !written || entry.len() > ENTRY_BYTES_MAX {
            self.bytes.truncate(start);
            return false;
        }
        self.leaves.push(merkle::leaf_hash(entry));
        self.ends.push(self.bytes.len());
        true
    }
}

/// Writes the entries of one gateway in one epoch.
#[derive(Debug)]
pub(super) struct Pen {
    maker: String,
    gateway: String,
    epoch: u64,
    clock: Clock,
    dice: fastrand::Rng,
}

impl Pen {
    /// A pen for entries of `gateway`, whose key id is `maker`; `seed` makes the ids of entries without a draft.
    pub(super) fn new(maker: &str, gateway: &str, epoch: u64, seed: u64) -> Self {
        Self {
            maker: maker.to_owned(),
            gateway: gateway.to_owned(),
            epoch,
            clock: Clock::default(),
            dice: fastrand::Rng::with_seed(seed),
        }
    }

    /// Writes a receipt. One that is too long loses its lists, then its claims, and says so in its tags.
    /// False only when even its labels are too long for the log.
    pub(super) fn receipt(&mut self, page: &mut Page, draft: &ReceiptDraft, seq: u64, run_seq: u64) -> bool {
        self.clock.set(draft.at_us);
        [Detail::Full, Detail::Short, Detail::Bare]
            .iter()
            .any(|detail| self.try_receipt(page, draft, seq, run_seq, *detail))
    }

    fn try_receipt(
        &self,
        page: &mut Page,
        draft: &ReceiptDraft,
        seq: u64,
        run_seq: u64,
        detail: Detail,
    ) -> bool {
        let (mut id, mut intent) = ([0; Hyphenated::LENGTH], [0; Hyphenated::LENGTH]);
        let mut tags = Vec::new();
        let card = &draft.session;
        page.add(&Receipt {
            action: action(draft, detail, &mut tags),
            at: &self.clock.text,
            caller: Caller {
                actor: &card.actor,
                actor_kind: card.actor_kind,
                auth: card.auth,
                tenant: card.tenant.as_deref(),
                via: card.via.as_deref().map(|via| detail.label(via)),
            },
            decision: Decision {
                approvals: draft.decision.approvals.as_deref().unwrap_or_default(),
                decided_us: whole(draft.decided_us),
                enforced: draft.decision.enforced,
                policy: &draft.policy.digest,
                policy_version: whole(draft.policy.version),
                rules: detail.rules(&draft.decision.rules),
                verdict: draft.decision.verdict,
            },
            id: draft.id.hyphenated().encode_lower(&mut id),
            intent: draft.intent.map(|of| &*of.hyphenated().encode_lower(&mut intent)),
            key: draft
                .key
                .as_ref()
                .and_then(|(key, state)| std::str::from_utf8(key).ok().map(|key| Key { key, state: *state })),
            kind: "receipt",
            maker: &self.maker,
            outcome: draft.outcome.as_ref().map(|outcome| Outcome {
                bytes_in: whole(outcome.bytes_in),
                bytes_out: whole(outcome.bytes_out),
                rows: outcome.rows.map(whole),
                sqlstate: outcome.sqlstate.as_ref().and_then(|state| std::str::from_utf8(state).ok()),
                status: outcome.status,
                total_us: whole(outcome.total_us),
                upstream_us: whole(outcome.upstream_us),
            }),
            phase: draft.phase,
            run: draft.run.as_deref().filter(|_| run_seq > 0).map(|claims| run(claims, run_seq, detail)),
            stream: self.stream(seq),
            target: Target {
                database: detail.label(&card.database),
                protocol: Protocol::Postgres,
                upstream: detail.label(&card.upstream),
            },
            v: 1,
        })
    }

    /// Writes that a run begins here, or goes on after it was closed.
    pub(super) fn run_open(&mut self, page: &mut Page, run_id: &str, at_us: u64, seq: u64) -> bool {
        let id = self.fresh_id(at_us);
        let stream = self.stream(seq);
        page.add(&RunOpen {
            at: &self.clock.text,
            id: &id,
            kind: "run_open",
            maker: &self.maker,
            run_id,
            stream,
            v: 1,
        })
    }

    /// Writes that a run is open still, with so many receipts.
    pub(super) fn heartbeat(
        &mut self,
        page: &mut Page,
        run_id: &str,
        count: u64,
        at_us: u64,
        seq: u64,
    ) -> bool {
        let id = self.fresh_id(at_us);
        page.add(&Heartbeat {
            at: &self.clock.text,
            count,
            id: &id,
            kind: "heartbeat",
            maker: &self.maker,
            run_id,
            stream: self.stream(seq),
            v: 1,
        })
    }

    /// Writes that a run has ended here with so many receipts.
    pub(super) fn run_close(&mut self, page: &mut Page, close: &Close<'_>, at_us: u64, seq: u64) -> bool {
        let id = self.fresh_id(at_us);
        page.add(&RunClose {
            at: &self.clock.text,
            count: close.count,
            id: &id,
            kind: "run_close",
            maker: &self.maker,
            reason: close.reason,
            run_id: close.run_id,
            stream: self.stream(seq),
            v: 1,
        })
    }

    /// Writes that the kill switch was turned.
    pub(super) fn switch(&mut self, page: &mut Page, draft: &SwitchDraft, seq: u64) -> bool {
        self.clock.set(draft.at_us);
        let envelope = match draft.envelope.as_deref().map(Envelope::from_slice) {
            None => None,
            Some(Ok(envelope)) => Some(envelope),
            Some(Err(_)) => return false,
        };
        let mut id = [0; Hyphenated::LENGTH];
        page.add(&Switch {
            at: &self.clock.text,
            before: draft.before,
            by: clip(&draft.by, LABEL_BYTES_MAX),
            cause: draft.cause,
            class: draft.class,
            dsse: envelope.as_ref().map(dsse),
            expires: draft.expires.as_deref(),
            id: draft.id.hyphenated().encode_lower(&mut id),
            kind: "switch",
            level: draft.level,
            maker: &self.maker,
            name: (!draft.name.is_empty()).then_some(&*draft.name),
            reason: clip(&draft.reason, REASON_BYTES_MAX),
            scope: draft.scope,
            stream: self.stream(seq),
            turn: whole(draft.turn),
            v: 1,
        })
    }

    /// Writes that somebody answers for a message, with what they signed.
    pub(super) fn approval(&mut self, page: &mut Page, draft: &ApprovalDraft, seq: u64) -> bool {
        self.clock.set(draft.at_us);
        let Ok(envelope) = Envelope::from_slice(&draft.envelope) else { return false };
        let mut id = [0; Hyphenated::LENGTH];
        page.add(&Approval {
            at: &self.clock.text,
            dsse: dsse(&envelope),
            id: draft.id.hyphenated().encode_lower(&mut id),
            kind: "approval",
            maker: &self.maker,
            stream: self.stream(seq),
            v: 1,
        })
    }

    /// Writes that an approval counts no longer.
    pub(super) fn revocation(&mut self, page: &mut Page, draft: &RevocationDraft, seq: u64) -> bool {
        self.clock.set(draft.at_us);
        let mut id = [0; Hyphenated::LENGTH];
        page.add(&ApprovalRevoked {
            approval: &draft.approval,
            at: &self.clock.text,
            by: clip(&draft.by, LABEL_BYTES_MAX),
            id: draft.id.hyphenated().encode_lower(&mut id),
            kind: "approval_revoked",
            maker: &self.maker,
            reason: clip(&draft.reason, REASON_BYTES_MAX),
            stream: self.stream(seq),
            v: 1,
        })
    }

    /// Writes that a policy was taken into use.
    pub(super) fn policy(&mut self, page: &mut Page, draft: &PolicyDraft, seq: u64) -> bool {
        self.clock.set(draft.at_us);
        let mut id = [0; Hyphenated::LENGTH];
        page.add(&Policy {
            at: &self.clock.text,
            digest: &draft.card.digest,
            id: draft.id.hyphenated().encode_lower(&mut id),
            kind: "policy",
            maker: &self.maker,
            mode: draft.mode,
            name: clip(&draft.name, LABEL_BYTES_MAX),
            reason: draft.reason,
            stream: self.stream(seq),
            v: 1,
            version: whole(draft.card.version),
        })
    }

    /// Writes that entries are lost, or may be.
    pub(super) fn gap(&mut self, page: &mut Page, loss: &Loss, at_us: u64, seq: u64) -> bool {
        let id = self.fresh_id(at_us);
        page.add(&Gap {
            at: &self.clock.text,
            count: loss.count.map(whole),
            id: &id,
            kind: "gap",
            last_seq: loss.last_seq,
            lost_epoch: loss.epoch,
            maker: &self.maker,
            reason: loss.reason,
            stream: self.stream(seq),
            v: 1,
        })
    }

    /// The time `at_us` as entries write it, and a new UUIDv7 of that time.
    pub(super) fn stamp(&mut self, at_us: u64) -> (&str, String) {
        let id = self.fresh_id(at_us);
        (&self.clock.text, id)
    }

    fn fresh_id(&mut self, at_us: u64) -> String {
        self.clock.set(at_us);
        let mut random = [0; 10];
        self.dice.fill(&mut random);
        Builder::from_unix_timestamp_millis(at_us / 1_000, &random).into_uuid().to_string()
    }

    fn stream(&self, seq: u64) -> Stream<'_> {
        Stream { epoch: self.epoch, gateway: &self.gateway, seq }
    }
}

/// The end of a run at this gateway.
#[derive(Debug)]
pub(super) struct Close<'a> {
    /// The run.
    pub(super) run_id: &'a str,
    /// Its receipts in this epoch.
    pub(super) count: u64,
    /// `idle`, `asked` or `shutdown`.
    pub(super) reason: &'static str,
}

/// Entries that are missing, as far as this gateway can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// Epoch of the stream that has the gap.
    pub(super) epoch: u64,
    /// Last entry known before it.
    pub(super) last_seq: u64,
    /// How many; `None` when nobody can know.
    pub(super) count: Option<u64>,
    /// `unclean_stop` or `outbox_full`.
    pub(super) reason: &'static str,
}

/// How much of a receipt is written; the fuller forms are tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Everything.
    Full,
    /// Without the functions called and the tables read.
    Short,
    /// Without any list that can be long, and with labels clipped.
    Bare,
}

impl Detail {
    fn label(self, text: &str) -> &str {
        if self == Self::Bare { clip(text, LABEL_BYTES_MAX) } else { text }
    }

    fn rules<T>(self, rules: &[T]) -> &[T] {
        if self == Self::Bare { rules.get(..RULES_BARE_MAX).unwrap_or(rules) } else { rules }
    }
}

fn action<'a>(draft: &'a ReceiptDraft, detail: Detail, tags: &'a mut Vec<Box<str>>) -> Action<'a> {
    let statements = &draft.facts.statements;
    let facts = statements.get(draft.statement);
    let many = u32::try_from(statements.len()).ok().filter(|count| *count > 1);
    if detail != Detail::Full {
        let kept = facts
            .map(|facts| facts.receipt_tags())
            .map(|tags| tags.get(..TAGS_BARE_MAX).unwrap_or(tags))
            .unwrap_or_default();
        tags.extend(kept.iter().filter(|tag| &***tag != TRUNCATED).cloned());
        tags.push(TRUNCATED.into());
    }
    Action {
        functions: facts
            .filter(|_| detail == Detail::Full)
            .map(|facts| &*facts.functions)
            .unwrap_or_default(),
        reads: facts.filter(|_| detail == Detail::Full).map(|facts| &*facts.reads).unwrap_or_default(),
        sent: draft.sent.as_ref().and_then(|sent| std::str::from_utf8(sent).ok()),
        shape: std::str::from_utf8(&draft.shape).unwrap_or_default(),
        statement_count: many,
        statement_index: many.and_then(|_| u32::try_from(draft.statement.saturating_add(1)).ok()),
        tags: if detail == Detail::Full {
            facts.map(|facts| facts.receipt_tags()).unwrap_or_default()
        } else {
            tags
        },
        trace: facts.and_then(|facts| facts.claims.as_deref()?.trace.as_deref()),
        verb: facts.map_or(Verb::Unparsed, |facts| facts.verb),
        writes: facts.filter(|_| detail != Detail::Bare).map(|facts| &*facts.writes).unwrap_or_default(),
    }
}

fn run(claims: &RunClaims, run_seq: u64, detail: Detail) -> Run<'_> {
    let bare = detail == Detail::Bare;
    Run {
        asset_ids: if bare { &[] } else { &claims.asset_ids },
        business_metric_refs: if bare { &[] } else { &claims.business_metric_refs },
        change_intent: claims.change_intent.as_deref().map(|intent| detail.label(intent)),
        currency: claims.currency.as_deref().map(|currency| detail.label(currency)),
        payout_ref: claims.payout_ref.as_deref().map(|reference| detail.label(reference)),
        run_id: &claims.run_id,
        run_seq,
    }
}

fn dsse(envelope: &Envelope) -> Dsse<'_> {
    Dsse {
        payload: &envelope.payload,
        payload_type: &envelope.payload_type,
        signatures: [DsseSignature { keyid: &envelope.keyid, sig: &envelope.sig }],
    }
}

/// RFC 3339 in UTC with microseconds; the part up to the second is made once a second.
#[derive(Debug, Default)]
struct Clock {
    second: u64,
    prefix: usize,
    text: String,
}

impl Clock {
    fn set(&mut self, at_us: u64) {
        let second = at_us / 1_000_000;
        if second != self.second || self.prefix == 0 {
            let time =
                i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            self.text = time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
            self.prefix = self.text.trim_end_matches('Z').len();
            self.second = second;
        }
        self.text.truncate(self.prefix);
        let _ = write!(self.text, ".{:06}Z", at_us % 1_000_000);
    }
}

/// The text, or as much of its beginning as fits and is whole.
fn clip(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

/// Evidence holds no number that JSON readers disagree on.
fn whole(number: u64) -> u64 {
    number.min(WHOLE_NUMBER_MAX)
}

const TRUNCATED: &str = "names_truncated";
const TAGS_BARE_MAX: usize = 16;
const RULES_BARE_MAX: usize = 16;
const REASON_BYTES_MAX: usize = 4_096;
