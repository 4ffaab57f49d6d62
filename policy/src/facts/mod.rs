//! What a message does, read with PostgreSQL's own grammar; it never judges and never keeps the text.

mod memo;

pub use memo::FactsMemo;

use clyra_spec::Verb;

/// What one message of a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its statements, in order; one of verb `Empty` or `Unparsed` when there is nothing else to say.
    pub statements: Box<[StatementFacts]>,
    /// Why it was not understood.
    pub problem: Option<Problem>,
}

/// Why a message was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong with it.
    pub message: String,
    /// Where, in characters from 1.
    pub position: Option<u32>,
    /// The server would refuse it as well: it is no SQL.
    pub syntax: bool,
}

/// What one statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementFacts {
    /// The strongest verb in it.
    pub verb: Verb,
    /// Tables read, `schema.table` or `table`, folded as the server folds them.
    pub reads: Box<[Box<str>]>,
    /// Tables written.
    pub writes: Box<[Box<str>]>,
    /// Functions called.
    pub functions: Box<[Box<str>]>,
    /// What stands out.
    pub tags: Box<[Box<str>]>,
    /// Fingerprint without comments, literals and white space; for correlation only, never a memo key.
    pub shape: [u8; 32],
    /// Byte offset and length in the message.
    pub span: (u32, u32),
    /// Name of the statement that it prepares.
    pub prepares: Option<Box<str>>,
    /// Name of the prepared statement that it runs.
    pub executes: Option<Box<str>>,
    /// Name of the prepared statement that it forgets; `Some(None)` for all of them.
    pub deallocates: Option<Option<Box<str>>>,
}

impl Facts {
    /// The facts of a message in PostgreSQL's SQL. Bytes that are not UTF-8 are not understood.
    pub fn of_postgres(sql: &[u8]) -> Self {
        let _ = sql;
        Self::not_understood("nothing is understood yet")
    }

    /// The facts of the protocol's FunctionCall message.
    pub fn of_function_call(oid: u32) -> Self {
        let _ = oid;
        Self::not_understood("nothing is understood yet")
    }

    fn not_understood(message: &str) -> Self {
        Self {
            statements: Box::new([StatementFacts {
                verb: Verb::Unparsed,
                reads: Box::default(),
                writes: Box::default(),
                functions: Box::default(),
                tags: Box::default(),
                shape: [0; 32],
                span: (0, 0),
                prepares: None,
                executes: None,
                deallocates: None,
            }]),
            problem: Some(Problem { message: message.to_owned(), position: None, syntax: false }),
        }
    }
}
