//! The tenant fence as a guard: what the proof says of a statement, and the session lock beside it; it proves nothing
//! by itself.

use super::{Finding, session};
use crate::fence::Fence;
use crate::{Caller, StatementFacts};
use clyra_spec::Verb;

/// What speaks against a statement. Without the session lock, a proof would be about other tables than the server's.
pub(super) fn tenant_fence(fence: &Fence, statement: &StatementFacts, caller: &Caller) -> Option<Finding> {
    if statement.verb == Verb::Empty {
        return None;
    }
    let Some(reading) = statement.blocks.reading() else {
        return Some(Finding {
            reason: "fence_statement",
            what: "a statement whose rows cannot be told".to_owned(),
            hint: "send a query, INSERT, UPDATE, DELETE or MERGE whose rows the fence can tell".to_owned(),
            position: Some(statement.position),
        });
    };
    if let Some(locked) = session::lock(&[], statement) {
        return Some(locked);
    }
    // A body that runs by name stands in another message.
    let here = statement.blocks.character(reading.start) == statement.position;
    let place = |at: u32| if here && at > 0 { statement.blocks.character(at) } else { statement.position };
    match fence.prove(reading, caller.tenant.as_deref(), &caller.user) {
        Err(breach) => Some(Finding {
            reason: breach.reason,
            what: breach.what,
            hint: breach.hint,
            position: Some(place(breach.at)),
        }),
        Ok(parameters) => {
            let first = parameters.first().filter(|_| !caller.checks_binds)?;
            Some(Finding {
                reason: "fence_parameter",
                what: format!("`{}` fenced by ${}, whose value is not known here", first.table, first.number),
                hint:
                    "write the caller's own tenant as a literal; values that come at Bind are not checked yet"
                        .to_owned(),
                position: Some(statement.position),
            })
        }
    }
}
