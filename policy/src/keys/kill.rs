//! Reads what a policy says of the kill switch: `operators`, and a rule's `on_denials`; it never checks a signature.

use super::approval::key;
use super::duties::span;
use crate::file::fields::{Fault, Fields, label, list, number, text, word};
use crate::file::kind;
use crate::file::yaml::{Spot, Yaml};
use crate::policy::{Breaker, Operator};
use clyra_spec::{KillLevel, KillScope};

/// The file's `operators`: names, keys and kinds, each name and key once.
pub(crate) fn operators(value: &Spot<Yaml>) -> Result<Box<[Operator]>, Fault> {
    let mut all: Vec<Operator> = Vec::new();
    for one in list(value)? {
        let fields = Fields::new(one, &["name", "key", "kind"])?;
        let found = Operator {
            name: fields.required("name", label)?,
            key: fields.required("key", key)?,
            kind: fields.optional("kind", kind)?.unwrap_or(clyra_spec::ActorKind::Person),
        };
        if all.iter().any(|known| known.name == found.name || known.key == found.key) {
            return Err(Fault::at(one, format!("operator `{}`: name or key stand here twice", found.name)));
        }
        all.push(found);
    }
    Ok(all.into())
}

/// `{count, window, scope?, level?}`: so many refusals of the rule raise the switch.
pub(crate) fn on_denials(value: &Spot<Yaml>) -> Result<Breaker, Fault> {
    let fields = Fields::new(value, &["count", "window", "scope", "level"])?;
    let scopes = [KillScope::Actor, KillScope::Tenant, KillScope::Run, KillScope::Source, KillScope::Global];
    let scopes = scopes.map(|scope| (scope.as_str(), scope));
    let levels = KillLevel::ALL.into_iter().skip(1).map(|level| (level.as_str(), level));
    let levels: Vec<(&str, KillLevel)> = levels.collect();
    Ok(Breaker {
        count: fields.required("count", |value| number(value, COUNT_MAX))?,
        window_us: fields.required("window", window)?,
        scope: fields.optional("scope", |value| word(value, "scope", &scopes))?.unwrap_or(KillScope::Actor),
        level: fields
            .optional("level", |value| word(value, "level", &levels))?
            .unwrap_or(KillLevel::BlockStatements),
    })
}

fn window(value: &Spot<Yaml>) -> Result<u64, Fault> {
    let told = text(value)?;
    span(told).filter(|us| *us <= WINDOW_US_MAX).ok_or_else(|| {
        Fault::at(value, format!("`{told}` is no window; allowed: like `1m`, in s, m, h or d, at most 1d"))
    })
}

/// The time of each refusal that still counts is remembered.
const COUNT_MAX: u64 = 1_000;
const WINDOW_US_MAX: u64 = 86_400_000_000;
