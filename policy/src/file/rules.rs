//! Reads one rule of a policy file; the guard in it is read next door. It never judges.

use super::fields::{Fault, Fields, glob_list, label, list_of, text, unknown};
use super::yaml::{Spot, Yaml};
use super::{evidence, kinds, mode};
use crate::Verbs;
use crate::engine::BUILT_IN;
use crate::keys::{GUARDS, guard, on_denials};
use crate::policy::{Rule, TablePattern, When};

/// Keys beside the guard.
const KEYS: [&str; 6] = ["id", "description", "mode", "evidence", "when", "on_denials"];

/// Reads a rule, and says where its id stands.
pub(crate) fn rule(value: &Spot<Yaml>) -> Result<(&Spot<Yaml>, Rule), Fault> {
    let fields = Fields::new(value, &[&KEYS[..], &GUARDS[..]].concat())?;
    let id_at = fields.required("id", Ok)?;
    let id = label(id_at)?;
    if BUILT_IN.contains(&&*id) {
        return Err(Fault::at(id_at, format!("rule id `{id}` is built in; allowed: any other name")));
    }
    fields.optional("description", text)?;
    let rule = Rule {
        id,
        mode: fields.optional("mode", mode)?,
        evidence: fields.optional("evidence", evidence)?,
        when: fields.optional("when", when)?.unwrap_or_default(),
        breaker: fields.optional("on_denials", on_denials)?,
        guard: guard(value, &fields)?,
    };
    Ok((id_at, rule))
}

fn when(value: &Spot<Yaml>) -> Result<When, Fault> {
    let allowed = ["user", "application", "database", "kind", "actor", "tenant", "verb", "tables"];
    let fields = Fields::new(value, &allowed)?;
    if fields.is_empty() {
        return Err(Fault::at(
            value,
            format!("an empty `when`; give at least one of: {}", allowed.join(", ")),
        ));
    }
    let globs = |name| fields.optional(name, glob_list).map(Option::unwrap_or_default);
    Ok(When {
        user: globs("user")?,
        application: globs("application")?,
        database: globs("database")?,
        actor: globs("actor")?,
        tenant: globs("tenant")?,
        kind: fields.optional("kind", kinds)?.unwrap_or_default(),
        verbs: fields.optional("verb", verbs)?,
        tables: fields.optional("tables", tables)?.unwrap_or_default(),
    })
}

pub(crate) fn verbs(value: &Spot<Yaml>) -> Result<Verbs, Fault> {
    let sets = list_of(value, |one| {
        let word = text(one)?;
        let allowed: Vec<&str> = Verbs::words().collect();
        Verbs::of_word(word).ok_or_else(|| Fault::at(one, unknown("verb", word, &allowed)))
    })?;
    let mut all = Verbs::default();
    sets.iter().for_each(|set| all.extend(*set));
    Ok(all)
}

pub(crate) fn tables(value: &Spot<Yaml>) -> Result<Box<[TablePattern]>, Fault> {
    list_of(value, |one| {
        let text = label(one)?;
        TablePattern::parse(&text).ok_or_else(|| {
            Fault::at(one, format!("`{text}` is no table pattern; allowed: table, schema.table, with `*`"))
        })
    })
}
