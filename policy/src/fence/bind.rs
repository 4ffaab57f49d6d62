//! What must hold of values that come at Bind; it never decodes more than it can compare exactly.

use crate::{Caller, Facts, Policy};

/// A parameter that a proof rests on: its value must be the caller's tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantParameter {
    /// Its number, from 1.
    pub number: u32,
    /// The table that it fences.
    pub table: Box<str>,
}

impl Policy {
    /// The parameters of a message that must be the caller's tenant, by every tenant fence that selects it.
    ///
    /// A gate that checks them at every Bind says so by [`Caller::checking_binds`]; otherwise a statement whose
    /// proof rests on one is refused.
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

/// Whether a value of Bind is this tenant. NULL is none, and neither is a binary value of a type not known here.
///
/// `kind` is the type's number: int2, int4, int8, text, varchar or uuid can be compared in binary.
pub fn is_tenant(value: Option<&[u8]>, binary: bool, kind: u32, tenant: &str) -> bool {
    let Some(value) = value else { return false };
    if !binary || matches!(kind, TEXT | VARCHAR) {
        return value == tenant.as_bytes();
    }
    let text = match kind {
        INT2 => value.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).to_string()),
        INT4 => value.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).to_string()),
        INT8 => value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string()),
        UUID => value.try_into().ok().map(uuid),
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

/// Numbers of types in every version of PostgreSQL's catalog.
const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
const VARCHAR: u32 = 1_043;
const UUID: u32 = 2_950;

#[cfg(test)]
mod tests {
    use super::{INT4, INT8, TEXT, UUID, is_tenant};

    #[test]
    fn only_the_very_tenant() {
        assert!(is_tenant(Some(b"42"), false, INT4, "42"));
        assert!(is_tenant(Some(b"42"), true, TEXT, "42"));
        assert!(is_tenant(Some(&[0, 0, 0, 42]), true, INT4, "42"));
        assert!(is_tenant(Some(&[255; 8]), true, INT8, "-1"));
        let bytes: Vec<u8> = (0..16).collect();
        assert!(is_tenant(Some(&bytes), true, UUID, "00010203-0405-0607-0809-0a0b0c0d0e0f"));
        for (value, binary, kind) in [
            (Some(&b"7"[..]), false, INT4),
            (Some(b" 42"), false, INT4),
            (Some(b"042"), false, INT4),
            (Some(&[0, 0, 0, 7]), true, INT4),
            (Some(&[0, 42]), true, INT4),
            (Some(&[0, 0, 0, 42]), true, 701),
            (Some(b""), true, TEXT),
            (None, false, INT4),
        ] {
            assert!(!is_tenant(value, binary, kind, "42"), "{value:?}");
        }
    }
}
