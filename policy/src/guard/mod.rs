//! The guards: what each of them forbids, and how it says so; a guard never sees SQL text.

mod session;

pub(crate) use session::{is_core, is_core_name};

use crate::policy::{Glob, TablePattern, touches};
use crate::{Facts, Filter, StatementFacts, Verbs};

/// What a rule forbids. A new guard is a variant here, a match arm below, and a key in `file/rules.rs`.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// These verbs.
    DenyVerbs(Verbs),
    /// Changes of all rows of a table.
    RequireWhere { verbs: Verbs, tables: Box<[TablePattern]> },
    /// Reading or writing these tables.
    DenyTables(Box<[TablePattern]>),
    /// More than one statement in a message.
    SingleStatement,
    /// Changes of settings that other guards, or the server's own, rely on.
    SessionLock { allow: Box<[Glob]> },
}

/// What a guard has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Stable reason code.
    pub(crate) reason: &'static str,
    /// What is refused, as the end of a sentence.
    pub(crate) what: String,
    /// What would be allowed.
    pub(crate) hint: String,
    /// Where, in characters of the message from 1.
    pub(crate) position: Option<u32>,
}

impl Guard {
    /// Looks at one statement.
    pub(crate) fn statement(&self, statement: &StatementFacts, user: &str) -> Option<Finding> {
        match self {
            Self::SingleStatement => None,
            _ if statement.is_opaque() => Some(opaque(statement)),
            Self::DenyVerbs(verbs) => deny_verbs(*verbs, statement),
            Self::RequireWhere { verbs, tables } => require_where(*verbs, tables, statement, user),
            Self::DenyTables(patterns) => touches(patterns, statement, user).map(|table| Finding {
                reason: "table_denied",
                what: format!("{} on `{table}`", loud(statement.verb.as_str())),
                hint: "leave this table out, or ask the policy's owner for it".to_owned(),
                position: Some(statement.position),
            }),
            Self::SessionLock { allow } => session::lock(allow, statement),
        }
    }

    /// Looks at a whole message.
    pub(crate) fn message(&self, facts: &Facts) -> Option<Finding> {
        match self {
            Self::SingleStatement => {
                let second = facts.statements.get(1)?;
                Some(Finding {
                    reason: "multi_statement",
                    what: format!("{} statements in one message", facts.statements.len()),
                    hint: "send each statement in a message of its own".to_owned(),
                    position: Some(second.position),
                })
            }
            _ => None,
        }
    }
}

impl StatementFacts {
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| &**one == tag)
    }

    /// Runs code that stands in the statement as a text, so that its facts do not tell what it does.
    pub(crate) fn is_opaque(&self) -> bool {
        self.has_tag("dynamic_sql")
    }
}

fn opaque(statement: &StatementFacts) -> Finding {
    Finding {
        reason: "opaque_code",
        what: format!("{}, whose code cannot be read", loud(statement.verb.as_str())),
        hint: "send the statements of the block by themselves".to_owned(),
        position: Some(statement.position),
    }
}

fn deny_verbs(denied: Verbs, statement: &StatementFacts) -> Option<Finding> {
    let verb = denied.strongest_shared(statement.verbs)?;
    let table = statement.writes.first().or_else(|| statement.reads.first());
    let verb = loud(verb.as_str());
    Some(Finding {
        reason: "verb_denied",
        what: table.map_or_else(|| verb.clone(), |table| format!("{verb} of `{table}`")),
        hint: "use a verb that the rule does not list".to_owned(),
        position: Some(statement.position),
    })
}

fn require_where(
    verbs: Verbs,
    tables: &[TablePattern],
    statement: &StatementFacts,
    user: &str,
) -> Option<Finding> {
    let target = statement.targets.iter().find(|target| {
        verbs.contains(target.verb)
            && !target.filter.restricts()
            && tables.iter().any(|pattern| pattern.matches(&target.table, user))
    })?;
    let (verb, table) = (loud(target.verb.as_str()), &target.table);
    let (reason, lack) = match target.filter {
        Filter::Everything => ("where_chooses_nothing", "with a WHERE that leaves no row out"),
        Filter::None | Filter::Rows => ("no_where", "without WHERE"),
    };
    Some(Finding {
        reason,
        what: format!("{verb} of `{table}` {lack}"),
        hint: format!("add a WHERE that compares a column of `{table}`"),
        position: Some(statement.position),
    })
}

/// A verb as SQL writes it.
pub(crate) fn loud(word: &str) -> String {
    word.to_ascii_uppercase().replace('_', " ")
}
