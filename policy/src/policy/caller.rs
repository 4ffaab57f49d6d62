//! Who asks, as a policy sees it; it never checks that a claim is true.

use super::pattern::Glob;
use clyra_spec::{ActorKind, Mode};
use std::sync::Arc;

/// What a caller said, and proved, when it came in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The user that the server authenticated.
    pub user: &'a str,
    /// The database asked for.
    pub database: &'a str,
    /// `application_name`, a claim.
    pub application: &'a str,
    /// The tenant, where something before the policy knows it.
    pub tenant: Option<&'a str>,
}

/// A login after the `callers:` section of a policy.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who acts; the user name unless the policy names somebody.
    pub actor: Box<str>,
    /// Person, service or agent.
    pub kind: ActorKind,
    /// For whom.
    pub tenant: Option<Box<str>>,
    pub(crate) user: Box<str>,
    pub(crate) database: Box<str>,
    pub(crate) application: Box<str>,
    /// The tenant of the login itself, for a judgement under another policy.
    pub(crate) login_tenant: Option<Box<str>>,
    pub(crate) mode: Option<Mode>,
    pub(crate) unparsed: Option<Unparsed>,
    /// Values that a tenant fence relies on are checked at Bind.
    pub(crate) checks_binds: bool,
    /// Places of the rules that can apply, and the digest of the policy in which they have these places.
    pub(crate) rules: Box<[usize]>,
    pub(crate) digest: Arc<str>,
}

impl Caller {
    /// The same caller, at a gate that checks [`crate::Policy::tenant_parameters`] at every Bind.
    #[must_use]
    pub fn checking_binds(self) -> Self {
        Self { checks_binds: true, ..self }
    }

    /// What the caller came in with.
    pub(crate) fn login(&self) -> Login<'_> {
        Login {
            user: &self.user,
            database: &self.database,
            application: &self.application,
            tenant: self.login_tenant.as_deref(),
        }
    }
}

/// What becomes of statements that are not understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unparsed {
    /// They are refused.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

/// One entry of `callers:`.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerEntry {
    pub(crate) user: Box<[Glob]>,
    pub(crate) application: Box<[Glob]>,
    pub(crate) database: Box<[Glob]>,
    pub(crate) actor: Option<Box<str>>,
    pub(crate) kind: Option<ActorKind>,
    pub(crate) tenant: Option<Box<str>>,
    pub(crate) mode: Option<Mode>,
    pub(crate) unparsed: Option<Unparsed>,
}

impl CallerEntry {
    /// Whether the entry is about this login; every part that is given must match.
    pub(crate) fn matches(&self, login: &Login<'_>) -> bool {
        let any =
            |globs: &[Glob], label: &str| globs.is_empty() || globs.iter().any(|one| one.matches(label));
        any(&self.user, login.user)
            && any(&self.application, login.application)
            && any(&self.database, login.database)
    }
}
