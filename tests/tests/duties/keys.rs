//! Changes under a key: made once, whatever is asked for again, by whom at once, and whatever is killed in between.

use crate::{policy, told, verified};
use clyra_tests::{House, refusal};
use std::time::{Duration, Instant};
use tokio_postgres::SimpleQueryMessage;

async fn house(guard: &str) -> House {
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    let direct = house.directly().await.unwrap();
    direct
        .batch_execute("CREATE TABLE paid (id int PRIMARY KEY, amount int, at timestamptz DEFAULT now())")
        .await
        .unwrap();
    house
}

/// SQLSTATE of a refusal.
async fn refused(client: &tokio_postgres::Client, sql: &str) -> String {
    refusal(client.batch_execute(sql).await.unwrap_err()).code().code().to_owned()
}

async fn paid(house: &House) -> i64 {
    let direct = house.directly().await.unwrap();
    direct.query_one("SELECT count(*) FROM paid", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_change_under_a_key_is_made_once() {
    let house = house("idempotency: required").await;
    let client = house.through("options='-c clyra.run_id=keys'").await.unwrap();
    assert_eq!(refused(&client, "INSERT INTO paid VALUES (1, 10)").await, "ZC001");
    client.batch_execute("SELECT * FROM paid; SET application_name = 'x'").await.unwrap();
    let pay = "INSERT INTO paid VALUES (1, 10) /*idempotency_key='a'*/";
    for _ in 0..3 {
        let said = client.simple_query(pay).await.unwrap();
        assert!(matches!(said[..], [SimpleQueryMessage::CommandComplete(1)]), "{said:?}");
    }
    let other = "INSERT INTO paid VALUES (2, 10) /*idempotency_key='a'*/";
    assert_eq!(refused(&client, other).await, "ZC002");
    assert_eq!(
        refused(&client, "INSERT INTO paid VALUES (3, 1) /*idempotency_key='%C3%A9'*/").await,
        "ZC001"
    );
    assert_eq!(refused(&client, "COPY paid FROM STDIN /*idempotency_key='c'*/").await, "ZC005");
    // What fails has not been made: whoever asks again may try again.
    let twice = "INSERT INTO paid VALUES (1, 11) /*idempotency_key='b'*/";
    assert_eq!(refused(&client, twice).await, "23505");
    house.directly().await.unwrap().batch_execute("DELETE FROM paid WHERE id = 1").await.unwrap();
    client.batch_execute(twice).await.unwrap();
    // A part of a transaction cannot be made again by itself.
    client.batch_execute("BEGIN").await.unwrap();
    assert_eq!(refused(&client, "INSERT INTO paid VALUES (4, 1) /*idempotency_key='d'*/").await, "ZC005");
    client.batch_execute("ROLLBACK").await.unwrap();
    // For the next change, and only for it.
    client.batch_execute("SET clyra.idempotency_key = 'e'").await.unwrap();
    client.batch_execute("SELECT 1").await.unwrap();
    client.batch_execute("UPDATE paid SET amount = amount + 1").await.unwrap();
    assert_eq!(refused(&client, "UPDATE paid SET amount = amount + 1").await, "ZC001");
    client.batch_execute("SET clyra.idempotency_key = 'e'").await.unwrap();
    client.batch_execute("UPDATE paid SET amount = amount + 1").await.unwrap();
    let amount = house.directly().await.unwrap().query_one("SELECT amount FROM paid", &[]).await.unwrap();
    assert_eq!(amount.get::<_, i32>(0), 12);
    drop(client);
    let receipts = verified(&house, "keys").await;
    let made = receipts.iter().position(|receipt| receipt["key"]["state"] == "first").unwrap();
    assert_eq!(receipts[made + 1]["key"]["state"], "replayed");
    assert_eq!(receipts[made + 1]["key"]["key"], receipts[made]["key"]["key"]);
    assert!(receipts.iter().any(|receipt| receipt["key"]["state"] == "mismatch"));
    let told: Vec<String> = receipts.iter().map(told).collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(told[..2], ["insert deny key_missing skipped -", "select allow - ok 0"]);
    assert!(told.contains(&"insert replay key_replayed skipped -"), "{told:?}");
    assert!(told.contains(&"insert deny key_mismatch skipped -"), "{told:?}");
    assert!(told.contains(&"update replay key_replayed skipped -"), "{told:?}");
}

#[tokio::test]
async fn the_first_answer_is_given_again_with_its_rows() {
    let house = house("idempotency: {key: optional}").await;
    let client = house.through("").await.unwrap();
    let sql = "INSERT INTO paid VALUES ($1, $2) RETURNING id, amount, at /*idempotency_key='k'*/";
    let pay = client.prepare(sql).await.unwrap();
    let at = |row: &tokio_postgres::Row| {
        (row.get::<_, i32>(0), row.get::<_, i32>(1), row.get::<_, std::time::SystemTime>(2))
    };
    let first = at(&client.query_one(&pay, &[&1, &5]).await.unwrap());
    assert_eq!(at(&client.query_one(&pay, &[&1, &5]).await.unwrap()), first);
    let again = house.through("").await.unwrap();
    assert_eq!(at(&again.query_one(sql, &[&1, &5]).await.unwrap()), first);
    // Other values are another change.
    let error = refusal(client.query_one(&pay, &[&2, &5]).await.unwrap_err());
    assert_eq!(error.code().code(), "ZC002");
    // Rows are in the shape in which they were asked for.
    let told = refusal(
        client
            .batch_execute("INSERT INTO paid VALUES (9, 9) RETURNING id /*idempotency_key='k'*/")
            .await
            .unwrap_err(),
    );
    assert_eq!(told.code().code(), "ZC002");
    let simple = "INSERT INTO paid SELECT 7, 7 RETURNING id, repeat('x', 10) /*idempotency_key='s'*/";
    let rows = |said: Vec<SimpleQueryMessage>| {
        let rows = said.into_iter().filter_map(|one| match one {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(rows(client.simple_query(simple).await.unwrap()), ["7"]);
    assert_eq!(rows(client.simple_query(simple).await.unwrap()), ["7"]);
    let long = "INSERT INTO paid SELECT 8, 8 RETURNING repeat('x', 100000) /*idempotency_key='l'*/";
    client.simple_query(long).await.unwrap();
    assert_eq!(refused(&client, long).await, "ZC004");
    client.batch_execute("INSERT INTO paid VALUES (20, 1)").await.unwrap();
    assert_eq!(paid(&house).await, 4);
}

#[tokio::test]
async fn of_many_at_once_one_does_it() {
    let house = house("idempotency: {key: required, in_flight_wait: 20s}").await;
    let sql =
        "WITH slow AS (SELECT pg_sleep(0.2)) INSERT INTO paid SELECT 1, 1 FROM slow /*idempotency_key='k'*/";
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let client = house.through("").await.unwrap();
        asking.spawn(async move { client.simple_query(sql).await.unwrap().len() });
    }
    while let Some(answers) = asking.join_next().await {
        assert_eq!(answers.unwrap(), 1);
    }
    assert_eq!(paid(&house).await, 1);
}

#[tokio::test]
async fn who_does_not_wait_is_told_that_it_runs() {
    let house = house("idempotency: {key: required, in_flight_wait: 1ms}").await;
    let (first, second) = (house.through("").await.unwrap(), house.through("").await.unwrap());
    let direct = house.directly().await.unwrap();
    direct.batch_execute("BEGIN; LOCK TABLE paid IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let sql = "INSERT INTO paid VALUES (1, 1) /*idempotency_key='k'*/";
    let waiting = tokio::spawn(async move { first.batch_execute(sql).await });
    let deadline = Instant::now() + Duration::from_secs(20);
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while direct.query_one(blocked, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < deadline, "the first waits for the table");
    }
    assert_eq!(refused(&second, sql).await, "55P03");
    direct.batch_execute("COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();
    second.batch_execute(sql).await.unwrap();
    assert_eq!(paid(&house).await, 1);
}

#[tokio::test]
async fn what_was_cut_off_is_unknown_until_somebody_looks() {
    let mut house = house("idempotency: required").await;
    let client = house.through("").await.unwrap();
    client.batch_execute("INSERT INTO paid VALUES (1, 1) /*idempotency_key='done'*/").await.unwrap();
    let direct = house.directly().await.unwrap();
    direct.batch_execute("BEGIN; LOCK TABLE paid IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let sql = "INSERT INTO paid VALUES (2, 2) /*idempotency_key='cut'*/";
    let cut = tokio::spawn(async move { client.batch_execute(sql).await });
    let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while direct.query_one(blocked, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < deadline, "the change waits for the table");
    }
    house.kill().unwrap();
    cut.await.unwrap().unwrap_err();
    drop(direct);
    house.up().await.unwrap();
    let client = house.through("").await.unwrap();
    client.batch_execute("INSERT INTO paid VALUES (1, 1) /*idempotency_key='done'*/").await.unwrap();
    let unknown = refusal(client.batch_execute(sql).await.unwrap_err());
    assert_eq!(unknown.code().code(), "ZC003");
    assert!(unknown.hint().unwrap().contains("clyra idempotency resolve"), "{unknown:?}");
    let listed = house.clyra(&["idempotency", "list", "--json"]).unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let key = listed["unknown"][0]["key"].as_str().unwrap().to_owned();
    let missing = house.clyra(&["idempotency", "resolve", &"0".repeat(32), "--not-done"]).unwrap();
    assert!(!missing.status.success());
    let made = paid(&house).await == 2;
    let word = if made { "--done" } else { "--not-done" };
    assert!(house.clyra(&["idempotency", "resolve", &key, word]).unwrap().status.success());
    match client.batch_execute(sql).await {
        Ok(()) => assert!(!made),
        Err(error) => assert_eq!((made, refusal(error).code().code()), (true, "ZC004")),
    }
    assert_eq!(paid(&house).await, 2);
}

#[tokio::test]
async fn in_shadow_nothing_is_held_back() {
    let house = House::start(&policy("shadow", "idempotency: required")).await.unwrap();
    let client = house.through("options='-c clyra.run_id=keys'").await.unwrap();
    client.batch_execute("CREATE TABLE t (i int)").await.unwrap();
    for _ in 0..2 {
        client.batch_execute("INSERT INTO t VALUES (1) /*idempotency_key='a'*/").await.unwrap();
    }
    client.batch_execute("INSERT INTO t VALUES (2) /*idempotency_key='a'*/").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    let rows: i64 = client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0);
    assert_eq!(rows, 4);
    drop(client);
    let told: Vec<String> = verified(&house, "keys").await.iter().map(told).collect();
    let reasons = [
        "create deny key_missing ok -",
        "insert allow - ok 1",
        "insert replay key_replayed ok 1",
        "insert deny key_mismatch ok 1",
        "insert deny key_missing ok 1",
        "select allow - ok 1",
    ];
    assert_eq!(told, reasons);
}
