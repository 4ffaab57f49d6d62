//! The closed sets of evidence, one enum each.

use serde::{Deserialize, Serialize};

/// What the gate says of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The action may pass.
    Allow,
    /// A rule forbids the action.
    Deny,
    /// The answer of an earlier, equal action is given again.
    Replay,
    /// A cap is spent.
    Throttle,
    /// The kill switch is on.
    Kill,
}

impl Verdict {
    /// The word used in receipts and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Replay => "replay",
            Self::Throttle => "throttle",
            Self::Kill => "kill",
        }
    }
}

/// Whether a verdict is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Verdicts are recorded, nothing is refused.
    #[default]
    Shadow,
    /// Verdicts are carried out.
    Enforce,
}

impl Mode {
    /// The word used in policies and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Enforce => "enforce",
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A human being.
    Person,
    /// A program that people run on a schedule.
    #[default]
    Service,
    /// A program that decides for itself what to do.
    Agent,
}

impl ActorKind {
    /// The word used in policies and receipts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }
}

/// How the caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// The server asked for nothing (`trust`).
    None,
    /// A password in clear or MD5-hashed.
    Password,
    /// SCRAM-SHA-256.
    Scram,
    /// A client certificate.
    Mtls,
    /// A signed token.
    Jwt,
    /// A keyed signature over the request.
    Hmac,
}

/// Which part of an action's story a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Written before the action was sent on; an `outcome` follows.
    Intent,
    /// What became of an earlier `intent`.
    Outcome,
    /// Decision and outcome in one.
    Whole,
}

/// What became of an action that was sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It completed.
    Ok,
    /// The server refused or failed it.
    Error,
    /// It was cancelled.
    Cancelled,
    /// It never ran, since something before it failed.
    Skipped,
    /// The connection ended before the server answered.
    Unknown,
}

/// How the action stands to earlier ones under its idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Nothing was asked for under it before.
    First,
    /// The same was done before, and is answered as it was then.
    Replayed,
    /// The same was done before, and how it was answered is not kept.
    Applied,
    /// The same is being done.
    InFlight,
    /// Something else was asked for under it before.
    Mismatch,
    /// The same was begun before, and nobody knows how it ended.
    Unknown,
}

/// The door through which an action came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// PostgreSQL wire protocol 3.
    Postgres,
}
