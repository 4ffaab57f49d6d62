//! The corpora as they are read: attacks, each with the rule that must refuse it, and harmless texts, each with the
//! rules that must let it pass; our own, and those of a folder beside the workspace where there is one.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A text that must be refused.
#[derive(Debug)]
pub(crate) struct Attack {
    /// Where it stands.
    pub(crate) id: String,
    /// What is said before it on the same connection.
    pub(crate) before: Option<String>,
    pub(crate) sql: String,
    /// Values of its parameters, as texts.
    pub(crate) values: Vec<String>,
    /// Another table than the policy's own that must not be read.
    pub(crate) table: Option<String>,
    /// Whether it is an attack only on some servers, so that passing is no fault.
    pub(crate) either: bool,
}

/// A text that must pass.
#[derive(Debug)]
pub(crate) struct Harmless {
    pub(crate) id: String,
    pub(crate) sql: String,
}

/// The house's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Single texts that must be refused, by the class of their policy.
pub(crate) fn attacks() -> BTreeMap<String, Vec<Attack>> {
    let mut attacks: BTreeMap<String, Vec<Attack>> = BTreeMap::new();
    for (id, line) in own_and_beside("attacks.jsonl", "bypass.jsonl") {
        let Some(sql) = line["sql"].as_str() else { continue };
        let class = class(line["policy"].as_str().unwrap());
        if !policy_file(&class).exists() {
            continue;
        }
        let attack = Attack {
            id,
            // What one of them prepares is no change of structure; by its name alone it is refused.
            before: line["pre"].as_str().filter(|_| class != "no_ddl").map(str::to_owned),
            sql: sql.to_owned(),
            values: words(&line["params"]),
            table: line["deny_name"].as_str().map(str::to_owned),
            either: line["expect"] == "allow_or_deny",
        };
        attacks.entry(class).or_default().push(attack);
    }
    attacks
}

/// Texts that must pass, by the class of the policy under which they must.
pub(crate) fn harmless() -> BTreeMap<String, Vec<Harmless>> {
    let mut harmless: BTreeMap<String, Vec<Harmless>> = BTreeMap::new();
    for (id, line) in own_and_beside("harmless.jsonl", "benign.jsonl") {
        for rule in words(&line["rules"]) {
            let sql = line["sql"].as_str().unwrap().to_owned();
            harmless.entry(class(&rule)).or_default().push(Harmless { id: id.clone(), sql });
        }
    }
    let dbt = beside().join("benign-dbt.sql");
    let dbt = std::fs::read_to_string(dbt).unwrap_or_default();
    for (at, message) in dbt.split("\n-- @@").skip(1).enumerate() {
        let sql = message.split_once('\n').map_or("", |(_, sql)| sql);
        for class in ["deny_function", "deny_table"] {
            let text = Harmless { id: format!("dbt {at}"), sql: sql.to_owned() };
            harmless.entry(class.to_owned()).or_default().push(text);
        }
    }
    harmless.retain(|class, _| policy_file(class).exists());
    harmless
}

/// The policy of a class. Harmless texts are single messages out of sessions: what they execute was prepared before.
pub(crate) fn policy(class: &str) -> String {
    std::fs::read_to_string(policy_file(class)).unwrap()
}

/// The policy against these attacks: the gateway knows what a session has prepared, and some are about other tables.
pub(crate) fn policy_against(class: &str, attacks: &[Attack]) -> String {
    let mut yaml = policy(class).replace("unknown_prepared: allow\n", "");
    for table in attacks.iter().filter_map(|attack| attack.table.as_ref()) {
        yaml = yaml.replace("[secrets", &format!("[secrets, {table}"));
    }
    yaml
}

fn policy_file(class: &str) -> PathBuf {
    root().join(format!("tests/corpora/{class}.yaml"))
}

/// `deny_table:secrets` is the class `deny_table`.
fn class(rule: &str) -> String {
    rule.split(':').next().unwrap_or(rule).to_owned()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn own_and_beside(own: &str, other: &str) -> Vec<(String, Value)> {
    let own = root().join("tests/corpora").join(own);
    let mut lines = Vec::new();
    for (path, must) in [(own, true), (beside().join(other), false)] {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(!must || !text.is_empty(), "{}", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (at, line) in text.lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["id"].as_str().map_or_else(|| format!("{name}:{}", at + 1), str::to_owned);
            lines.push((id, line));
        }
    }
    lines
}

fn beside() -> PathBuf {
    root().parent().unwrap().join("shared/corpora")
}
