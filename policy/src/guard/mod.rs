//! The guards: what each of them forbids, and how it says so; a guard never sees SQL text.

mod code;
mod names;
mod read_only;
mod session;
mod size;
mod tenant;
mod window;

pub(crate) use names::hidden;
pub(crate) use read_only::may_write;
pub(crate) use session::{is_core, is_core_name, locked};
pub(crate) use window::{Consent, DAYS, Window};

use crate::duty::{self, Charge};
use crate::fence::{Fence, Pinned};
use crate::policy::{ColumnPattern, Glob, Moment, TablePattern};
use crate::{Caller, Facts, Filter, StatementFacts, Verbs};
use clyra_spec::Verb;

/// What a rule forbids. A new guard is a variant here, a match arm below, and a key in `keys/mod.rs`.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// These verbs.
    DenyVerbs(Verbs),
    /// All verbs but these.
    AllowVerbs(Verbs),
    /// Changes of all rows of a table.
    RequireWhere { verbs: Verbs, tables: Box<[TablePattern]> },
    /// Reading or writing these tables.
    DenyTables(Box<[TablePattern]>),
    /// Reading or writing any table but these.
    AllowTables(Box<[TablePattern]>),
    /// Naming these columns, or all of their table.
    DenyColumns(Box<[ColumnPattern]>),
    /// Calling these functions, and those that reach beyond the tables of the database.
    DenyFunctions { names: Box<[TablePattern]>, dangerous: bool },
    /// Calling any function but these, and the server's own that change nothing.
    AllowFunctions { names: Box<[TablePattern]>, harmless: bool },
    /// Whatever may do more than read; these functions are trusted.
    ReadOnly { functions: Box<[TablePattern]> },
    /// Beginning and ending transactions.
    NoTransactionControl,
    /// Code that stands in a text.
    NoDynamicSql,
    /// Answers of more rows; `gather` lets pass what puts many rows into one.
    RequireLimit { max: u64, gather: bool },
    /// Joins without a condition.
    NoCrossJoin,
    /// Longer messages.
    MaxStatementBytes(u64),
    /// Changes at other times.
    ChangeWindow(Box<Window>),
    /// Changes by these verbs for which no reason is claimed.
    RequireIntent(Verbs),
    /// Changes that nobody else answers for.
    RequireApproval(Consent),
    /// Rows of other tenants than the caller's.
    TenantFence(Box<Fence>),
    /// The same, by the server's row-level security and a setting that the session is pinned to.
    Pinned(Box<Pinned>),
    /// More than one statement in a message.
    SingleStatement,
    /// More than this at run time, which the gateway must see to.
    Charge(Charge),
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
    pub(crate) fn statement(
        &self,
        statement: &StatementFacts,
        caller: &Caller,
        moment: &Moment<'_>,
    ) -> Option<Finding> {
        let user = &*caller.user;
        match self {
            Self::SingleStatement | Self::MaxStatementBytes(_) => None,
            Self::ChangeWindow(window) => window::change_window(window, statement, moment),
            Self::RequireIntent(verbs) => window::require_intent(*verbs, statement, moment),
            Self::Charge(charge) => duty::finding(charge, statement),
            Self::RequireApproval(consent) => {
                window::require_approval(consent, statement, caller, moment, false)
            }
            _ if statement.is_opaque() => Some(opaque(statement)),
            Self::DenyVerbs(verbs) => deny_verbs(*verbs, statement),
            Self::RequireWhere { verbs, tables } => require_where(*verbs, tables, statement, user),
            Self::AllowVerbs(verbs) => allow_verbs(*verbs, statement),
            Self::DenyTables(patterns) => names::deny_tables(patterns, statement, user),
            Self::AllowTables(patterns) => names::allow_tables(patterns, statement),
            Self::DenyColumns(patterns) => names::deny_columns(patterns, statement, user),
            Self::DenyFunctions { names, dangerous } => {
                names::deny_functions(names, *dangerous, statement, user)
            }
            Self::AllowFunctions { names, harmless } => names::allow_functions(names, *harmless, statement),
            Self::ReadOnly { functions } => read_only::read_only(functions, statement),
            Self::NoTransactionControl => code::no_transaction_control(statement),
            Self::NoDynamicSql => code::no_dynamic_sql(statement),
            Self::RequireLimit { max, gather } => size::require_limit(*max, *gather, statement),
            Self::NoCrossJoin => size::no_cross_join(statement),
            Self::SessionLock { allow } => session::lock(allow, statement),
            Self::TenantFence(fence) => tenant::tenant_fence(fence, statement, caller, moment),
            Self::Pinned(pinned) => tenant::pinned(pinned, statement, caller, moment),
        }
    }

    /// What the gateway must do for it when a message passes.
    pub(crate) fn charge(&self) -> Option<&Charge> {
        match self {
            Self::Charge(charge) => Some(charge),
            _ => None,
        }
    }

    /// Whether its verdict depends on what stands behind a name.
    pub(crate) fn is_about_names(&self) -> bool {
        match self {
            Self::DenyVerbs(_)
            | Self::AllowVerbs(_)
            | Self::RequireWhere { .. }
            | Self::DenyTables(_)
            | Self::AllowTables(_)
            | Self::DenyColumns(_)
            | Self::DenyFunctions { .. }
            | Self::AllowFunctions { .. }
            | Self::ReadOnly { .. }
            | Self::TenantFence(_) => true,
            Self::NoTransactionControl
            | Self::NoDynamicSql
            | Self::RequireLimit { .. }
            | Self::NoCrossJoin
            | Self::MaxStatementBytes(_)
            | Self::ChangeWindow(_)
            | Self::RequireIntent(_)
            | Self::RequireApproval(_)
            | Self::Pinned(_)
            | Self::SingleStatement
            | Self::Charge(_)
            | Self::SessionLock { .. } => false,
        }
    }

    /// The consent that it asks for.
    pub(crate) fn consent(&self) -> Option<&Consent> {
        match self {
            Self::RequireApproval(consent) => Some(consent),
            _ => None,
        }
    }

    /// Looks at a statement that runs by its name, so that its text is that of another message.
    pub(crate) fn body(
        &self,
        statement: &StatementFacts,
        caller: &Caller,
        moment: &Moment<'_>,
    ) -> Option<Finding> {
        match self {
            Self::RequireApproval(consent) => {
                window::require_approval(consent, statement, caller, moment, true)
            }
            _ => self.statement(statement, caller, moment),
        }
    }

    /// Looks at the settings with which a session begins.
    pub(crate) fn begins(&self, begun: &StatementFacts) -> Option<Finding> {
        match self {
            Self::SessionLock { allow } => session::lock(allow, begun),
            Self::ReadOnly { .. } | Self::TenantFence(_) | Self::Pinned(_) => session::lock(&[], begun),
            _ => None,
        }
    }

    /// What the session is pinned to, if it is a fence of that style.
    pub(crate) fn pinned(&self) -> Option<&Pinned> {
        match self {
            Self::Pinned(pinned) => Some(pinned),
            _ => None,
        }
    }

    /// The tenant fence, if it is one.
    pub(crate) fn fence(&self) -> Option<&Fence> {
        match self {
            Self::TenantFence(fence) => Some(fence),
            _ => None,
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
            Self::MaxStatementBytes(max) => size::max_statement_bytes(*max, facts),
            Self::Charge(charge) => duty::cannot_undo(charge, facts),
            _ => None,
        }
    }
}

