//! A rule: to whom and to which statements it applies, and the guard that it sets; it never judges itself.

use super::pattern::{Glob, TablePattern};
use super::{Breaker, Caller, Evidence};
use crate::guard::{Guard, hidden};
use crate::{StatementFacts, Verbs};
use clyra_spec::{ActorKind, Mode};

/// One rule of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: Box<str>,
    pub(crate) mode: Option<Mode>,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) when: When,
    /// When it raises the kill switch by itself.
    pub(crate) breaker: Option<Breaker>,
    pub(crate) guard: Guard,
}

impl Rule {
    /// Whether its verdict depends on what stands behind a name.
    pub(crate) fn is_about_names(&self) -> bool {
        !self.when.tables.is_empty() || self.guard.is_about_names()
    }
}

/// What a rule's `when` selects; an empty part selects all.
#[derive(Clone, Debug, Default)]
pub(crate) struct When {
    pub(crate) user: Box<[Glob]>,
    pub(crate) application: Box<[Glob]>,
    pub(crate) database: Box<[Glob]>,
    pub(crate) actor: Box<[Glob]>,
    pub(crate) tenant: Box<[Glob]>,
    pub(crate) kind: Box<[ActorKind]>,
    pub(crate) verbs: Option<Verbs>,
    pub(crate) tables: Box<[TablePattern]>,
}

impl When {
    /// Whether the rule can apply to this caller at all.
    pub(crate) fn selects_caller(&self, caller: &Caller) -> bool {
        let any =
            |globs: &[Glob], label: &str| globs.is_empty() || globs.iter().any(|one| one.matches(label));
        any(&self.user, &caller.user)
            && any(&self.application, &caller.application)
            && any(&self.database, &caller.database)
            && any(&self.actor, &caller.actor)
            && any(&self.tenant, caller.tenant.as_deref().unwrap_or_default())
            && (self.kind.is_empty() || self.kind.contains(&caller.kind))
    }

    /// Whether the rule applies to this statement. Code that cannot be read might do anything.
    pub(crate) fn selects(&self, statement: &StatementFacts, user: &str) -> bool {
        if statement.is_opaque() {
            return true;
        }
        self.verbs.is_none_or(|verbs| verbs.meets(statement.verbs))
            && (self.tables.is_empty() || touches(&self.tables, statement, user).is_some())
    }
}

/// The first table of the statement that a pattern matches; when names are missing, one of them may.
pub(crate) fn touches<'s>(
    patterns: &[TablePattern],
    statement: &'s StatementFacts,
    user: &str,
) -> Option<&'s str> {
    let names = statement.writes.iter().chain(&statement.reads).map(|name| &**name);
    names
        .into_iter()
        .find(|name| patterns.iter().any(|pattern| pattern.matches(name, user)))
        .or_else(|| statement.has_tag("names_truncated").then_some("more tables than are listed"))
        .or_else(|| hidden(statement))
}
