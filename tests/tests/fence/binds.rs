//! Values that are bound through the gateway: the caller's tenant passes, in every form, and nothing else does.

use super::reason;
use clyra_tests::House;
use serde_json::Value;
use tokio_postgres::Client;

const POLICY: &str = "
name: fence
version: 1
mode: enforce
callers:
  - match: {user: postgres}
    tenant: '42'
rules:
  - id: fence
    tenant_fence: {column: tenant_id, tables: [users, notes], shared: [products]}
";

const SCHEMA: &str = "
drop table if exists users, notes cascade;
create table users (id int, tenant_id int, name text);
create table notes (id int, tenant_id text, name text);
insert into users select n, 42 + n % 2, 'n' || n from generate_series(0, 9) n;
insert into notes select n, (42 + n % 2)::text, 'n' || n from generate_series(0, 9) n;";

async fn house() -> House {
    let house = House::start(POLICY).await.unwrap();
    house.directly().await.unwrap().batch_execute(SCHEMA).await.unwrap();
    house
}

/// Rows of a query, or the reason of its refusal.
async fn rows(client: &Client, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) -> String {
    match client.query(sql, values).await {
        Ok(rows) => rows.len().to_string(),
        Err(error) => reason(error),
    }
}

#[tokio::test]
async fn the_own_tenant_passes_and_others_do_not() {
    let house = house().await;
    let client = house.through("").await.unwrap();
    let (users, notes) =
        ("select * from users where tenant_id = $1", "select * from notes where tenant_id = $1 and id < $2");
    assert_eq!(rows(&client, users, &[&42_i32]).await, "5");
    assert_eq!(rows(&client, users, &[&43_i32]).await, "fence_parameter");
    assert_eq!(rows(&client, users, &[&None::<i32>]).await, "fence_parameter");
    assert_eq!(rows(&client, notes, &[&"42", &4]).await, "2");
    assert_eq!(rows(&client, notes, &[&"43", &4]).await, "fence_parameter");
    // A statement that is prepared once is asked about each time.
    let again = client.prepare(users).await.unwrap();
    for (tenant, passes) in [(42, true), (43, false), (42, true)] {
        let said = client.query(&again, &[&tenant]).await;
        assert_eq!(said.is_ok(), passes, "{tenant}");
    }
    let wide = client.prepare("select * from users where tenant_id = $1::int8").await.unwrap();
    assert_eq!(client.query(&wide, &[&42_i64]).await.unwrap().len(), 5);
    let insert = "insert into users (id, tenant_id) values ($1, $2)";
    assert!(client.execute(insert, &[&1, &42]).await.is_ok());
    assert_eq!(reason(client.execute(insert, &[&42, &1]).await.unwrap_err()), "fence_parameter");
}

#[tokio::test]
async fn a_refused_bind_ends_its_transaction_and_the_session_goes_on() {
    let house = house().await;
    let client = house.through("").await.unwrap();
    client.batch_execute("begin").await.unwrap();
    let insert = "insert into users (id, tenant_id) values ($1, $2)";
    assert!(client.execute(insert, &[&100, &42]).await.is_ok());
    assert_eq!(reason(client.execute(insert, &[&101, &43]).await.unwrap_err()), "fence_parameter");
    assert_eq!(
        reason(client.execute(insert, &[&102, &42]).await.unwrap_err()),
        "current transaction is aborted, commands ignored until end of transaction block"
    );
    client.batch_execute("commit").await.unwrap();
    let left = house.directly().await.unwrap().query("select from users where id >= 100", &[]).await.unwrap();
    assert!(left.is_empty(), "the server aborted, too");
    assert_eq!(rows(&client, "select * from users where tenant_id = $1", &[&42]).await, "5");
}

#[tokio::test]
async fn statements_that_run_by_name_are_asked_about_too() {
    let house = house().await;
    let client = house.through("").await.unwrap();
    client.batch_execute("prepare p as select * from users where tenant_id = $1").await.unwrap();
    assert_eq!(client.simple_query("execute p(42)").await.unwrap().len(), 7);
    assert_eq!(reason(client.simple_query("execute p(43)").await.unwrap_err()), "fence_parameter");
    assert_eq!(reason(client.simple_query("execute p(42 + 1)").await.unwrap_err()), "fence_parameter");
    client
        .batch_execute("deallocate p; prepare p(\"char\") as select * from notes where tenant_id = $1")
        .await
        .unwrap();
    assert_eq!(reason(client.simple_query("execute p('42')").await.unwrap_err()), "fence_parameter");
}

#[tokio::test]
async fn a_policy_that_comes_later_finds_what_was_prepared_before() {
    let house = house().await;
    let open = POLICY.split("rules:").next().unwrap().to_owned()
        + "rules:\n  - id: one\n    deny_verbs: [truncate]\n";
    let client = house.through("").await.unwrap();
    take(&house, &open.replace("version: 1", "version: 2"), "2").await;
    let statement = client.prepare("select * from users where tenant_id = $1").await.unwrap();
    assert_eq!(client.query(&statement, &[&43]).await.unwrap().len(), 5, "no fence yet");
    take(&house, &POLICY.replace("version: 1", "version: 3"), "3").await;
    assert_eq!(reason(client.query(&statement, &[&43]).await.unwrap_err()), "fence_parameter");
}

/// Takes a policy into use, and waits until it is.
async fn take(house: &House, policy: &str, version: &str) {
    std::fs::write(house.path("policy.yaml"), policy).unwrap();
    let pid = house.standing["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let status = String::from_utf8(house.clyra(&["status", "--json"]).unwrap().stdout).unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        if status.pointer("/policy/version").and_then(Value::as_u64) == version.parse().ok() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{status}");
        tokio::task::yield_now().await;
    }
}
