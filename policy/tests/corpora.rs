//! Corpora of attacks and harmless statements, judged by the policies of `tests/corpora`; own cases always, those of
//! a `shared/corpora` folder beside the workspace where there is one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails here has found its fault"
)]

use clyra_policy::{Catalog, Policy, tools};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn policies() -> BTreeMap<String, String> {
    let mut policies = BTreeMap::new();
    for entry in fs::read_dir(root().join("tests/corpora")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let class = path.file_stem().unwrap().to_str().unwrap().to_owned();
            policies.insert(class, fs::read_to_string(path).unwrap());
        }
    }
    policies
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn class_of(rule: &str) -> String {
    rule.split(':').next().unwrap().to_owned()
}

fn compile(yaml: &str, name: Option<&str>) -> Policy {
    // An attack may be about another table than the policy's own.
    let yaml =
        name.map_or_else(|| yaml.to_owned(), |name| yaml.replace("secrets]", &format!("secrets, {name}]")));
    let catalog = fs::read_to_string(root().join("tests/corpora/catalog.json")).unwrap();
    Policy::parse(&yaml, "corpus.yaml").unwrap().with_catalog(Arc::new(Catalog::parse(&catalog).unwrap()))
}

fn verdict(policy: &Policy, sql: &Value) -> (bool, String) {
    let line = json!({"id": 1, "sql": sql, "user": "app", "database": "shop"}).to_string();
    let answer = tools::eval_line(policy, "postgres", &line).unwrap();
    let parsed: Value = serde_json::from_str(&answer).unwrap();
    (parsed["verdict"] == "allow", answer)
}

/// Attacks that pass, as `id class sql`; conversations on the wire are played elsewhere.
fn passed(attacks: &[Value]) -> Vec<String> {
    let policies = policies();
    let mut passed = Vec::new();
    for attack in attacks {
        let class = class_of(attack["policy"].as_str().unwrap());
        let (Some(yaml), Some(sql)) = (policies.get(&class), attack["sql"].as_str()) else { continue };
        let policy = compile(yaml, attack["deny_name"].as_str());
        // What this one prepares is no change of structure; by its name alone it is refused.
        let sql = match attack["pre"].as_str().filter(|_| class != "no_ddl") {
            Some(before) => json!([before, sql]),
            None => json!(sql),
        };
        let (passes, answer) = verdict(&policy, &sql);
        if passes {
            passed.push(format!("{} {class} {sql}\n      {answer}", attack["id"]));
        }
    }
    passed
}

/// Harmless statements that are denied.
fn blocked(harmless: &[Value]) -> Vec<String> {
    let policies = policies();
    let mut blocked = Vec::new();
    for line in harmless {
        for rule in line["rules"].as_array().unwrap() {
            let class = class_of(rule.as_str().unwrap());
            let Some(yaml) = policies.get(&class) else { continue };
            let (passes, answer) = verdict(&compile(yaml, None), &in_session(&line["sql"]));
            if !passes {
                blocked.push(format!("{} {class} {}\n      {answer}", line["id"], line["sql"]));
            }
        }
    }
    blocked
}

/// What a text fetches from was declared before.
fn in_session(sql: &Value) -> Value {
    let text = sql.as_str().unwrap_or_default();
    match text.trim_end_matches(';').rsplit(' ').next().filter(|_| text.starts_with("FETCH ")) {
        Some(cursor) => json!(["begin", format!("declare {cursor} cursor for select 1"), text]),
        None => sql.clone(),
    }
}

#[test]
fn our_own_corpora() {
    let folder = root().join("tests/corpora");
    let mut attacks = lines(&folder.join("attacks.jsonl"));
    // What only the data tells; see `docs/attacks.md`.
    attacks.retain(|one| !one["id"].as_str().unwrap_or_default().starts_with("always-true"));
    let harmless = lines(&folder.join("harmless.jsonl"));
    assert!(attacks.len() > 500 && harmless.len() > 250);
    let (passed, blocked) = (passed(&attacks), blocked(&harmless));
    assert!(passed.is_empty() && blocked.is_empty(), "{}\n{}", passed.join("\n"), blocked.join("\n"));
}

#[test]
fn a_corpus_beside_the_workspace() {
    let folder = root().parent().unwrap().join("shared/corpora");
    let passed = passed(&lines(&folder.join("bypass.jsonl")));
    let mut blocked = blocked(&lines(&folder.join("benign.jsonl")));
    let dbt = fs::read_to_string(folder.join("benign-dbt.sql")).unwrap_or_default();
    for message in dbt.split("\n-- @@").skip(1) {
        let sql = message.split_once('\n').map_or("", |(_, sql)| sql);
        for class in ["deny_function", "deny_table"] {
            let (passes, answer) = verdict(&compile(&policies()[class], None), &json!(sql));
            if !passes {
                blocked.push(format!("dbt {class} {sql}\n      {answer}"));
            }
        }
    }
    assert!(
        passed.is_empty() && blocked.is_empty(),
        "{} attacks pass:\n{}\n{} harmless blocked:\n{}",
        passed.len(),
        passed.join("\n"),
        blocked.len(),
        blocked.join("\n")
    );
}
