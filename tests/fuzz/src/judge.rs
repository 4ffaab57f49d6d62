//! What must hold of the judge whatever text comes: it ends, it never panics, its spans lie inside the text, and what it
//! did not read it says so.

use clyra_policy::{Dialect, Facts, Login, Policy};
use clyra_spec::{KillLevel, Verb};
use std::sync::LazyLock;

/// A text in PostgreSQL's SQL.
pub fn sql_facts(bytes: &[u8]) {
    check(Dialect::Postgres, bytes);
}

/// A text in one of the other dialects; the first byte says in which.
pub fn sql_dialects(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else { return };
    let dialects: Vec<Dialect> =
        Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Postgres).collect();
    if let Some(dialect) = dialects.get(usize::from(*first) % dialects.len().max(1)) {
        check(*dialect, text);
    }
}

fn check(dialect: Dialect, bytes: &[u8]) {
    let facts = Facts::of(dialect, bytes);
    assert!(!facts.statements.is_empty());
    for statement in &facts.statements {
        let (start, length) = (statement.span.0 as usize, statement.span.1 as usize);
        assert!(start + length <= bytes.len(), "{start} and {length} of {}", bytes.len());
        assert!(statement.verbs.contains(statement.verb), "{:?}", statement.verb);
        assert!(statement.verb != Verb::Unparsed || facts.problem.is_some());
    }
    assert_eq!(facts, Facts::of(dialect, bytes), "the same text has the same facts");
    let login = Login { user: "ann", database: "shop", application: "", tenant: Some("42") };
    let caller = POLICY.caller(&login);
    let decision = POLICY.decide(&caller, &facts, KillLevel::Observe, &|_| None);
    assert!(facts.problem.is_none() || decision.refusal.is_some(), "what is not read does not pass");
}

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::parse(RULES, "fuzz.yaml").unwrap());
const RULES: &str = "
name: fuzz
version: 1
mode: enforce
rules:
  - {id: fence, tenant_fence: {column: tenant_id, tables: [users, orders], shared: [products]}}
  - {id: reads, read_only: true}
  - {id: tables, deny_tables: [secrets]}
  - {id: columns, deny_columns: [users.password]}
  - {id: where, require_where: true}
  - {id: rows, require_limit: 1000}
  - {id: cross, no_cross_join: true}
  - {id: session, session_lock: true}
";
