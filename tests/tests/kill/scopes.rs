//! Whom a kill covers, and which statements.

use crate::{code, release, set, try_kill};
use clyra_tests::House;

const POLICY: &str = "\
name: shop
version: 1
mode: enforce
callers:
  - match: {application: journey}
    actor: etl
    tenant: acme
rules:
  - id: orders
    deny_verbs: [drop]
    when: {tables: orders}
";

#[tokio::test]
async fn each_scope_stops_its_own_and_nobody_else() {
    let house = House::start(POLICY).await.unwrap();
    let route = house.upstream().unwrap();
    let client = house.through("options='-c clyra.run_id=r1'").await.unwrap();
    for (own, other) in [
        ("source:shop", "source:other"),
        ("tenant:acme", "tenant:other"),
        ("actor:etl", "actor:other"),
        ("run:r1", "run:r2"),
        ("policy:shop", "policy:other"),
        (&*format!("route:{route}"), "route:other:1"),
        ("global", "source:other"),
    ] {
        set(&house, "block_statements", &["--scope", other]);
        client.batch_execute("select 1").await.unwrap();
        set(&house, "block_statements", &["--scope", own]);
        assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "ZC100", "{own}");
        release(&house, &["--scope", own]);
        client.batch_execute("select 1").await.unwrap();
        release(&house, &["--scope", other]);
    }
    // A run may be named by the statement alone.
    set(&house, "block_statements", &["--scope", "run:r9"]);
    client.batch_execute("select 1").await.unwrap();
    let marked = "select 1 /*clyra.run_id='r9'*/";
    assert_eq!(code(&client.batch_execute(marked).await.unwrap_err()), "ZC100");
    let unknown = try_kill(&house, &["set", "--scope", "rule:none", "--reason", "x"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("allowed: orders"));
}

#[tokio::test]
async fn a_rule_and_a_class_stop_only_what_they_are_about() {
    let house = House::start(POLICY).await.unwrap();
    let client = house.through("").await.unwrap();
    set(&house, "block_statements", &["--scope", "rule:orders"]);
    client.batch_execute("select 1").await.unwrap();
    assert_eq!(code(&client.batch_execute("select * from orders").await.unwrap_err()), "ZC100");
    release(&house, &["--scope", "rule:orders"]);
    set(&house, "block_statements", &["--class", "ddl"]);
    client.batch_execute("update orders set status = status where id = 1").await.unwrap();
    let refused = client.batch_execute("create table x (y int)").await.unwrap_err();
    assert_eq!(code(&refused), "ZC100");
    let both = try_kill(&house, &["set", "--class", "ddl", "--level", "4", "--reason", "x"]);
    assert!(String::from_utf8_lossy(&both.stderr).contains("up to cancel_running"));
}
