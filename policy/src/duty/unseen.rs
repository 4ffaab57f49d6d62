//! Statements whose duty could not be carried out, since the server does not tell what would be needed; they are
//! refused, and nothing is counted here.

use super::{Charge, Unit};
use crate::detail::{Plan, Written};
use crate::guard::{Finding, loud};
use crate::{StatementFacts, Verbs};
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

/// Verbs that write rows.
fn changes() -> Verbs {
    [Verb::Insert, Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate].into_iter().collect()
}
