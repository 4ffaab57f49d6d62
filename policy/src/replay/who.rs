//! Who a caller may be to a policy, as far as its receipt tells: receipts name users and tenants by fingerprints only. It
//! never takes one of several for the one.

use super::receipt::Receipt;
use crate::Policy;
use crate::policy::{CallerEntry, Glob, KindOf, Template, Unparsed, When};
use clyra_spec::{ActorKind, Auth, Mode};

/// One of those whom the caller may be.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// The user, where somebody has told it.
    pub(super) user: Option<Box<str>>,
    actor: Option<Box<str>>,
    kind: Option<ActorKind>,
    /// Nothing where it is not known.
    tenant: Option<Box<str>>,
    application: Box<str>,
    database: Box<str>,
    pub(super) mode: Mode,
    pub(super) unparsed: Unparsed,
}

/// Everybody whom the caller may be. `same` says that the policy that judged then had the same `callers`, so that what it
/// made of the caller holds.
pub(super) fn worlds(policy: &Policy, receipt: &Receipt, user: Option<&str>, same: bool) -> Vec<World> {
    let nobody = CallerEntry::default();
    let mut worlds = Vec::new();
    for entry in policy.callers.iter().chain([&nobody]) {
        let fits = fits(entry, receipt, user);
        if fits == Some(false) {
            continue;
        }
        worlds.extend(world(policy, entry, receipt, user, same));
        if fits == Some(true) {
            break;
        }
    }
    worlds
}

/// Whether the entry is about the caller; nothing where the receipt does not tell.
fn fits(entry: &CallerEntry, receipt: &Receipt, user: Option<&str>) -> Option<bool> {
    let application = receipt.caller.via.as_deref().unwrap_or_default();
    let token = match receipt.caller.auth {
        Auth::Jwt => None,
        _ => Some(false),
    };
    all([
        any(&entry.user, user),
        any(&entry.application, Some(application)),
        any(&entry.database, Some(&receipt.target.database)),
        if entry.claims.is_empty() { Some(true) } else { token },
        (entry.cert_san.is_empty() && entry.cert_cn.is_empty()).then_some(true),
    ])
}

/// The caller after the entry; nothing where the receipt shows that it was not that one.
fn world(
    policy: &Policy,
    entry: &CallerEntry,
    receipt: &Receipt,
    user: Option<&str>,
    same: bool,
) -> Option<World> {
    let proved = !entry.cert_san.is_empty() || !entry.cert_cn.is_empty();
    let filled =
        |template: &Template| template.fill(&|name| (name == "user").then_some(user?).map(Into::into)).ok();
    let kind = match &entry.kind {
        Some(KindOf::Fixed(kind)) => Some(*kind),
        Some(KindOf::Named(_)) => None,
        None => (!proved).then(ActorKind::default),
    };
    let actor = match &entry.actor {
        Some(template) => filled(template),
        None if proved => None,
        None => user.map(Into::into),
    };
    let tenant = match &entry.tenant {
        Some(template) => filled(template),
        None => (!proved).then(Box::default),
    };
    let recorded = &receipt.caller;
    let is_other = kind.is_some_and(|kind| kind != recorded.actor_kind)
        || tenant.as_ref().is_some_and(|tenant| tenant.is_empty() == recorded.tenant.is_some());
    if same && is_other {
        return None;
    }
    Some(World {
        user: user.map(Into::into),
        actor,
        kind: if same { Some(recorded.actor_kind) } else { kind },
        tenant: tenant.or_else(|| (same && recorded.tenant.is_none()).then(Box::default)),
        application: recorded.via.clone().unwrap_or_default(),
        database: receipt.target.database.clone(),
        mode: entry.mode.unwrap_or(policy.mode),
        unparsed: entry.unparsed.unwrap_or(policy.unparsed),
    })
}

impl World {
    /// Whether a rule can apply to the caller; nothing where nobody can tell.
    pub(super) fn is_selected(&self, when: &When) -> Option<bool> {
        let kind = match self.kind {
            _ if when.kind.is_empty() => Some(true),
            kind => kind.map(|kind| when.kind.contains(&kind)),
        };
        all([
            any(&when.user, self.user.as_deref()),
            any(&when.application, Some(&self.application)),
            any(&when.database, Some(&self.database)),
            any(&when.actor, self.actor.as_deref()),
            any(&when.tenant, self.tenant.as_deref()),
            kind,
        ])
    }
}

/// Whether any pattern fits a label that may not be known.
fn any(globs: &[Glob], label: Option<&str>) -> Option<bool> {
    match label {
        _ if globs.is_empty() || globs.iter().any(Glob::is_everything) => Some(true),
        Some(label) => Some(globs.iter().any(|glob| glob.matches(label))),
        None => None,
    }
}

/// All of them, where some may not be known.
fn all<const N: usize>(parts: [Option<bool>; N]) -> Option<bool> {
    if parts.contains(&Some(false)) {
        return Some(false);
    }
    parts.iter().all(Option::is_some).then_some(true)
}
