//! The tenant fence as a guard: what the proof says of a statement, and the session lock beside it; it proves nothing
//! by itself.

use super::{Finding, session};
use crate::fence::{Fence, Pinned, TenantParameter};
use crate::{Binds, Caller, Moment, StatementFacts};
use clyra_spec::Verb;

/// What speaks against a statement. Without the session lock, a proof would be about other tables than the server's.
pub(super) fn tenant_fence(
    fence: &Fence,
    statement: &StatementFacts,
    caller: &Caller,
    moment: &Moment<'_>,
) -> Option<Finding> {
    // What a cursor reads was proven when it was declared.
    let fetched = statement.fetches().is_some() && statement.verb != Verb::Fetch;
    if statement.verb == Verb::Empty || fetched {
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
    if let Some(name) = &statement.details.unknown {
        return Some(Finding {
            reason: "fence_unclassified",
            what: format!("`{name}`, of which the catalog cannot tell what stands behind it"),
            hint: "name tables that exist, each with its schema, or try again when the catalog is fresh"
                .to_owned(),
            position: Some(statement.position),
        });
    }
    if statement.executes.is_none() && !reading.arguments.is_empty() {
        return Some(Finding {
            reason: "fence_statement",
            what: "EXPLAIN of a prepared statement with arguments".to_owned(),
            hint: "explain the query itself, with the tenant as a literal".to_owned(),
            position: Some(statement.position),
        });
    }
    let place = |at: u32| {
        // A body that runs by name stands in another message.
        let here = at > 0 && statement.blocks.character(reading.start) == statement.position;
        if here { statement.blocks.character(at) } else { statement.position }
    };
    match fence.prove(reading, caller.tenant.as_deref(), &caller.user) {
        Err(breach) => Some(Finding {
            reason: breach.reason,
            what: breach.what,
            hint: breach.hint,
            position: Some(place(breach.at)),
        }),
        Ok(parameters) => {
            let tenant = caller.tenant.as_deref();
            let first = parameters.iter().find(|one| !is_held(one, tenant, statement, moment))?;
            Some(Finding {
                reason: "fence_parameter",
                what: format!(
                    "`{}` fenced by ${}, which is not known to be the tenant",
                    first.table, first.number
                ),
                hint: format!(
                    "bind the caller's own tenant to ${0} as it is written in the policy, as a whole number, text, \
                     varchar or uuid; where its type is not told, write ${0}::text or the like",
                    first.number
                ),
                position: Some(statement.position),
            })
        }
    }
}

/// What speaks against a statement of a session that row-level security fences: that the session is not pinned, that
/// the statement could change the pin, or that row-level security does not look at it.
pub(super) fn pinned(
    pinned: &Pinned,
    statement: &StatementFacts,
    caller: &Caller,
    moment: &Moment<'_>,
) -> Option<Finding> {
    if statement.verb == Verb::Empty {
        return None;
    }
    let finding = |reason, what: String, hint: &str| {
        Some(Finding { reason, what, hint: hint.to_owned(), position: Some(statement.position) })
    };
    let held = |(setting, tenant): &(Box<str>, Box<str>)| {
        *setting == pinned.setting && caller.tenant.as_ref() == Some(tenant)
    };
    if moment.pinned.is_some_and(|pins| !pins.iter().any(held)) {
        let what = format!("a session that is not pinned to `{}`", pinned.setting);
        return finding("fence_unpinned", what, "connect again; the gateway pins a session as it begins");
    }
    if let Some(locked) = session::lock(&[], statement) {
        return Some(locked);
    }
    if statement.details.keeps_code {
        let what = "code that is kept for later, and could change the pin".to_owned();
        return finding("fence_statement", what, "let the owner of the tables make functions");
    }
    let truncated = statement.verbs.contains(Verb::Truncate).then(|| {
        statement.writes.iter().find(|name| pinned.tables.iter().any(|one| one.matches(name, &caller.user)))
    });
    let table = truncated.flatten()?;
    finding("fence_whole", format!("TRUNCATE of `{table}`, which no row-level security holds"), "use DELETE")
}

/// Whether a parameter is the caller's tenant, or will turn out to be before the statement runs.
fn is_held(
    parameter: &TenantParameter,
    tenant: Option<&str>,
    statement: &StatementFacts,
    moment: &Moment<'_>,
) -> bool {
    if let Some(arguments) = &statement.details.arguments {
        let place = usize::try_from(parameter.number).unwrap_or(usize::MAX).saturating_sub(1);
        let argument = arguments.get(place).and_then(Option::as_deref);
        return parameter.settled && argument.is_some() && argument == tenant;
    }
    match moment.binds {
        Binds::Unknown => false,
        Binds::Later => true,
        Binds::Are(bound) => {
            // What is prepared by text gets its values when it is run by name; with values of Bind, it runs now.
            bound.holds(parameter, tenant) || (statement.prepares.is_some() && bound.is_empty())
        }
    }
}
