//! What reads and nothing else; whatever might write, although it looks like reading, counts as writing.

use super::{Finding, loud, names, session};
use crate::policy::TablePattern;
use crate::{Dialect, Setting, StatementFacts, Verbs, known};
use clyra_spec::Verb;

/// Anything in the statement that may do more than read.
pub(super) fn read_only(functions: &[TablePattern], statement: &StatementFacts) -> Option<Finding> {
    let (reason, what) = writes(functions, statement)?;
    Some(Finding {
        reason,
        what,
        hint: "only queries pass here, with the server's own functions that change nothing".to_owned(),
        position: Some(statement.position),
    })
}

/// Whether the statement may do more than read.
pub(crate) fn may_write(statement: &StatementFacts) -> bool {
    statement.is_opaque() || writes(&[], statement).is_some()
}

fn writes(functions: &[TablePattern], statement: &StatementFacts) -> Option<(&'static str, String)> {
    if let Some(verb) = statement.verbs.strongest_beyond(reading()) {
        return Some(("not_read_only", loud(verb.as_str())));
    }
    if statement.details.two_phase {
        return Some(("not_read_only", format!("{} in two steps", loud(statement.verb.as_str()))));
    }
    let back = |setting: &Setting| matches!(setting, Setting::All);
    if let Some(found) = session::lock(&[], statement).filter(|_| !statement.settings.iter().all(back)) {
        return Some((found.reason, found.what));
    }
    let details = &statement.details;
    let postgres = details.dialect == Dialect::Postgres;
    let vouched = |name: &str| details.vouched.iter().any(|one| one == name);
    let doubted = |name: &str| details.doubted.iter().any(|one| one == name);
    // Changes of settings have been looked at.
    let fine = |name: &str, marks: known::Marks| {
        (marks.harmless && !doubted(name))
            || (postgres && marks.of_extension && !doubted(name))
            || (postgres && known::own(name) == Some("set_config"))
            || vouched(name)
            || functions.iter().any(|pattern| pattern.covers(name))
    };
    if let Some((name, _)) = statement.calls().find(|(name, marks)| !fine(name, *marks)) {
        return Some(("function_not_read_only", format!("calling `{name}`, which may write")));
    }
    if let Some(name) = details
        .operators
        .iter()
        .find(|name| !vouched(name) && (doubted(name) || !known::is_of_extension(name)))
    {
        return Some(("function_not_read_only", format!("the operator `{name}`, whose function may write")));
    }
    if let Some(name) =
        details.types.iter().find(|name| !vouched(name) && (doubted(name) || !known::is_of_extension(name)))
    {
        return Some(("function_not_read_only", format!("a cast to `{name}`, whose function may write")));
    }
    if statement.has_tag("names_truncated") || details.operators.is_cut() || details.types.is_cut() {
        return Some(("function_not_read_only", "more names than are listed".to_owned()));
    }
    if details.path_changed && !statement.functions.is_empty() {
        return Some(("path_changed", names::PATH.to_owned()));
    }
    let unknown = details.unknown.as_deref()?;
    Some(("function_not_read_only", format!("`{unknown}`, of which the catalog cannot tell what it does")))
}

/// Verbs that read, or are about the session; what is prepared or run by name is judged by its body.
fn reading() -> Verbs {
    [
        Verb::Empty,
        Verb::Select,
        Verb::Show,
        Verb::Explain,
        Verb::Fetch,
        Verb::CopyOut,
        Verb::Begin,
        Verb::Commit,
        Verb::Rollback,
        Verb::Set,
        Verb::Discard,
        Verb::Listen,
        Verb::Prepare,
        Verb::Execute,
    ]
    .into_iter()
    .collect()
}
