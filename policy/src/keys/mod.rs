//! The keys of guards: reads the guard of a rule; it never judges.

mod approval;
mod duties;
mod fence;
mod kill;
mod window;

pub(crate) use approval::{approvers, with_approvers};
pub(crate) use kill::{on_denials, operators};

use crate::Verbs;
use crate::file::fields::{Fault, Fields, label, list, list_of, number, only_true, word};
use crate::file::rules::{tables, verbs};
use crate::file::yaml::{Spot, Yaml};
use crate::guard::{Guard, is_core_name};
use crate::policy::{ColumnPattern, Glob, TablePattern};
use approval::require_approval;
use clyra_spec::{Verb, limits::STATEMENT_BYTES_MAX};
use duties::charge;
use fence::fence;
use window::{changes, window};

/// Keys of guards: exactly one of them stands in a rule.
pub(crate) const GUARDS: [&str; 25] = [
    "deny_verbs",
    "allow_verbs",
    "require_where",
    "deny_tables",
    "allow_tables",
    "deny_columns",
    "deny_functions",
    "allow_functions",
    "read_only",
    "single_statement",
    "no_transaction_control",
    "no_dynamic_sql",
    "session_lock",
    "require_limit",
    "no_cross_join",
    "max_statement_bytes",
    "change_window",
    "require_intent",
    "require_approval",
    "tenant_fence",
    "max_rows_written",
    "max_rows_returned",
    "max_cost",
    "velocity",
    "idempotency",
];

/// Reads the one guard of a rule.
pub(crate) fn guard(value: &Spot<Yaml>, fields: &Fields<'_>) -> Result<Guard, Fault> {
    let mut keys = fields.keys().filter(|key| GUARDS.contains(&key.value.as_str()));
    let Some(key) = keys.next() else {
        return Err(Fault::at(value, format!("a rule without a guard; give one of: {}", GUARDS.join(", "))));
    };
    if let Some(second) = keys.next() {
        let message = format!("a second guard `{}` beside `{}`; give each a rule", second.value, key.value);
        return Err(Fault::at(second, message));
    }
    fields.required(&key.value, |value| match key.value.as_str() {
        "deny_verbs" => verbs(value).map(Guard::DenyVerbs),
        "allow_verbs" => verbs(value).map(Guard::AllowVerbs),
        "require_where" => require_where(value),
        "deny_tables" => tables(value).map(Guard::DenyTables),
        "allow_tables" => tables(value).map(Guard::AllowTables),
        "deny_columns" => columns(value).map(Guard::DenyColumns),
        "deny_functions" => {
            let (names, dangerous) = functions(value, "dangerous")?;
            Ok(Guard::DenyFunctions { names, dangerous })
        }
        "allow_functions" => {
            let (names, harmless) = functions(value, "harmless")?;
            Ok(Guard::AllowFunctions { names, harmless })
        }
        "read_only" => read_only(value),
        "no_transaction_control" => only_true(value).map(|()| Guard::NoTransactionControl),
        "no_dynamic_sql" => only_true(value).map(|()| Guard::NoDynamicSql),
        "require_limit" => require_limit(value),
        "no_cross_join" => only_true(value).map(|()| Guard::NoCrossJoin),
        "max_statement_bytes" => number(value, STATEMENT_BYTES_MAX as u64).map(Guard::MaxStatementBytes),
        "change_window" => window(value).map(|window| Guard::ChangeWindow(Box::new(window))),
        "require_intent" => require_intent(value),
        "require_approval" => require_approval(value).map(Guard::RequireApproval),
        "tenant_fence" => fence(value),
        "max_rows_written" | "max_rows_returned" | "max_cost" | "velocity" | "idempotency" => {
            charge(&key.value, value)
        }
        "single_statement" => only_true(value).map(|()| Guard::SingleStatement),
        _ => session_lock(value),
    })
}

