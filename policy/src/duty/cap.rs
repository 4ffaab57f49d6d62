//! A velocity cap as a policy states it: how much of what, in which time, and who shares it; nothing is counted here.

/// How much may be used in a time, over all sessions of whoever shares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cap {
    /// Who shares it.
    pub per: Per,
    /// What is counted.
    pub of: Unit,
    /// How much of it.
    pub limit: Limit,
}

/// Who shares a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// All sessions of one actor.
    Actor,
    /// All sessions for one tenant.
    Tenant,
    /// All sessions that claim one run.
    Run,
    /// All sessions of one user of the database.
    User,
    /// Everybody whom the rule is about.
    Rule,
}

/// What a cap counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Statements.
    Statements,
    /// Rows that the server says it has written.
    RowsWritten,
    /// Rows of answers.
    RowsReturned,
    /// Bytes of answers.
    BytesOut,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// An even flow: so much in each period, and so much at once after a pause.
    Rate {
        /// Units in a period.
        amount: u64,
        /// The period, microseconds.
        period_us: u64,
        /// Most at once.
        burst: u64,
    },
    /// At most so much in any window of this length, wherever it begins.
    Budget {
        /// Units in a window.
        amount: u64,
        /// The window, microseconds.
        window_us: u64,
    },
}

impl Per {
    /// Every way to share, with its word in a policy.
    pub const ALL: [(&'static str, Self); 5] = [
        ("actor", Self::Actor),
        ("tenant", Self::Tenant),
        ("run", Self::Run),
        ("user", Self::User),
        ("rule", Self::Rule),
    ];

    /// Its word in a policy.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, one)| *one == self).map_or("rule", |(word, _)| word)
    }
}

impl Unit {
    /// Every unit, with its word in a policy.
    pub const ALL: [(&'static str, Self); 4] = [
        ("statements", Self::Statements),
        ("rows_written", Self::RowsWritten),
        ("rows_returned", Self::RowsReturned),
        ("bytes_out", Self::BytesOut),
    ];

    /// Its word in a policy.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, one)| *one == self).map_or("statements", |(word, _)| word)
    }
}
