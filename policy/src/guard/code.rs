//! Guards about code in texts and about transactions; what stands in a text counts as unread.

use super::{Finding, loud};
use crate::{StatementFacts, Verbs};
use clyra_spec::Verb;

/// Code that stands in a text, to run now or later.
pub(super) fn no_dynamic_sql(statement: &StatementFacts) -> Option<Finding> {
    if statement.details.keeps_code {
        return Some(kept(statement));
    }
    let (runs, _) = statement.calls().find(|(_, marks)| marks.by_text)?;
    Some(Finding {
        reason: "dynamic_sql",
        what: format!("calling `{runs}`, which runs or reads what a text names"),
        hint: "send the statement itself, so that it can be read".to_owned(),
        position: Some(statement.position),
    })
}

/// A function whose body is a text.
pub(super) fn kept(statement: &StatementFacts) -> Finding {
    Finding {
        reason: "opaque_code",
        what: format!("{} of a function whose body is a text", loud(statement.verb.as_str())),
        hint: "write the body with BEGIN ATOMIC or RETURN, which can be read".to_owned(),
        position: Some(statement.position),
    }
}

/// Statements that begin or end transactions.
pub(super) fn no_transaction_control(statement: &StatementFacts) -> Option<Finding> {
    let control: Verbs = [Verb::Begin, Verb::Commit, Verb::Rollback].into_iter().collect();
    let verb = control.strongest_shared(statement.verbs)?;
    Some(Finding {
        reason: "transaction_control",
        what: loud(verb.as_str()),
        hint: "send the statement by itself; it is its own transaction".to_owned(),
        position: Some(statement.position),
    })
}