fn columns(value: &Spot<Yaml>) -> Result<Box<[ColumnPattern]>, Fault> {
    list_of(value, |one| {
        let text = label(one)?;
        ColumnPattern::parse(&text).ok_or_else(|| {
            let allowed = "column, table.column, schema.table.column, with `*`";
            Fault::at(one, format!("`{text}` is no column pattern; allowed: {allowed}"))
        })
    })
}

/// Names of functions, and whether a built-in set of them counts as well.
fn functions(value: &Spot<Yaml>, set: &str) -> Result<(Box<[TablePattern]>, bool), Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return names(value).map(|names| (names, false));
    }
    let fields = Fields::new(value, &["names", set])?;
    let listed = fields.optional("names", names)?;
    let built_in = fields.optional(set, only_true)?.is_some();
    if listed.is_none() && !built_in {
        return Err(Fault::at(value, format!("an empty map; give at least one of: names, {set}")));
    }
    Ok((listed.unwrap_or_default(), built_in))
}

fn names(value: &Spot<Yaml>) -> Result<Box<[TablePattern]>, Fault> {
    list_of(value, |one| {
        let text = label(one)?;
        TablePattern::parse(&text).ok_or_else(|| {
            Fault::at(
                one,
                format!("`{text}` is no function pattern; allowed: function, schema.function, with `*`"),
            )
        })
    })
}

fn read_only(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return only_true(value).map(|()| Guard::ReadOnly { functions: Box::default() });
    }
    let functions = Fields::new(value, &["functions"])?.required("functions", names)?;
    Ok(Guard::ReadOnly { functions })
}

fn require_limit(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    let most = clyra_spec::limits::WHOLE_NUMBER_MAX;
    if !matches!(value.value, Yaml::Map(_)) {
        return number(value, most).map(|max| Guard::RequireLimit { max, gather: false });
    }
    let fields = Fields::new(value, &["max", "gather"])?;
    let words = [("allow", true), ("deny", false)];
    let gather = fields.optional("gather", |value| word(value, "answer", &words))?.unwrap_or(false);
    Ok(Guard::RequireLimit { max: fields.required("max", |value| number(value, most))?, gather })
}

fn require_intent(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return only_true(value).map(|()| Guard::RequireIntent(changes()));
    }
    Fields::new(value, &["verbs"])?.required("verbs", verbs).map(Guard::RequireIntent)
}

fn require_where(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    let every_verb = || WITH_ROWS.into_iter().collect::<Verbs>();
    let every_table = || TablePattern::parse("*").into_iter().collect::<Box<[_]>>();
    if !matches!(value.value, Yaml::Map(_)) {
        only_true(value)?;
        return Ok(Guard::RequireWhere { verbs: every_verb(), tables: every_table() });
    }
    let fields = Fields::new(value, &["verbs", "tables"])?;
    let words = WITH_ROWS.map(|verb| (verb.as_str(), verb));
    let chosen = fields.optional("verbs", |value| {
        list_of(value, |one| word(one, "verb", &words)).map(|verbs| verbs.into_iter().collect::<Verbs>())
    })?;
    let tables = fields.optional("tables", tables)?;
    Ok(Guard::RequireWhere {
        verbs: chosen.unwrap_or_else(every_verb),
        tables: tables.unwrap_or_else(every_table),
    })
}

fn session_lock(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return only_true(value).map(|()| Guard::SessionLock { allow: Box::default() });
    }
    let fields = Fields::new(value, &["allow"])?;
    let allow = fields.required("allow", |value| {
        list(value)?
            .iter()
            .map(|one| match label(one)?.to_ascii_lowercase() {
                name if is_core_name(&name) => {
                    Err(Fault::at(one, format!("setting `{name}` cannot be let go; other guards rely on it")))
                }
                name => Ok(Glob::new(&name)),
            })
            .collect()
    })?;
    Ok(Guard::SessionLock { allow })
}

/// Verbs that change rows that are there already.
const WITH_ROWS: [Verb; 4] = [Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate];
