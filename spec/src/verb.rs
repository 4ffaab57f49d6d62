//! What a statement does, in one word.

use serde::{Deserialize, Serialize};

/// The verb of one SQL statement. The order is the order of strength: where several apply, the later one names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// A query without any statement in it.
    Empty,
    /// `SHOW`.
    Show,
    /// `BEGIN`, `START TRANSACTION`, `SAVEPOINT`, `RELEASE`.
    Begin,
    /// `COMMIT`, `END`, `PREPARE TRANSACTION`, `COMMIT PREPARED`.
    Commit,
    /// `ROLLBACK`, `ABORT`, `ROLLBACK TO`, `ROLLBACK PREPARED`.
    Rollback,
    /// `LISTEN`, `UNLISTEN`.
    Listen,
    /// `NOTIFY`.
    Notify,
    /// `DISCARD`, `DEALLOCATE`, `CLOSE`.
    Discard,
    /// `FETCH`, `MOVE`.
    Fetch,
    /// `EXPLAIN` that does not run its statement.
    Explain,
    /// `SET`, `RESET`.
    Set,
    /// `SELECT`, `VALUES`, `TABLE`, `DECLARE`.
    Select,
    /// `COPY … TO STDOUT`.
    CopyOut,
    /// `LOCK`.
    Lock,
    /// `PREPARE`; the prepared statement's own verb stands beside it.
    Prepare,
    /// `EXECUTE` of a statement prepared earlier.
    Execute,
    /// `ANALYZE`, `VACUUM`, `REINDEX`, `CLUSTER`, `CHECKPOINT`, `REFRESH MATERIALIZED VIEW`.
    Maintain,
    /// `INSERT`.
    Insert,
    /// `COPY … FROM STDIN`.
    CopyIn,
    /// `UPDATE`.
    Update,
    /// `MERGE`.
    Merge,
    /// `DELETE`.
    Delete,
    /// `TRUNCATE`.
    Truncate,
    /// `CALL`, and the protocol's FunctionCall message.
    Call,
    /// `DO`.
    Do,
    /// `CREATE …`, `SELECT INTO`, `CREATE TABLE AS`.
    Create,
    /// `ALTER …`, `COMMENT`, `SECURITY LABEL`.
    Alter,
    /// `DROP …`.
    Drop,
    /// `GRANT`, `REVOKE`, `REASSIGN OWNED`, `ALTER DEFAULT PRIVILEGES`, roles.
    Grant,
    /// `COPY` from or to a file or program on the server, `LOAD`, `ALTER SYSTEM`.
    Server,
    /// Not understood.
    Unparsed,
}

impl Verb {
    /// Every verb, weakest first.
    pub const ALL: [Self; 31] = [
        Self::Empty,
        Self::Show,
        Self::Begin,
        Self::Commit,
        Self::Rollback,
        Self::Listen,
        Self::Notify,
        Self::Discard,
        Self::Fetch,
        Self::Explain,
        Self::Set,
        Self::Select,
        Self::CopyOut,
        Self::Lock,
        Self::Prepare,
        Self::Execute,
        Self::Maintain,
        Self::Insert,
        Self::CopyIn,
        Self::Update,
        Self::Merge,
        Self::Delete,
        Self::Truncate,
        Self::Call,
        Self::Do,
        Self::Create,
        Self::Alter,
        Self::Drop,
        Self::Grant,
        Self::Server,
        Self::Unparsed,
    ];

    /// The word used in policies, receipts and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Show => "show",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Listen => "listen",
            Self::Notify => "notify",
            Self::Discard => "discard",
            Self::Fetch => "fetch",
            Self::Explain => "explain",
            Self::Set => "set",
            Self::Select => "select",
            Self::CopyOut => "copy_out",
            Self::Lock => "lock",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Maintain => "maintain",
            Self::Insert => "insert",
            Self::CopyIn => "copy_in",
            Self::Update => "update",
            Self::Merge => "merge",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Call => "call",
            Self::Do => "do",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Grant => "grant",
            Self::Server => "server",
            Self::Unparsed => "unparsed",
        }
    }

    /// May change data, structure or rights. What is not understood counts as a write.
    pub fn is_write(self) -> bool {
        self >= Self::Maintain || self == Self::Notify
    }

    /// Changes structure: `create`, `alter`, `drop`, `truncate`.
    pub fn is_ddl(self) -> bool {
        matches!(self, Self::Create | Self::Alter | Self::Drop | Self::Truncate)
    }
}
