//! What a catalog adds to the facts, as tables of statement and expectation. No server is asked.

use super::Catalog;
use crate::{Login, Policy};
use clyra_spec::KillLevel;
use std::sync::Arc;

/// A small shop as the server tells of it.
const SHOP: &str = r#"{"database": "shop", "server_version": "15.18", "relations": [
  {"schema":"public","name":"pay","kind":"r","owner":"o","row_security":false,"row_security_forced":false,
   "columns":["id","salary"],"parents":[],"rule_relations":[],"rule_functions":[],"triggers":[]},
  {"schema":"public","name":"pay_2026","kind":"r","owner":"o","row_security":false,"row_security_forced":false,
   "columns":["id","salary"],"parents":[["public","pay_all"]],"rule_relations":[],"rule_functions":[],"triggers":[]},
  {"schema":"public","name":"pay_all","kind":"p","owner":"o","row_security":false,"row_security_forced":false,
   "columns":["id","salary"],"parents":[],"rule_relations":[],"rule_functions":[],"triggers":[]},
  {"schema":"public","name":"staff","kind":"v","owner":"o","row_security":false,"row_security_forced":false,
   "columns":["id"],"parents":[],"rule_relations":[["1","public","pay"]],"rule_functions":[["1","public","fine"]],"triggers":[]},
  {"schema":"public","name":"inbox","kind":"r","owner":"o","row_security":false,"row_security_forced":false,
   "columns":["id"],"parents":[],"rule_relations":[["3","public","pay"]],"rule_functions":[],"triggers":[["public","stamp"]]},
  {"schema":"hr","name":"people","kind":"r","owner":"o","row_security":true,"row_security_forced":false,
   "columns":["id"],"parents":[],"rule_relations":[],"rule_functions":[],"triggers":[]}],
 "functions": [
  {"schema":"public","name":"fine","kind":"f","volatility":"v","security_definer":false,"gives_rows":false,
   "language":"sql","extension":false,"row_argument":null,"body":"SELECT max(id) FROM hr.people","steps":[]},
  {"schema":"public","name":"wipe","kind":"f","volatility":"v","security_definer":true,"gives_rows":false,
   "language":"sql","extension":false,"row_argument":["public","inbox"],"body":"DELETE FROM pay; SELECT 1","steps":[]},
  {"schema":"public","name":"stamp","kind":"f","volatility":"v","security_definer":false,"gives_rows":false,
   "language":"plpgsql","extension":false,"row_argument":null,"body":"BEGIN PERFORM 1 FROM pay; RETURN NEW; END","steps":[]},
  {"schema":"public","name":"any_text","kind":"f","volatility":"s","security_definer":false,"gives_rows":false,
   "language":"plpgsql","extension":false,"row_argument":null,"body":"BEGIN EXECUTE $1; END","steps":[]},
  {"schema":"public","name":"xpath_table","kind":"f","volatility":"s","security_definer":false,"gives_rows":true,
   "language":"c","extension":true,"row_argument":null,"body":null,"steps":[]},
  {"schema":"public","name":"total","kind":"a","volatility":"i","security_definer":false,"gives_rows":false,
   "language":"internal","extension":false,"row_argument":null,"body":null,"steps":[["public","wipe"]]}],
 "operators": [{"schema":"public","name":"@!","function":["public","wipe"]},
               {"schema":"public","name":"@@@@","function":["public","fine"]}],
 "types": [{"schema":"public","name":"mood","functions":[]},
           {"schema":"public","name":"trap","functions":[["public","wipe"]]}]}"#;

fn verdict(guard: &str, head: &str, sql: &str) -> bool {
    let made = Catalog::of_server(SHOP).unwrap();
    let catalog = Catalog::parse(&made.to_json().unwrap()).unwrap();
    assert_eq!(made, catalog);
    let yaml = format!("name: t\nversion: 1\nmode: enforce\n{head}rules:\n  - id: r\n    {guard}\n");
    let policy = Policy::parse(&yaml, "t.yaml").unwrap().with_catalog(Arc::new(catalog));
    let login = Login { user: "ann", database: "shop", application: "", tenant: None };
    let facts = crate::Facts::of_postgres(sql.as_bytes());
    policy.decide(&policy.caller(&login), &facts, KillLevel::Observe, &|_| None).refusal.is_none()
}

#[test]
fn a_denied_table_is_found_behind_everything() {
    for sql in [
        "select * from staff",
        "select id from inbox where wipe(inbox) = 1",
        "select i.wipe from inbox i",
        "insert into inbox values (1)",
        "select 1 @! 2",
        "select 1::trap",
        "select total(id) from inbox",
        "update staff set id = 1 where id = 2",
    ] {
        assert!(!verdict("deny_tables: pay", "unknown_names: allow\n", sql), "must be denied: {sql}");
    }
    for sql in ["select * from inbox", "select fine()", "select id from hr.people", "select 1::mood"] {
        assert!(verdict("deny_tables: pay", "unknown_names: allow\n", sql), "must pass: {sql}");
    }
    assert!(!verdict("deny_tables: pay_2026", "", "select * from pay_all"));
    assert!(!verdict("deny_tables: [\"hr.*\"]", "", "select id from staff"));
}

#[test]
fn names_that_it_does_not_have_are_doubted_where_rules_depend_on_them() {
    assert!(!verdict("deny_tables: pay", "", "select * from nobody"));
    assert!(!verdict("deny_tables: pay", "", "select any_text('select 1')"));
    assert!(!verdict("deny_tables: pay", "", "select strange()"));
    assert!(verdict("deny_tables: pay", "unknown_names: allow\n", "select * from nobody"));
    assert!(verdict("deny_tables: pay", "", "drop table if exists nobody; create table nobody (i int)"));
    assert!(!verdict("deny_tables: pay", "", "drop table if exists pay"));
    assert!(verdict("deny_verbs: drop", "", "select * from nobody"));
    assert!(verdict("deny_tables: pay", "", "create temp table n as select 1 as a; select * from n"));
    assert!(verdict("deny_tables: pay", "", "select count(*), nextval('s') from pg_class"));
}

#[test]
fn what_only_reads_is_told_from_what_writes() {
    for sql in [
        "select fine()",
        "select * from staff",
        "select 1 @@@@ 2",
        "select 'a'::mood",
        "select max(id) from inbox",
    ] {
        assert!(verdict("read_only: true", "", sql), "must pass: {sql}");
    }
    for sql in [
        "select wipe(null)",
        "select i.wipe from inbox i",
        "select 1 @! 2",
        "select 1::trap",
        "select total(1)",
        "select any_text('')",
        "select stranger()",
        "select xpath_table('id', 'v', 'pay', '/a', 'true')",
    ] {
        assert!(!verdict("read_only: true", "", sql), "must be denied: {sql}");
    }
    assert!(!verdict("deny_verbs: [writes]", "", "select wipe(null)"));
}

#[test]
fn bare_names_get_their_schema() {
    assert!(verdict("allow_tables: [\"public.*\"]", "", "select * from inbox"));
    assert!(!verdict("allow_tables: [\"public.*\"]", "", "select * from hr.people"));
    assert!(!verdict("allow_tables: [\"public.inbox\"]", "", "insert into inbox values (1)"));
}

#[test]
fn another_format_is_refused() {
    let json = Catalog::of_server(SHOP).unwrap().to_json().unwrap().replace("\"format\": 2", "\"format\": 9");
    assert_eq!(Catalog::parse(&json).unwrap_err().to_string(), "a snapshot of format `9`; allowed: 2");
    assert!(Catalog::parse("{}").is_err());
}