impl StatementFacts {
    /// Its own text, where it is at hand.
    pub fn text(&self) -> Option<&str> {
        let (start, length) = (usize::try_from(self.span.0).ok()?, usize::try_from(self.span.1).ok()?);
        self.blocks.text()?.get(start..start.checked_add(length)?)
    }

    /// The cursor that it declares, and whether that outlives its transaction.
    pub fn declares(&self) -> Option<(&str, bool)> {
        self.details.declares.as_ref().map(|(name, hold)| (&**name, *hold))
    }

    /// The cursor that it reads from or moves.
    pub fn fetches(&self) -> Option<&str> {
        self.details.fetches.as_deref()
    }

    /// The cursor that it closes; `Some(None)` for all of them.
    pub fn closes(&self) -> Option<Option<&str>> {
        self.details.closes.as_ref().map(Option::as_deref)
    }

    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| &**one == tag)
    }

    /// The arguments with which it runs a prepared statement, where they are literals.
    pub(crate) fn arguments(&self) -> &[Option<Box<str>>] {
        let reading = self.executes.is_some().then(|| self.blocks.reading()).flatten();
        reading.map_or(&[], |reading| &reading.arguments)
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

fn allow_verbs(allowed: Verbs, statement: &StatementFacts) -> Option<Finding> {
    // What is prepared or run by name is judged by its body.
    let mut passing: Verbs = [Verb::Empty, Verb::Prepare, Verb::Execute].into_iter().collect();
    passing.extend(allowed);
    let verb = loud(statement.verbs.strongest_beyond(passing)?.as_str());
    let listed: Vec<&str> =
        Verb::ALL.into_iter().filter(|verb| allowed.contains(*verb)).map(Verb::as_str).collect();
    Some(Finding {
        reason: "verb_not_allowed",
        what: verb,
        hint: format!("use only: {}", listed.join(", ")),
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
