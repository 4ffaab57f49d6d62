//! Reads a policy file: one document, typed, unknown keys refused with their place; it never opens files.

mod callers;
pub(crate) mod fields;
pub(crate) mod rules;
pub(crate) mod yaml;

use crate::keys;
use crate::policy::{Policy, Unparsed};
use crate::{Evidence, OnFull, PolicyError};
use clyra_spec::{ActorKind, Mode, limits::POLICY_BYTES_MAX};
use fields::{Fault, Fields, label, list, list_of, word};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use yaml::{Spot, Yaml};

/// Compiles a policy.
pub(crate) fn read(yaml: &str, file: &str) -> Result<Policy, PolicyError> {
    if yaml.len() > POLICY_BYTES_MAX {
        let message = format!("longer than {POLICY_BYTES_MAX} bytes");
        return Err(PolicyError::new(file, "", 0, 0, message));
    }
    let document = yaml::parse(yaml, file)?;
    let digest = format!("sha256:{}", hex(&Sha256::digest(yaml.as_bytes())));
    policy(&document, &digest)
        .map_err(|fault| PolicyError::new(file, yaml, fault.line, fault.column, fault.message))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

fn policy(document: &Spot<Yaml>, digest: &str) -> Result<Policy, Fault> {
    let fields = Fields::new(
        document,
        &[
            "name",
            "version",
            "mode",
            "unparsed",
            "unknown_prepared",
            "unknown_names",
            "evidence",
            "on_full",
            "approvers",
            "operators",
            "commit_on_kill",
            "callers",
            "rules",
        ],
    )?;
    let approvers = fields.optional("approvers", keys::approvers)?.unwrap_or_default();
    let callers = fields.optional("callers", |value| list(value)?.iter().map(callers::caller).collect())?;
    let rules = rules(&fields, &approvers)?;
    Ok(Policy {
        name: fields.required("name", label)?,
        version: fields.required("version", version)?,
        digest: digest.into(),
        mode: fields.optional("mode", mode)?.unwrap_or_default(),
        unparsed: fields.optional("unparsed", unparsed)?.unwrap_or_default(),
        unknown_prepared: fields.optional("unknown_prepared", unparsed)?.unwrap_or_default(),
        unknown_names: fields.optional("unknown_names", unparsed)?,
        catalog: None,
        evidence: fields.optional("evidence", evidence)?.unwrap_or_default(),
        on_full: fields.optional("on_full", |value| {
            word(value, "answer", &[("block", OnFull::Block), ("gap", OnFull::Gap)])
        })?,
        operators: fields.optional("operators", keys::operators)?.unwrap_or_default(),
        commit_on_kill: fields
            .optional("commit_on_kill", |value| word(value, "answer", &[("deny", false), ("allow", true)]))?
            .unwrap_or(false),
        callers: callers.unwrap_or_default(),
        has_duties: rules.iter().any(|rule| rule.guard.charge().is_some()),
        rules: rules.into(),
        approvers,
        silence: Arc::new([]),
    })
}

fn rules(
    fields: &Fields<'_>,
    approvers: &[crate::policy::Approver],
) -> Result<Vec<crate::policy::Rule>, Fault> {
    let Some(value) = fields.get("rules") else { return Ok(Vec::new()) };
    let (mut rules, mut seen) = (Vec::new(), BTreeMap::new());
    for one in list(value)? {
        let (id_at, mut rule) = rules::rule(one)?;
        keys::with_approvers(id_at, &mut rule.guard, approvers)?;
        if let Some(first) = seen.insert(rule.id.clone(), id_at.line) {
            return Err(Fault::at(id_at, format!("rule id `{}` is taken by line {first}", rule.id)));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn version(value: &Spot<Yaml>) -> Result<u64, Fault> {
    match value.value {
        Yaml::Number(version) if (1..=clyra_spec::limits::WHOLE_NUMBER_MAX).contains(&version) => Ok(version),
        ref other => {
            let found = match other {
                Yaml::Number(number) => format!("`{number}`"),
                Yaml::Text(text) => format!("`{text}`"),
                other => other.kind().to_owned(),
            };
            Err(Fault::at(value, format!("{found} is no version; allowed: a whole number from 1")))
        }
    }
}

fn mode(value: &Spot<Yaml>) -> Result<Mode, Fault> {
    word(value, "mode", &[("shadow", Mode::Shadow), ("enforce", Mode::Enforce)])
}

fn unparsed(value: &Spot<Yaml>) -> Result<Unparsed, Fault> {
    word(value, "answer", &[("deny", Unparsed::Deny), ("allow", Unparsed::Allow)])
}

fn evidence(value: &Spot<Yaml>) -> Result<Evidence, Fault> {
    word(value, "evidence", &[("async", Evidence::Async), ("strict", Evidence::Strict)])
}

pub(crate) fn kind(value: &Spot<Yaml>) -> Result<ActorKind, Fault> {
    let kinds = [ActorKind::Person, ActorKind::Service, ActorKind::Agent].map(|kind| (kind.as_str(), kind));
    word(value, "kind", &kinds)
}

fn kinds(value: &Spot<Yaml>) -> Result<Box<[ActorKind]>, Fault> {
    list_of(value, kind)
}
