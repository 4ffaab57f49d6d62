//! Bounds of cost: the planner is asked with the values that the statement will have, and nothing dear runs.

use crate::{policy, told, verified};
use clyra_tests::{House, refusal};

const TABLE: &str = "create table big (id int primary key, v int); insert into big select g, g from generate_series(1, 50000) g; analyze big";

#[tokio::test]
async fn what_the_planner_finds_dear_does_not_run() {
    let house = House::start(&policy("enforce", "max_cost: 500")).await.unwrap();
    house.directly().await.unwrap().batch_execute(TABLE).await.unwrap();
    let mut client = house.through("options='-c clyra.run_id=cost'").await.unwrap();
    let error = refusal(client.batch_execute("select * from big").await.unwrap_err());
    assert_eq!(error.code().code(), "54000");
    assert!(
        error
            .message()
            .starts_with("clyra: rule `bound` refuses a statement that the planner expects to cost ")
    );
    client.batch_execute("select * from big where id = 7").await.unwrap();
    assert!(client.batch_execute("select 1; select * from big").await.is_err());
    // The values count: a wide range is dear, a narrow one is not.
    let range = client.prepare("select * from big where id between $1 and $2").await.unwrap();
    assert_eq!(client.query(&range, &[&1_i32, &5_i32]).await.unwrap().len(), 5);
    assert_eq!(
        refusal(client.query(&range, &[&1_i32, &49_000_i32]).await.unwrap_err()).code().code(),
        "54000"
    );
    assert_eq!(client.query(&range, &[&1_i32, &5_i32]).await.unwrap().len(), 5);
    assert!(client.execute("delete from big", &[]).await.is_err());
    // The server's own errors reach the client.
    assert_eq!(
        refusal(client.batch_execute("select * from nowhere").await.unwrap_err()).code().code(),
        "42P01"
    );
    assert_eq!(refusal(client.query("select 1 / $1", &[&0_i32]).await.unwrap_err()).code().code(), "22012");
    let block = client.transaction().await.unwrap();
    block.execute("update big set v = 0 where id = 7", &[]).await.unwrap();
    assert!(block.query("select * from big", &[]).await.is_err());
    assert_eq!(refusal(block.query("select 1", &[]).await.unwrap_err()).code().code(), "25P02");
    block.commit().await.unwrap();
    client.batch_execute("prepare p as select * from big; set statement_timeout = 0").await.unwrap();
    assert!(client.batch_execute("execute p").await.is_err());
    assert!(client.batch_execute("do 'begin end'").await.is_err());
    let row = client.query_one("select v from big where id = $1", &[&7_i32]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    drop(client);
    let receipts = verified(&house, "cost").await;
    assert_eq!(told(&receipts[0]), "select deny too_costly skipped -");
}

#[tokio::test]
async fn in_shadow_mode_it_is_said_and_nothing_is_hurt() {
    let house = House::start(&policy("shadow", "max_cost: 500")).await.unwrap();
    house.directly().await.unwrap().batch_execute(TABLE).await.unwrap();
    let mut client = house.through("options='-c clyra.run_id=shadow'").await.unwrap();
    client.batch_execute("select * from big").await.unwrap();
    assert_eq!(client.query("select * from big", &[]).await.unwrap().len(), 50_000);
    let block = client.transaction().await.unwrap();
    block.batch_execute("create table made (v int); select * from made").await.unwrap();
    block.commit().await.unwrap();
    drop(client);
    let receipts = verified(&house, "shadow").await;
    assert_eq!(told(&receipts[0]), "select deny too_costly ok 50000");
}
