//! What is read of a receipt to judge it again; it checks no proof and keeps nothing of what it does not need.

use clyra_spec::{ActorKind, Auth, Phase, Status, Verb, Verdict};
use serde::Deserialize;

/// One receipt of the log, as far as tools need it.
#[derive(Clone, Debug, Deserialize)]
pub struct Receipt {
    /// Id of the entry.
    pub id: Box<str>,
    /// When it was decided, RFC 3339.
    pub at: Box<str>,
    /// Which part of the story.
    pub phase: Phase,
    /// For an outcome: the id of its intent.
    pub intent: Option<Box<str>>,
    /// What was asked.
    pub action: Action,
    /// Who asked.
    pub caller: Asker,
    /// What the gate said.
    pub decision: Judged,
    /// What became of it.
    pub outcome: Option<Ended>,
    /// The run that it claims.
    pub run: Option<Claimed>,
    /// Its place in its gateway's stream.
    pub stream: Place,
    /// Where it was going.
    pub target: Aim,
}

/// What was asked.
#[derive(Clone, Debug, Deserialize)]
pub struct Action {
    /// Functions called.
    #[serde(default)]
    pub functions: Box<[Box<str>]>,
    /// Tables read.
    #[serde(default)]
    pub reads: Box<[Box<str>]>,
    /// Keyed fingerprint of the statement's shape.
    pub shape: Box<str>,
    /// Statements in the message, where there are more than one.
    pub statement_count: Option<u32>,
    /// Which of them this is, from 1.
    pub statement_index: Option<u32>,
    /// What stands out.
    #[serde(default)]
    pub tags: Box<[Box<str>]>,
    /// The strongest verb.
    pub verb: Verb,
    /// Tables written.
    #[serde(default)]
    pub writes: Box<[Box<str>]>,
}

/// Who asked.
#[derive(Clone, Debug, Deserialize)]
pub struct Asker {
    /// Keyed fingerprint of the actor.
    pub actor: Box<str>,
    /// Person, service or agent.
    pub actor_kind: ActorKind,
    /// How it proved who it is.
    pub auth: Auth,
    /// Keyed fingerprint of the tenant.
    pub tenant: Option<Box<str>>,
    /// `application_name`.
    pub via: Option<Box<str>>,
}

/// What the gate said.
#[derive(Clone, Debug, Deserialize)]
pub struct Judged {
    /// Approvals that were used up.
    #[serde(default)]
    pub approvals: Box<[Box<str>]>,
    /// Whether the verdict was carried out.
    pub enforced: bool,
    /// Digest of the policy.
    pub policy: Box<str>,
    /// What each rule that spoke said.
    #[serde(default)]
    pub rules: Box<[Spoke]>,
    /// The verdict.
    pub verdict: Verdict,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Spoke {
    /// Whether its verdict was carried out.
    pub enforced: bool,
    /// The rule's id.
    pub id: Box<str>,
    /// Its reason code.
    pub reason: Box<str>,
}

/// What became of an action.
#[derive(Clone, Debug, Deserialize)]
pub struct Ended {
    /// Bytes to the caller.
    pub bytes_out: u64,
    /// Rows that the server reported.
    pub rows: Option<u64>,
    /// How it ended.
    pub status: Status,
}

/// A claimed run.
#[derive(Clone, Debug, Deserialize)]
pub struct Claimed {
    /// Why the change is made.
    pub change_intent: Option<Box<str>>,
    /// Its id.
    pub run_id: Box<str>,
}

/// A place in a stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct Place {
    /// The gateway.
    pub gateway: Box<str>,
    /// Its epoch.
    pub epoch: u64,
    /// The number.
    pub seq: u64,
}

/// Where an action was going.
#[derive(Clone, Debug, Deserialize)]
pub struct Aim {
    /// The database.
    pub database: Box<str>,
}

impl Receipt {
    /// When it was decided, microseconds since 1970-01-01 UTC.
    pub fn at_us(&self) -> Option<u64> {
        let time = self.at.parse::<jiff::Timestamp>().ok()?;
        u64::try_from(time.as_microsecond()).ok()
    }

    /// Whether the verdict refused it and was carried out.
    pub fn is_refused(&self) -> bool {
        self.decision.verdict != Verdict::Allow && self.decision.enforced
    }
}
