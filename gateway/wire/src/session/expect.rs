//! What the server still owes an answer to, and how an answer ends.

use super::watch::Watch;

/// One message sent on, in the order sent.
#[derive(Debug)]
pub(super) enum Expect<P, T> {
    /// Ends at `ReadyForQuery`.
    Query { ticket: T, completions: Vec<Completion>, committed: usize, watch: Option<Box<Watch>> },
    /// Ends at `ReadyForQuery`.
    Function { ticket: T },
    /// A simple query that cannot succeed; its error is replaced. Ends at `ReadyForQuery`.
    PoisonQuery { answer: Vec<u8> },
    /// A `Parse` that cannot succeed; its error is replaced.
    PoisonParse { answer: Vec<u8> },
    /// Ends at `ParseComplete`.
    Parse { name: Box<[u8]>, prepared: P },
    /// Ends at `BindComplete`.
    Bind { portal: Box<[u8]>, prepared: Option<P> },
    /// Ends at `RowDescription` or `NoData`; with the statement whose parameters' types are wanted.
    Describe { of: Option<P> },
    /// Ends at `CloseComplete`.
    Close { statement: bool, name: Box<[u8]> },
    /// Ends at `CommandComplete`, `EmptyQueryResponse` or `PortalSuspended`.
    Execute { ticket: T, watch: Option<Box<Watch>> },
    /// The client sent copy data before it knew whether a copy runs; no answer of its own.
    CopyData,
    /// The client ended its copy data; no answer of its own.
    CopyEnd,
    /// So many `Sync` that came while a copy ran, and whether data came after them: a server reads over them, unless
    /// the copy failed before. Each ends at `ReadyForQuery` or, as the next other answer tells, has none.
    PassedOver { syncs: u32, data: bool },
    /// Ends at `ReadyForQuery`.
    Sync,
    /// A question of the gateway's own: ends at `ReadyForQuery` of its own `Sync`, else at its last `CloseComplete`.
    Own { sync: bool, closes: u8 },
    /// The server heard nothing: said to the client when its turn comes, `ReadyForQuery` behind it where `ready`.
    Said { said: Vec<u8>, ready: bool },
    /// An empty simple query in the place of one that the gateway answers. Ends at `ReadyForQuery`.
    Stand { said: Vec<u8> },
    /// What the server is told before a message that names a statement. Ends with its last answer.
    Prelude { closes: usize, parse: bool },
    /// The end of a transaction that the gateway began for a simple query. Ends at `ReadyForQuery`.
    Unwrap { ticket: T, end: End, said: Vec<u8> },
    /// A question that tells which answers have come so far. Ends at `ReadyForQuery`.
    Probe,
    /// The server has lost the thread and is about to end: it has no other answer.
    Farewell,
}

impl<P, T> Expect<P, T> {
    pub(super) fn into_ticket(self) -> Option<T> {
        match self {
            Self::Query { ticket, .. }
            | Self::Function { ticket }
            | Self::Execute { ticket, .. }
            | Self::Unwrap { ticket, .. } => Some(ticket),
            _ => None,
        }
    }

    pub(super) fn ticket(&self) -> Option<&T> {
        match self {
            Self::Query { ticket, .. }
            | Self::Function { ticket }
            | Self::Execute { ticket, .. }
            | Self::Unwrap { ticket, .. } => Some(ticket),
            _ => None,
        }
    }

    /// It has no answer of its own, where no copy runs.
    pub(super) fn is_copy(&self) -> bool {
        matches!(self, Self::CopyData | Self::CopyEnd)
    }

    /// The answer to it ends with `ReadyForQuery`, also after an error.
    pub(super) fn ends_ready(&self) -> bool {
        matches!(
            self,
            Self::Query { .. }
                | Self::Function { .. }
                | Self::PoisonQuery { .. }
                | Self::Sync
                | Self::Probe
                | Self::Stand { .. }
                | Self::Unwrap { .. }
                | Self::Own { sync: true, .. }
        )
    }

    /// The client hears of it from the gateway, whatever the server says.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Own { .. }
            | Self::Said { .. }
            | Self::Stand { .. }
            | Self::Unwrap { .. }
            | Self::Prelude { .. }
            | Self::Probe => true,
            Self::Query { watch, .. } | Self::Execute { watch, .. } => watch.is_some(),
            _ => false,
        }
    }
}

/// One statement that the server completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Rows that the server reported.
    pub rows: Option<u64>,
    /// Rows of its answer, copy data too.
    pub returned: u64,
    /// Bytes of its answer.
    pub bytes: u64,
    /// A later error of the same implicit transaction undid it.
    pub undone: bool,
}

/// How a message that was sent on ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The statements of it that completed, in order.
    pub completions: Vec<Completion>,
    /// SQLSTATE of the error that ended it.
    pub error: Option<[u8; 5]>,
    /// It never ran, since an earlier message failed.
    pub skipped: bool,
}
