//! What must hold of values that come at Bind; it never decodes more than it can compare exactly.

use crate::blocks::Name;
use crate::duty::Charge;
use crate::{Caller, Facts, Policy};

/// What is known of the values of a message's parameters.
#[derive(Clone, Copy, Debug, Default)]
pub enum Binds<'a> {
    /// Nothing: a proof that rests on one of them fails.
    #[default]
    Unknown,
    /// They come later, and the message is judged again with them before it runs.
    Later,
    /// These are bound.
    Are(&'a Bound),
}

/// Which values of one Bind are the tenant of their caller. It keeps no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    tenant: Box<str>,
    /// How many values there were.
    count: u32,
    /// Numbers of the parameters, from 1, and whether their types are known to be ones that can be compared.
    held: Box<[(u32, bool)]>,
}

impl Bound {
    /// Compares the values, in order, with a tenant: whether a value is binary, the number of its type or 0, its
    /// bytes or NULL.
    pub fn of<'v>(tenant: &str, values: impl Iterator<Item = (bool, u32, Option<&'v [u8]>)>) -> Self {
        let (mut held, mut count) = (Vec::new(), 0);
        for (number, (binary, kind, value)) in (1..).zip(values) {
            count = number;
            if is_tenant(value, binary, kind, tenant) {
                held.push((number, !matches!(kind, UNSPECIFIED | UNKNOWN)));
            }
        }
        Self { tenant: tenant.into(), count, held: held.into() }
    }

    /// Nothing was bound.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a parameter is this tenant. Where its type is not known, the statement must settle it.
    pub(crate) fn holds(&self, parameter: &TenantParameter, tenant: Option<&str>) -> bool {
        let found = self.held.iter().find(|(number, _)| *number == parameter.number);
        tenant == Some(&*self.tenant) && found.is_some_and(|(_, known)| *known || parameter.settled)
    }
}

/// A parameter that a proof rests on: its value must be the caller's tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantParameter {
    /// Its number, from 1.
    pub number: u32,
    /// The table that it fences.
    pub table: Box<str>,
    /// Its type follows from the statement alone: it is compared with tenant columns, or cast, wherever it stands.
    pub(crate) settled: bool,
}

impl TenantParameter {
    pub(super) fn new(number: u32, table: &Name) -> Self {
        Self { number, table: table.dotted().into(), settled: false }
    }
}

impl Policy {
    /// Whether any rule for this caller looks at values that come at Bind.
    pub fn looks_at_binds(&self, caller: &Caller) -> bool {
        let caller = self.known(caller);
        self.rules_of(&caller).any(|rule| rule.guard.fence().is_some())
            || self.asks_plans(&caller)
            || self.asks_keys(&caller)
    }

    /// Whether any rule for this caller bounds what a plan costs.
    pub fn asks_plans(&self, caller: &Caller) -> bool {
        let caller = self.known(caller);
        self.has_duties
            && self.rules_of(&caller).any(|rule| matches!(rule.guard.charge(), Some(Charge::Cost { .. })))
    }

    /// Whether any rule for this caller may ask for a key.
    pub fn asks_keys(&self, caller: &Caller) -> bool {
        let caller = self.known(caller);
        self.has_duties
            && self.rules_of(&caller).any(|rule| matches!(rule.guard.charge(), Some(Charge::Once(_))))
    }

    /// Whether any statement of a message has a parameter.
    pub fn has_parameters(facts: &Facts) -> bool {
        let mut readings = facts.statements.iter().filter_map(|statement| statement.blocks.reading());
        readings.any(|reading| !reading.uses.is_empty())
    }

    /// The parameters of a message that must be the caller's tenant, by every tenant fence that selects it.
    pub fn tenant_parameters(&self, caller: &Caller, facts: &Facts) -> Vec<TenantParameter> {
        let caller = self.known(caller);
        let mut parameters = Vec::new();
        for rule in self.rules_of(&caller) {
            let Some(fence) = rule.guard.fence() else { continue };
            let chosen = facts.statements.iter().filter(|one| rule.when.selects(one, &caller.user));
            for reading in chosen.filter_map(|statement| statement.blocks.reading()) {
                let proof = fence.prove(reading, caller.tenant.as_deref(), &caller.user);
                parameters.extend(proof.unwrap_or_default());
            }
        }
        parameters
    }
}

