//! Reads one rule of a policy file, and the guard in it; it never judges.

use super::fields::{Fault, Fields, glob_list, label, list, list_of, text, unknown};
use super::yaml::{Spot, Yaml};
use super::{evidence, kinds, mode};
use crate::Verbs;
use crate::engine::BUILT_IN;
use crate::guard::{Guard, is_core_name};
use crate::policy::{Glob, Rule, TablePattern, When};
use clyra_spec::Verb;

/// Keys of guards: exactly one of them stands in a rule.
const GUARDS: [&str; 5] = ["deny_verbs", "require_where", "deny_tables", "single_statement", "session_lock"];

/// Keys beside the guard.
const KEYS: [&str; 5] = ["id", "description", "mode", "evidence", "when"];

/// Reads a rule, and says where its id stands.
pub(super) fn rule(value: &Spot<Yaml>) -> Result<(&Spot<Yaml>, Rule), Fault> {
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
        guard: guard(value, &fields)?,
    };
    Ok((id_at, rule))
}

fn guard(value: &Spot<Yaml>, fields: &Fields<'_>) -> Result<Guard, Fault> {
    let mut keys = fields.keys().filter(|key| GUARDS.contains(&key.value.as_str()));
    let Some(key) = keys.next() else {
        return Err(Fault::at(value, format!("a rule without a guard; give one of: {}", GUARDS.join(", "))));
    };
    if let Some(second) = keys.next() {
        let message = format!("a second guard `{}` beside `{}`; give each a rule", second.value, key.value);
        return Err(Fault::at(second, message));
    }
    fields.required(&key.value, |value| match key.value.as_str() {
        "deny_verbs" => verbs(value).map(Guard::DenyVerbs),
        "require_where" => require_where(value),
        "deny_tables" => tables(value).map(Guard::DenyTables),
        "single_statement" => only_true(value).map(|()| Guard::SingleStatement),
        _ => session_lock(value),
    })
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

fn verbs(value: &Spot<Yaml>) -> Result<Verbs, Fault> {
    let sets = list_of(value, |one| {
        let word = text(one)?;
        let allowed: Vec<&str> = Verbs::words().collect();
        Verbs::of_word(word).ok_or_else(|| Fault::at(one, unknown("verb", word, &allowed)))
    })?;
    let mut all = Verbs::default();
    sets.iter().for_each(|set| all.extend(*set));
    Ok(all)
}

fn tables(value: &Spot<Yaml>) -> Result<Box<[TablePattern]>, Fault> {
    list_of(value, |one| {
        let text = label(one)?;
        TablePattern::parse(&text).ok_or_else(|| {
            Fault::at(one, format!("`{text}` is no table pattern; allowed: table, schema.table, with `*`"))
        })
    })
}

fn require_where(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    let every_verb = || WITH_ROWS.into_iter().collect::<Verbs>();
    let every_table = || TablePattern::parse("*").into_iter().collect::<Box<[_]>>();
    if !matches!(value.value, Yaml::Map(_)) {
        only_true(value)?;
        return Ok(Guard::RequireWhere { verbs: every_verb(), tables: every_table() });
    }
    let fields = Fields::new(value, &["verbs", "tables"])?;
    let words = WITH_ROWS.map(|verb| (verb.as_str(), verb));
    let chosen = fields.optional("verbs", |value| {
        list_of(value, |one| super::word(one, "verb", &words))
            .map(|verbs| verbs.into_iter().collect::<Verbs>())
    })?;
    let tables = fields.optional("tables", tables)?;
    Ok(Guard::RequireWhere {
        verbs: chosen.unwrap_or_else(every_verb),
        tables: tables.unwrap_or_else(every_table),
    })
}

fn session_lock(value: &Spot<Yaml>) -> Result<Guard, Fault> {
    if !matches!(value.value, Yaml::Map(_)) {
        return only_true(value).map(|()| Guard::SessionLock { allow: Box::default() });
    }
    let fields = Fields::new(value, &["allow"])?;
    let allow = fields.required("allow", |value| {
        list(value)?
            .iter()
            .map(|one| match label(one)?.to_ascii_lowercase() {
                name if is_core_name(&name) => {
                    Err(Fault::at(one, format!("setting `{name}` cannot be let go; other guards rely on it")))
                }
                name => Ok(Glob::new(&name)),
            })
            .collect()
    })?;
    Ok(Guard::SessionLock { allow })
}

fn only_true(value: &Spot<Yaml>) -> Result<(), Fault> {
    match &value.value {
        Yaml::Truth(true) => Ok(()),
        Yaml::Truth(false) => Err(Fault::at(value, "`false` switches nothing off; leave the rule out")),
        other => Err(Fault::at(value, format!("expected true, found {}", other.kind()))),
    }
}

/// Verbs that change rows that are there already.
const WITH_ROWS: [Verb; 4] = [Verb::Update, Verb::Delete, Verb::Merge, Verb::Truncate];
