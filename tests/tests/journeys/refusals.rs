//! Statements that are refused, and what becomes of the transaction around them.

use crate::{STRICT, refusal, shadow};
use clyra_tests::House;
use tokio_postgres::error::SqlState;

#[tokio::test]
async fn a_refused_write_leaves_the_table_and_a_receipt() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=refused'").await.unwrap();
    let before: i64 = client.query_one("select count(*) from orders", &[]).await.unwrap().get(0);
    let error = refusal(client.batch_execute("delete from orders").await.unwrap_err());
    assert_eq!(error.code(), &SqlState::INSUFFICIENT_PRIVILEGE);
    assert!(error.message().contains("`where`"), "{}", error.message());
    assert!(error.hint().is_some_and(|hint| hint.contains("receipt")), "{error:?}");
    for sql in ["drop table orders", "table secrets", "set search_path = hr", "this is no SQL"] {
        assert!(client.batch_execute(sql).await.is_err(), "{sql}");
    }
    // By the extended protocol, too.
    assert!(client.query("delete from orders", &[]).await.is_err());
    let after: i64 =
        house.directly().await.unwrap().query_one("select count(*) from orders", &[]).await.unwrap().get(0);
    assert_eq!(before, after);
    drop(client);
    let bundle = house.cut("refused").await.unwrap();
    let receipts = crate::bundles::receipts(&bundle);
    let refused: Vec<&str> = receipts
        .iter()
        .filter(|receipt| receipt["decision"]["verdict"] == "deny")
        .map(|receipt| receipt["action"]["verb"].as_str().unwrap())
        .collect();
    assert_eq!(refused, ["delete", "drop", "select", "set", "unparsed", "delete"]);
    assert!(
        receipts.iter().all(|receipt| !receipt.to_string().contains("orders where")),
        "no statement text"
    );
}

#[tokio::test]
async fn a_refusal_aborts_the_transaction_on_the_server() {
    let house = House::start(STRICT).await.unwrap();
    let mut client = house.through("").await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let sql = "update orders set note = 'lost' where id = 1";
    assert_eq!(transaction.execute(sql, &[]).await.unwrap(), 1);
    assert!(transaction.batch_execute("drop table orders").await.is_err());
    let error = refusal(transaction.query("select 1", &[]).await.unwrap_err());
    assert_eq!(error.code(), &SqlState::IN_FAILED_SQL_TRANSACTION);
    // The server answers COMMIT of a failed transaction with ROLLBACK.
    transaction.commit().await.unwrap();
    let note: Option<String> =
        client.query_one("select note from orders where id = 1", &[]).await.unwrap().get(0);
    assert_ne!(note.as_deref(), Some("lost"));
}

#[tokio::test]
async fn a_message_of_several_statements_is_judged_whole() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("").await.unwrap();
    let sql = "update orders set note = 'lost' where id = 1; drop table orders";
    assert!(client.batch_execute(sql).await.is_err());
    let note: Option<String> =
        client.query_one("select note from orders where id = 1", &[]).await.unwrap().get(0);
    assert_ne!(note.as_deref(), Some("lost"), "nothing of it ran");
    let one =
        clyra_tests::connect(house.addr("listen").unwrap(), "application_name=journey-one").await.unwrap();
    assert!(one.batch_execute("select 1; select 2").await.is_err());
    assert!(client.batch_execute("select 1; select 2").await.is_ok());
}

#[tokio::test]
async fn prepared_names_are_judged_by_what_they_run() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("").await.unwrap();
    assert!(client.batch_execute("prepare bad as delete from orders").await.is_err());
    client.batch_execute("prepare good as select count(*) from orders").await.unwrap();
    client.batch_execute("execute good").await.unwrap();
    assert!(client.batch_execute("execute nobody_knows").await.is_err());
}

#[tokio::test]
async fn shadow_refuses_nothing_and_records_what_it_would() {
    let house = House::start(&shadow()).await.unwrap();
    let client = house.through("options='-c clyra.run_id=shadow'").await.unwrap();
    client.batch_execute("create table scratch (id int); insert into scratch values (1)").await.unwrap();
    assert_eq!(client.execute("delete from scratch", &[]).await.unwrap(), 1);
    client.batch_execute("drop table scratch").await.unwrap();
    let error = refusal(client.batch_execute("this is no SQL").await.unwrap_err());
    assert_eq!(error.code(), &SqlState::SYNTAX_ERROR);
    assert!(!error.message().contains("clyra"), "the server's own words");
    drop(client);
    let receipts = crate::bundles::receipts(&house.cut("shadow").await.unwrap());
    let would: Vec<_> = receipts.iter().filter(|receipt| receipt["decision"]["verdict"] == "deny").collect();
    assert_eq!(would.len(), 3, "{would:#?}");
    assert!(would.iter().all(|receipt| receipt["decision"]["enforced"] == false));
    assert!(would.iter().all(|receipt| receipt["outcome"]["status"].is_string()));
}
