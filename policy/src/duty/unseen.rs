//! Statements whose duty could not be carried out, since the server does not tell what would be needed; they are
//! refused, and nothing is counted here.

use super::{Charge, Unit};
use crate::detail::{Plan, Written};
use crate::guard::{Finding, loud};
use crate::{Facts, StatementFacts, Verbs};
use clyra_spec::Verb;

/// What speaks against a statement whose duty could not be carried out.
pub(crate) fn finding(charge: &Charge, statement: &StatementFacts) -> Option<Finding> {
    let verb = loud(statement.verb.as_str());
    let of = |reason, what, hint: &str| {
        Some(Finding { reason, what, hint: hint.to_owned(), position: Some(statement.position) })
    };
    match charge {
        Charge::RowsWritten(_) => {}
        Charge::Velocity(cap) if cap.of == Unit::RowsWritten => {}
        Charge::Cost { unexplained: false, .. } if statement.details.plan == Plan::Unseen => {
            let hint =
                "send the query itself, so that its plan can be asked for; `unexplained: allow` lets it pass";
            return of("plan_not_seen", format!("{verb}, whose plan EXPLAIN does not show"), hint);
        }
        _ => return None,
    }
    let hint = "write with a plain INSERT, UPDATE, DELETE, MERGE or COPY, whose rows the server counts";
    match statement.details.written {
        Written::Unseen(how) => of("rows_not_counted", format!("{verb}, which {how}"), hint),
        // A catalog may know that a function of the query writes.
        Written::Nothing if statement.verbs.meets(changes()) => {
            of("rows_not_counted", format!("{verb}, which writes in a function"), hint)
        }
        Written::Nothing | Written::Counted => None,
    }
}

/// What speaks against a message of several statements that ends a transaction by itself: by then, nothing could be
/// undone.
pub(crate) fn cannot_undo(charge: &Charge, facts: &Facts) -> Option<Finding> {
    if facts.statements.len() < 2 || !charge.undoes() {
        return None;
    }
    let is_about = |one: &StatementFacts| charge.is_about(one, false) || one.executes.is_some();
    facts.statements.iter().find(|one| is_about(one))?;
    let control: Verbs = [Verb::Begin, Verb::Commit, Verb::Rollback].into_iter().collect();
    let ends = facts.statements.iter().find(|one| one.verbs.meets(control))?;
    Some(Finding {
        reason: "transaction_control",
        what: format!("{} beside other statements in one message", loud(ends.verb.as_str())),
        hint: "send BEGIN, COMMIT and ROLLBACK in messages of their own".to_owned(),
        position: Some(ends.position),
    })
}

/// Verbs that write rows.
fn changes() -> Verbs {
    [Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate].into_iter().collect()
}
