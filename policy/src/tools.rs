//! The verbs behind `clyra policy`: lint, explain, eval; they never read files themselves.

use crate::{EvalError, Login, Policy, PolicyError};
use serde::Serialize;
use std::fmt;

/// Checks a policy file.
///
/// # Errors
/// The first fault of the file, with its place.
pub fn lint(yaml: &str, file: &str) -> Result<Policy, PolicyError> {
    Policy::parse(yaml, file)
}

/// Why a policy says what it says of one message.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The verdict, whether or not it is carried out.
    pub verdict: clyra_spec::Verdict,
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.verdict.as_str())
    }
}

/// Explains what `policy` says of `sql` from `login`.
pub fn explain(policy: &Policy, login: &Login<'_>, sql: &str) -> Explanation {
    let _ = (policy, login, sql);
    Explanation { verdict: clyra_spec::Verdict::Deny }
}

/// Judges one JSON line of a corpus and answers with one JSON line.
///
/// # Errors
/// When the dialect is unknown or the line is not of the expected shape.
pub fn eval_line(policy: &Policy, dialect: &str, line: &str) -> Result<String, EvalError> {
    let _ = (policy, line);
    Err(EvalError::Dialect(dialect.to_owned()))
}
