//! Who asks, as a policy sees it; it never checks that a claim is true.

use clyra_spec::{ActorKind, Mode};
use std::{collections::BTreeMap, sync::Arc};

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

/// What a caller has proved beside its user name. It is fixed for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Common name in its certificate's subject.
    pub common_name: Option<String>,
    /// URIs among its certificate's alternative names.
    pub uris: Vec<String>,
    /// Claims of its token, each with its values as texts.
    pub claims: BTreeMap<String, Vec<String>>,
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
    /// What it has proved, for a judgement under another policy.
    pub(crate) proof: Arc<Proof>,
    /// Why nobody can say who it is, though the policy means to.
    pub(crate) unnamed: Option<Box<str>>,
    pub(crate) mode: Option<Mode>,
    pub(crate) unparsed: Option<Unparsed>,
    /// It may open replication connections.
    pub(crate) replication: bool,
    /// A rule that can apply asks for approvals.
    pub(crate) asks_approval: bool,
    /// Places of the rules that can apply, and the digest of the policy in which they have these places.
    pub(crate) rules: Box<[usize]>,
    pub(crate) digest: Arc<str>,
}

impl Caller {
    /// Whether it may open replication connections, whose content nobody judges.
    pub fn may_replicate(&self) -> bool {
        self.replication && self.unnamed.is_none()
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
