//! Guards about what is named: tables, columns, functions; a name that may mean a forbidden thing counts as that thing.

use super::{Finding, code, loud, session};
use crate::policy::{ColumnPattern, TablePattern, touches};
use crate::{StatementFacts, known};

/// Tables that must not be touched.
pub(super) fn deny_tables(
    patterns: &[TablePattern],
    statement: &StatementFacts,
    user: &str,
) -> Option<Finding> {
    let table = touches(patterns, statement, user).or_else(|| any_table(statement))?;
    Some(Finding {
        reason: "table_denied",
        what: format!("{} on `{table}`", loud(statement.verb.as_str())),
        hint: hint(statement, table, "leave this table out, or ask the policy's owner for it"),
        position: Some(statement.position),
    })
}

/// Tables beside which none may be touched.
pub(super) fn allow_tables(patterns: &[TablePattern], statement: &StatementFacts) -> Option<Finding> {
    let listed = |name: &str| patterns.iter().any(|pattern| pattern.covers(name));
    let names = statement.writes.iter().chain(&statement.reads).map(|name| &**name);
    let table = names
        .into_iter()
        .find(|name| !listed(name))
        .or_else(|| statement.has_tag("names_truncated").then_some("more tables than are listed"))
        .or_else(|| hidden(statement))
        .or_else(|| any_table(statement))?;
    Some(Finding {
        reason: "table_not_allowed",
        what: format!("{} on `{table}`", loud(statement.verb.as_str())),
        hint: hint(
            statement,
            table,
            "use only tables that the rule lists, each with its schema where the rule names one",
        ),
        position: Some(statement.position),
    })
}

/// Columns that must not be named, nor be among those that a `*` or a whole row stands for.
pub(super) fn deny_columns(
    patterns: &[ColumnPattern],
    statement: &StatementFacts,
    user: &str,
) -> Option<Finding> {
    let found = patterns.iter().find_map(|pattern| column_of(pattern, statement, user));
    let what = found
        .or_else(|| statement.details.columns.is_cut().then(|| "more columns than are listed".to_owned()))
        .or_else(|| {
            hidden(statement).or_else(|| any_table(statement)).map(|name| format!("a column of `{name}`"))
        })?;
    Some(Finding {
        reason: "column_denied",
        what,
        hint: "name the columns that you need and leave this one out; `*` stands for all of them".to_owned(),
        position: Some(statement.position),
    })
}

fn column_of(pattern: &ColumnPattern, statement: &StatementFacts, user: &str) -> Option<String> {
    let tables = statement.reads.iter().chain(&statement.writes);
    let touched: Vec<&str> =
        tables.map(|name| &**name).filter(|name| pattern.table.matches(name, user)).collect();
    let first = touched.first().copied()?;
    let details = &statement.details;
    let last = |name: &'_ str| name.rsplit_once('.').map_or(name, |(_, last)| last).to_owned();
    let is_it = |label: &str| {
        let mut aliased = details.aliases.iter().filter(|(alias, _)| &**alias == label).peekable();
        match aliased.peek() {
            Some(_) => aliased.any(|(_, table)| pattern.table.matches(table, user)),
            None => {
                matches!(label, "old" | "new" | "excluded") || touched.iter().any(|name| last(name) == label)
            }
        }
    };
    details.columns.iter().find_map(|name| match name.rsplit_once('.') {
        Some((table, "*")) if is_it(table) => Some(format!("every column of `{first}`")),
        Some((table, column)) if pattern.column.matches_folded(column) && is_it(table) => {
            Some(format!("column `{column}` of `{first}`"))
        }
        None if pattern.column.matches_folded(name) => Some(format!("column `{name}` of `{first}`")),
        None if is_it(name) => Some(format!("a whole row of `{first}`")),
        _ => None,
    })
}

