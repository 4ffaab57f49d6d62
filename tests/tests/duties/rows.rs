//! Bounds of rows: what goes too far is undone on the server, and the session goes on.

use crate::{policy, told, verified};
use clyra_tests::{House, refusal};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_postgres::Client;

const TABLE: &str = "create table if not exists n (v int); truncate n";

async fn count(house: &House) -> i64 {
    house.directly().await.unwrap().query_one("select count(*) from n", &[]).await.unwrap().get(0)
}

async fn begun(guard: &str, run: &str) -> (House, Client) {
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    house.directly().await.unwrap().batch_execute(TABLE).await.unwrap();
    let client = house.through(&format!("options='-c clyra.run_id={run}'")).await.unwrap();
    (house, client)
}

const TEN: &str = "insert into n select generate_series(1, 10)";
const SIX: &str = "insert into n select generate_series(1, 6)";

#[tokio::test]
async fn too_many_rows_written_are_undone_everywhere() {
    let (house, mut client) = begun("max_rows_written: 9", "written").await;
    // Simple, in autocommit.
    let error = refusal(client.batch_execute(TEN).await.unwrap_err());
    assert_eq!(error.code().code(), "54000");
    assert_eq!(error.message(), "clyra: rule `bound` refuses writing 10 rows, more than 9");
    assert!(error.hint().is_some_and(|hint| hint.contains("receipt")), "{error:?}");
    assert_eq!(count(&house).await, 0);
    client.batch_execute(SIX).await.unwrap();
    assert_eq!(count(&house).await, 6);
    // A message of several: nothing of it stands.
    assert!(client.batch_execute(&format!("{SIX}; {TEN}; {SIX}")).await.is_err());
    assert_eq!(count(&house).await, 6);
    client.batch_execute(&format!("{SIX}; {SIX}")).await.unwrap();
    assert_eq!(count(&house).await, 18);
    // Extended, in autocommit.
    assert_eq!(refusal(client.execute(TEN, &[]).await.unwrap_err()).code().code(), "54000");
    assert_eq!(client.execute(SIX, &[]).await.unwrap(), 6);
    assert_eq!(count(&house).await, 24);
    // In a block, both ways: it cannot be committed any more.
    for simple in [true, false] {
        let block = client.transaction().await.unwrap();
        block.execute(SIX, &[]).await.unwrap();
        let error =
            if simple { block.batch_execute(TEN).await } else { block.execute(TEN, &[]).await.map(drop) };
        assert_eq!(refusal(error.unwrap_err()).code().code(), "54000");
        assert_eq!(refusal(block.query("select 1", &[]).await.unwrap_err()).code().code(), "25P02");
        block.commit().await.unwrap();
        assert_eq!(count(&house).await, 24, "simple {simple}");
    }
    assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    drop(client);
    let receipts = verified(&house, "written").await;
    let told: Vec<String> = receipts.iter().map(told).collect();
    assert_eq!(told[0], "insert deny too_many_rows_written error 10");
    assert_eq!(told[1], "insert allow - ok 6");
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt["outcome"]["rows"] != 10 || receipt["outcome"]["sqlstate"] == "54000")
    );
}

#[tokio::test]
async fn copies_merges_and_conflicts_count_and_hidden_writes_are_refused() {
    let (house, client) = begun("max_rows_written: 3", "kinds").await;
    let copied = |lines: usize| {
        let client = &client;
        async move {
            let sink = client.copy_in("copy n from stdin").await?;
            let mut sink = Box::pin(sink);
            let data = bytes::Bytes::from("7\n".repeat(lines));
            futures_util::SinkExt::send(&mut sink, data).await?;
            sink.as_mut().finish().await
        }
    };
    assert_eq!(copied(3).await.unwrap(), 3);
    assert_eq!(refusal(copied(4).await.unwrap_err()).code().code(), "54000");
    assert_eq!(count(&house).await, 3);
    client.batch_execute("create unique index on n (v) where v > 100").await.unwrap();
    let merge = "merge into n using (select generate_series(1, 4) as w) s on n.v = s.w when not matched then insert values (w)";
    assert!(client.batch_execute(merge).await.is_err());
    assert!(client.batch_execute("create table made as select generate_series(1, 4)").await.is_err());
    assert!(client.query("select * from made", &[]).await.is_err(), "it was undone");
    client.batch_execute("create table made as select generate_series(1, 3)").await.unwrap();
    for hidden in [
        "with d as (delete from n returning v) select count(*) from d",
        "truncate n",
        "do 'begin delete from n; end'",
        "explain analyze delete from n",
    ] {
        let error = refusal(client.batch_execute(hidden).await.unwrap_err());
        assert!(
            error.detail().is_some_and(|detail| detail.contains("rows_not_counted")),
            "{hidden} {error:?}"
        );
    }
    for control in ["begin; delete from n; commit", "delete from n; commit"] {
        let error = refusal(client.batch_execute(control).await.unwrap_err());
        assert!(error.detail().is_some_and(|detail| detail.contains("transaction_control")), "{error:?}");
    }
    client.batch_execute("vacuum n").await.unwrap();
    assert_eq!(count(&house).await, 3);
    drop(client);
    verified(&house, "kinds").await;
}

