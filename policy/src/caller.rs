//! Who asks, as a policy sees it; it never checks that a claim is true.

use clyra_spec::ActorKind;

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
}