/// Whether a value of Bind is this tenant. NULL is none, and neither is a value of a type in which two tenants may be
/// the same.
///
/// `kind` is the type's number: int2, int4, int8, text, varchar, bpchar, name and uuid can be compared. A text without
/// a type (0) is compared as it is; what the server makes of it must be settled elsewhere.
pub fn is_tenant(value: Option<&[u8]>, binary: bool, kind: u32, tenant: &str) -> bool {
    let Some(value) = value else { return false };
    let same = value == tenant.as_bytes();
    let text = match (kind, binary) {
        (UNSPECIFIED | UNKNOWN, false) | (TEXT | VARCHAR, _) => return same,
        // Blanks at the end do not count there, and long names are cut.
        (BPCHAR, _) => return same && !tenant.ends_with(' '),
        (NAME, _) => return same && tenant.len() < NAME_BYTES,
        (INT2 | INT4 | INT8, false) => return same,
        (UUID, false) => return value.eq_ignore_ascii_case(tenant.as_bytes()),
        (INT2, true) => value.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).to_string()),
        (INT4, true) => value.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).to_string()),
        (INT8, true) => value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string()),
        (UUID, true) => {
            let written = value.try_into().ok().map(uuid);
            return written.is_some_and(|text| text.eq_ignore_ascii_case(tenant));
        }
        _ => None,
    };
    text.as_deref() == Some(tenant)
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// No type was given; the server finds one.
const UNSPECIFIED: u32 = 0;
/// Numbers of types in every version of PostgreSQL's catalog.
const NAME: u32 = 19;
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const UNKNOWN: u32 = 705;
const BPCHAR: u32 = 1_042;
const VARCHAR: u32 = 1_043;
const UUID: u32 = 2_950;
/// So many bytes a name has at least when it was cut.
const NAME_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::{BPCHAR, INT4, INT8, NAME, TEXT, UNSPECIFIED, UUID, VARCHAR, is_tenant};

    #[test]
    fn only_the_very_tenant() {
        assert!(is_tenant(Some(b"42"), false, INT4, "42"));
        assert!(is_tenant(Some(b"42"), false, UNSPECIFIED, "42"));
        for kind in [TEXT, VARCHAR, BPCHAR, NAME] {
            assert!(is_tenant(Some(b"42"), true, kind, "42") && is_tenant(Some(b"42"), false, kind, "42"));
        }
        assert!(is_tenant(Some(&[0, 0, 0, 42]), true, INT4, "42"));
        assert!(is_tenant(Some(&[255; 8]), true, INT8, "-1"));
        let bytes: Vec<u8> = (0..16).collect();
        let uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f";
        assert!(is_tenant(Some(&bytes), true, UUID, uuid));
        assert!(is_tenant(Some(uuid.to_uppercase().as_bytes()), false, UUID, uuid));
        for (value, binary, kind) in [
            (Some(&b"7"[..]), false, INT4),
            (Some(b" 42"), false, INT4),
            (Some(b"042"), false, INT4),
            (Some(&[0, 0, 0, 7]), true, INT4),
            (Some(&[0, 42]), true, INT4),
            (Some(&[0, 0, 0, 42]), true, UNSPECIFIED),
            (Some(&[0, 0, 0, 42]), true, 701),
            // "char" keeps the first letter only, citext knows no case.
            (Some(b"42"), false, 18),
            (Some(b"42"), false, 16_500),
            (Some(b""), true, TEXT),
            (None, false, INT4),
        ] {
            assert!(!is_tenant(value, binary, kind, "42"), "{value:?} {kind}");
        }
        assert!(!is_tenant(Some(b"a "), false, BPCHAR, "a "));
        let long = "x".repeat(64);
        assert!(!is_tenant(Some(long.as_bytes()), false, NAME, &long));
    }
}