#[tokio::test]
async fn what_fails_at_commit_reaches_the_client() {
    let (house, client) = begun("max_rows_written: 3", "deferred").await;
    let tables = "create table p (id int primary key); create table c (id int references p deferrable initially deferred)";
    client.batch_execute(tables).await.unwrap();
    let error = refusal(client.batch_execute("insert into c values (1)").await.unwrap_err());
    assert_eq!(error.code().code(), "23503");
    assert!(error.detail().is_some_and(|detail| detail.contains("is not present")), "{error:?}");
    let error = refusal(client.execute("insert into c values (1)", &[]).await.unwrap_err());
    assert_eq!(error.code().code(), "23503");
    client.batch_execute("insert into p values (1); insert into c values (1)").await.unwrap();
    assert!(client.batch_execute("insert into nowhere values (1)").await.is_err());
    assert_eq!(client.execute("delete from c", &[]).await.unwrap(), 1);
    drop(client);
    verified(&house, "deferred").await;
}

#[tokio::test]
async fn answers_are_cut_off_and_the_session_goes_on() {
    let (house, mut client) = begun("max_rows_returned: 5", "returned").await;
    client.batch_execute(TEN).await.unwrap();
    let five = "select * from n limit 5";
    let all = "select v from n";
    assert_eq!(client.query(five, &[]).await.unwrap().len(), 5);
    assert_eq!(refusal(client.query(all, &[]).await.unwrap_err()).code().code(), "54000");
    assert_eq!(refusal(client.simple_query(all).await.unwrap_err()).code().code(), "54000");
    let long = "select generate_series(1, 300000)";
    assert_eq!(refusal(client.query(long, &[]).await.unwrap_err()).code().code(), "54000");
    // What would take for ever is cancelled.
    let endless = "select generate_series(1, 1000000000000)";
    for _ in 0..3 {
        assert_eq!(refusal(client.query(endless, &[]).await.unwrap_err()).code().code(), "54000");
        assert_eq!(refusal(client.simple_query(endless).await.unwrap_err()).code().code(), "54000");
        assert_eq!(client.query(five, &[]).await.unwrap().len(), 5);
    }
    // A change whose answer is cut off is undone.
    for simple in [true, false] {
        let sql = "delete from n returning v";
        let error = if simple {
            client.simple_query(sql).await.map(drop)
        } else {
            client.query(sql, &[]).await.map(drop)
        };
        assert_eq!(refusal(error.unwrap_err()).code().code(), "54000");
        assert_eq!(count(&house).await, 10);
    }
    let rows = client.copy_out("copy n to stdout").await.unwrap();
    let copied: Result<Vec<_>, _> = rows.try_collect().await;
    assert_eq!(refusal(copied.unwrap_err()).code().code(), "54000");
    let mut rows = Box::pin(client.copy_out("copy (select 1) to stdout (format binary)").await.unwrap());
    while let Some(row) = rows.next().await {
        row.unwrap();
    }
    let block = client.transaction().await.unwrap();
    assert!(block.query(all, &[]).await.is_err());
    assert_eq!(refusal(block.query(five, &[]).await.unwrap_err()).code().code(), "25P02");
    drop(block);
    assert_eq!(client.query(five, &[]).await.unwrap().len(), 5);
    drop(client);
    let receipts = verified(&house, "returned").await;
    assert!(
        receipts.iter().any(|receipt| told(receipt).starts_with("select deny too_many_rows_returned error"))
    );
}

#[tokio::test]
async fn in_shadow_mode_nothing_is_undone_and_it_is_said() {
    let house = House::start(&policy("shadow", "max_rows_written: 9")).await.unwrap();
    house.directly().await.unwrap().batch_execute(TABLE).await.unwrap();
    let client = house.through("options='-c clyra.run_id=shadow'").await.unwrap();
    client.batch_execute(TEN).await.unwrap();
    assert_eq!(client.execute(SIX, &[]).await.unwrap(), 6);
    assert_eq!(count(&house).await, 16);
    drop(client);
    let receipts = verified(&house, "shadow").await;
    let told: Vec<String> = receipts.iter().map(told).collect();
    assert_eq!(told, ["insert deny too_many_rows_written ok 10", "insert allow - ok 6"]);
    assert_eq!(receipts[0]["decision"]["enforced"], false);
}