/// Functions that must not be called.
pub(super) fn deny_functions(
    patterns: &[TablePattern],
    dangerous: bool,
    statement: &StatementFacts,
    user: &str,
) -> Option<Finding> {
    let denied = |name: &str, marks: known::Marks| {
        (dangerous && marks.dangerous) || patterns.iter().any(|pattern| pattern.matches(name, user))
    };
    let position = Some(statement.position);
    let found = statement
        .calls()
        .find_map(|(name, marks)| denied(name, marks).then_some(name))
        .or_else(|| statement.has_tag("names_truncated").then_some("more functions than are listed"))
        .or(statement.details.unknown.as_deref());
    if let Some(name) = found {
        return Some(Finding {
            reason: "function_denied",
            what: format!("calling `{name}`"),
            hint: hint(statement, name, "leave this function out, or ask the policy's owner for it"),
            position,
        });
    }
    if statement.details.keeps_code {
        return Some(code::kept(statement));
    }
    // A setting may be changed by a function as long as no guard relies on it.
    let sets = statement.functions.iter().any(|name| name.ends_with("set_config"));
    session::lock(&[], statement).filter(|_| dangerous && sets)
}

/// Functions beside which none may be called.
pub(super) fn allow_functions(
    patterns: &[TablePattern],
    harmless: bool,
    statement: &StatementFacts,
) -> Option<Finding> {
    let listed = |name: &str, marks: known::Marks| {
        (harmless && marks.harmless) || patterns.iter().any(|pattern| pattern.covers(name))
    };
    let details = &statement.details;
    let found = statement.calls().find_map(|(name, marks)| (!listed(name, marks)).then_some(name));
    let what = found
        .map(|name| format!("calling `{name}`"))
        .or_else(|| details.operators.first().map(|name| format!("the operator `{name}`")))
        .or_else(|| details.types.first().map(|name| format!("a cast to `{name}`")))
        .or_else(|| statement.has_tag("names_truncated").then(|| "more functions than are listed".to_owned()))
        .or_else(|| details.unknown.as_deref().map(|name| format!("calling `{name}`")))
        .or_else(|| (details.path_changed && found.is_some()).then(|| PATH.to_owned()));
    if what.is_none() && details.keeps_code {
        return Some(code::kept(statement));
    }
    Some(Finding {
        reason: "function_not_allowed",
        what: what?,
        hint: "call only functions that the rule lists; operators and casts of users call functions too"
            .to_owned(),
        position: Some(statement.position),
    })
}

/// What would be allowed; of what nobody knows, that is something else.
fn hint(statement: &StatementFacts, found: &str, usual: &str) -> String {
    let unknown = statement.details.unknown.as_deref() == Some(found);
    let hint = if unknown {
        "the catalog does not have this, or not what stands behind it: name what exists, with its schema, and try again \
         when the catalog is fresh"
    } else {
        usual
    };
    hint.to_owned()
}

/// What may touch any table, although none is named.
fn any_table(statement: &StatementFacts) -> Option<&str> {
    let by_text = statement.calls().find_map(|(name, marks)| marks.by_text.then_some(name));
    let statistics = || statement.reads.iter().map(|name| &**name).find(|name| shows_values(name));
    let code = || statement.details.keeps_code.then_some("a table named in code that cannot be read");
    by_text.or_else(statistics).or_else(code)
}

/// Statistics hold values of every table.
fn shows_values(name: &str) -> bool {
    known::own(name).is_some_and(|name| {
        matches!(
            name,
            "pg_stats"
                | "pg_statistic"
                | "pg_stats_ext"
                | "pg_stats_ext_exprs"
                | "pg_statistic_ext_data"
                | "pg_largeobject"
        )
    })
}

/// A name behind which something else may stand.
pub(crate) fn hidden(statement: &StatementFacts) -> Option<&str> {
    let details = &statement.details;
    let mut names = statement.writes.iter().chain(&statement.reads);
    let bare = details.path_changed && names.any(|name| !name.contains('.') && !name.starts_with("pg_"));
    bare.then_some(PATH).or(details.unknown.as_deref())
}

/// Where bare names lead is not known any more.
pub(super) const PATH: &str = "a name behind a changed search_path";
