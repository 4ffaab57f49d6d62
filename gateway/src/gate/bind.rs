//! What becomes of values that are bound: which of them are the caller's tenant. It keeps no value but for a plan that
//! is asked for when the portal runs.

use super::{Gate, Known, Visitor, ascii};
use crate::{duty::PlanValues, once::print_with};
use arc_swap::ArcSwapOption;
use clyra_policy::{Bound, Policy};
use clyra_wire::values;
use std::sync::{Arc, OnceLock};

impl Gate {
    /// Whether the policy in force looks at values that this visitor binds.
    pub(crate) fn looks_at_binds(&self, visitor: &mut Visitor) -> bool {
        self.refresh(visitor);
        visitor.binds_asked
    }

    /// What a portal runs: a statement with these values. Nothing while the body is needed and not whole.
    pub(crate) fn bound(
        &self,
        visitor: &Visitor,
        known: &Arc<Known>,
        body: Option<&[u8]>,
        bytes: usize,
    ) -> Option<Arc<Known>> {
        if !Policy::has_parameters(&known.facts) {
            return Some(Arc::new(known.with(Some(Bound::of("", std::iter::empty())), None)));
        }
        if body.is_none() && bytes <= BIND_BYTES_MAX {
            return None;
        }
        let types = known.types.load();
        let types = types.as_deref().map_or(&[][..], |types| types);
        let plan = visitor.force.policy.asks_plans(&visitor.caller);
        let plan = if plan { body.and_then(|body| PlanValues::of(body, types)) } else { None };
        // What is too long to be looked at, or cannot be read, holds nothing.
        let values = body.and_then(values).unwrap_or_default();
        let values = values.iter().enumerate();
        let values =
            values.map(|(at, value)| (value.binary, types.get(at).copied().unwrap_or(0), value.bytes));
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        let print = known.print.and_then(|print| print_with(&print, types, body?));
        let with = known.with(Some(Bound::of(tenant, values)), plan);
        Some(Arc::new(Known { print, ..with }))
    }
}

impl Gate {
    /// What is known of a text to which the tenant's condition was added, and the text; nothing where it stays as it is.
    /// Approvals and the shape are those of the client's own text.
    pub(crate) fn reworded(
        &self,
        visitor: &Visitor,
        known: &Known,
        sql: &[u8],
    ) -> Option<(Arc<Known>, String)> {
        if !visitor.rewrites {
            return None;
        }
        let text = std::str::from_utf8(sql).ok()?;
        let read = |text: &str| self.memo.of(text.as_bytes());
        let text = visitor.force.policy.rewrite(&visitor.caller, &known.facts, text, &read)?;
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        let known = Known {
            facts: read(&text),
            sent: Some(ascii(&self.secret.of("sent", tenant, text.as_bytes()))),
            ..known.alike()
        };
        Some((Arc::new(known), text))
    }
}

impl Known {
    fn with(&self, bound: Option<Bound>, plan: Option<PlanValues>) -> Self {
        Self { bound, plan, keeps: self.keeps.clone(), ..self.alike() }
    }

    /// The same message, before anything is known of its values and of where it runs.
    fn alike(&self) -> Self {
        Self {
            facts: Arc::clone(&self.facts),
            shapes: Arc::clone(&self.shapes),
            digest: self.digest.clone(),
            print: self.print,
            sent: self.sent,
            types: ArcSwapOption::empty(),
            bound: None,
            plan: None,
            prepared: OnceLock::new(),
            keeps: OnceLock::new(),
        }
    }
}

/// Longest `Bind` that is held in memory to be looked at.
const BIND_BYTES_MAX: usize = 4 << 20;
