//! The closed sets of the kill switch: how far it is turned, for whom, for which statements, and what turned it.

use serde::{Deserialize, Serialize};

/// How far the kill switch is turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillLevel {
    /// Nothing is stopped.
    #[default]
    Observe,
    /// Writes are refused.
    BlockWrites,
    /// Every statement is refused, except `ROLLBACK`.
    BlockStatements,
    /// As before, and what runs is cancelled; open transactions are rolled back.
    CancelRunning,
    /// As before, and connections are ended; new ones are refused.
    Disconnect,
}

impl KillLevel {
    /// All of them, the mildest first.
    pub const ALL: [Self; 5] =
        [Self::Observe, Self::BlockWrites, Self::BlockStatements, Self::CancelRunning, Self::Disconnect];

    /// The level with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }

    /// The level with this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// The number used on the command line and on the wire.
    pub fn number(self) -> u32 {
        match self {
            Self::Observe => 0,
            Self::BlockWrites => 1,
            Self::BlockStatements => 2,
            Self::CancelRunning => 3,
            Self::Disconnect => 4,
        }
    }

    /// The word used in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::BlockWrites => "block_writes",
            Self::BlockStatements => "block_statements",
            Self::CancelRunning => "cancel_running",
            Self::Disconnect => "disconnect",
        }
    }
}

/// Whom a kill covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillScope {
    /// Everybody.
    #[default]
    Global,
    /// Who uses this database.
    Source,
    /// This tenant.
    Tenant,
    /// This actor.
    Actor,
    /// What belongs to this run.
    Run,
    /// What this rule is about.
    Rule,
    /// What the policy of this name judges.
    Policy,
    /// What goes to this server, `host:port`.
    Route,
}

impl KillScope {
    /// All of them, the widest first.
    pub const ALL: [Self; 8] = [
        Self::Global,
        Self::Route,
        Self::Policy,
        Self::Source,
        Self::Tenant,
        Self::Actor,
        Self::Run,
        Self::Rule,
    ];

    /// The scope of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    /// The word used in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Source => "source",
            Self::Tenant => "tenant",
            Self::Actor => "actor",
            Self::Run => "run",
            Self::Rule => "rule",
            Self::Policy => "policy",
            Self::Route => "route",
        }
    }

    /// Its name may be that of a person or a customer: entries hold a keyed fingerprint of it.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::Tenant | Self::Actor)
    }
}

/// Which statements a kill covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillClass {
    /// All of them.
    #[default]
    All,
    /// Those that write, definitions among them.
    Writes,
    /// Those that change definitions.
    Ddl,
}

impl KillClass {
    /// The class of this name; the empty word stands for all.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "" | "all" => Some(Self::All),
            "writes" => Some(Self::Writes),
            "ddl" => Some(Self::Ddl),
            _ => None,
        }
    }

    /// The word used in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Writes => "writes",
            Self::Ddl => "ddl",
        }
    }

    /// Nothing is left out.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// What turned the kill switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KillCause {
    /// Somebody, through the admin service.
    #[default]
    Asked,
    /// A file that appeared beside the gateway.
    File,
    /// A signal to the gateway's process.
    Signal,
    /// A rule that was broken too often.
    Breaker,
    /// Its time was over.
    Expired,
}

impl KillCause {
    /// The word used in entries.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::File => "file",
            Self::Signal => "signal",
            Self::Breaker => "breaker",
            Self::Expired => "expired",
        }
    }
}
