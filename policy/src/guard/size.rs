//! Guards about size: rows of an answer, joins without a condition, bytes of a message; they never count at run time.

use super::{Finding, loud};
use crate::detail::Answer;
use crate::{Facts, StatementFacts};

/// More rows than `max`, as far as the statement itself says.
pub(super) fn require_limit(max: u64, gather: bool, statement: &StatementFacts) -> Option<Finding> {
    let of = |reason, what: String| {
        let hint = format!("add LIMIT with a whole number of at most {max}");
        Some(Finding { reason, what, hint, position: Some(statement.position) })
    };
    let verb = loud(statement.verb.as_str());
    match statement.details.answer {
        Answer::Nothing => return None,
        Answer::Open(why) => return of("no_limit", format!("{verb} that {why}")),
        Answer::AtMost { rows, .. } if rows > max => {
            return of("limit_too_high", format!("{verb} of up to {rows} rows, more than {max}"));
        }
        Answer::AtMost { scalar: true, .. } => {
            if let Some((name, _)) = statement.calls().find(|(_, marks)| marks.gives_rows || !marks.harmless)
            {
                return of("no_limit", format!("{verb} whose `{name}` may give many rows"));
            }
        }
        Answer::AtMost { .. } => {}
    }
    let array = statement.details.gathers.then_some("array");
    let name = statement.calls().find(|(_, marks)| marks.gathers).map(|(name, _)| name).or(array);
    let name = name.filter(|_| !gather)?;
    Some(Finding {
        reason: "limit_passed_by",
        what: format!("`{name}`, which puts much into one row"),
        hint: "ask for the rows themselves, with a LIMIT".to_owned(),
        position: Some(statement.position),
    })
}

/// Tables joined without a condition.
pub(super) fn no_cross_join(statement: &StatementFacts) -> Option<Finding> {
    let tables = statement.details.cross.as_deref()?;
    Some(Finding {
        reason: "cross_join",
        what: format!("a join of {tables} without a condition between them"),
        hint: "join with ON or USING, or compare qualified columns of both in WHERE".to_owned(),
        position: Some(statement.position),
    })
}

/// A message longer than `max` bytes.
pub(super) fn max_statement_bytes(max: u64, facts: &Facts) -> Option<Finding> {
    let bytes = facts.statements.iter().map(|one| one.details.message_bytes).max().unwrap_or(0);
    (u64::from(bytes) > max).then(|| Finding {
        reason: "statement_too_long",
        what: format!("a message of {bytes} bytes"),
        hint: format!("send at most {max} bytes at a time, and values as parameters or by COPY"),
        position: None,
    })
}
