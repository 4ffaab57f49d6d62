//! What the protocol carries beside statements: copies, notifications, notices, cancels, pipelines, big values.

use clyra_tests::{House, STRICT, shadow};
use futures_util::{SinkExt as _, TryStreamExt as _, future::join};
use tokio_postgres::error::SqlState;

#[tokio::test]
async fn copies_run_both_ways() {
    for policy in [shadow(), STRICT.to_owned()] {
        let house = House::start(&policy).await.unwrap();
        let client = house.through("options='-c clyra.run_id=copies'").await.unwrap();
        client.batch_execute("create table heap (id int, text text)").await.unwrap();
        let sink = client.copy_in("copy heap from stdin").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        for block in 0..200 {
            let rows: String = (0..100).map(|row| format!("{}\tvalue\n", block * 100 + row)).collect();
            sink.send(std::io::Cursor::new(rows.into_bytes())).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 20_000);
        let out = client.copy_out("copy heap to stdout").await.unwrap();
        let bytes: Vec<_> = out.try_collect().await.unwrap();
        let lines = bytes.iter().flat_map(|piece| piece.iter()).filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, 20_000);
        // A copy that fails leaves the session well.
        let sink = client.copy_in::<_, std::io::Cursor<Vec<u8>>>("copy heap from stdin").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(std::io::Cursor::new(b"no number\tvalue\n".to_vec())).await.unwrap();
        assert!(sink.finish().await.is_err());
        client.batch_execute("select 1").await.unwrap();
        drop(client);
        let receipts = clyra_tests::receipts(&house.cut("copies").await.unwrap());
        let rows = |verb: &str| {
            let found = receipts
                .iter()
                .find(|receipt| receipt["action"]["verb"] == verb && receipt["outcome"]["rows"].is_u64());
            found.unwrap()["outcome"]["rows"].as_u64()
        };
        assert_eq!((rows("copy_in"), rows("copy_out")), (Some(20_000), Some(20_000)));
    }
}

#[tokio::test]
async fn a_cancel_reaches_its_statement() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("").await.unwrap();
    let cancel = client.cancel_token();
    let watcher = house.directly().await.unwrap();
    let canceller = async {
        let active =
            "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'";
        while watcher.query_one(active, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    };
    let (slept, ()) = join(client.batch_execute("select pg_sleep(30)"), canceller).await;
    assert_eq!(clyra_tests::refusal(slept.unwrap_err()).code(), &SqlState::QUERY_CANCELED);
    client.batch_execute("select 1").await.unwrap();
}

#[tokio::test]
async fn pipelines_keep_their_order() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("").await.unwrap();
    let count = client.prepare("select count(*) from orders where id = $1").await.unwrap();
    let (good, refused) =
        join(client.query_one(&count, &[&1_i32]), client.query("delete from orders", &[])).await;
    assert_eq!(good.unwrap().get::<_, i64>(0), 1);
    assert_eq!(clyra_tests::refusal(refused.unwrap_err()).code(), &SqlState::INSUFFICIENT_PRIVILEGE);
    let answers = futures_util::future::join_all((0..50).map(|_| client.query_one(&count, &[&1_i32]))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().get::<_, i64>(0) == 1));
}

#[tokio::test]
async fn big_values_pass_in_small_memory() {
    let house = House::start(&shadow()).await.unwrap();
    let client = house.through("").await.unwrap();
    let big = "x".repeat(64 << 20);
    let length: i32 = client.query_one("select length($1::text)", &[&big]).await.unwrap().get(0);
    assert_eq!(length, 64 << 20);
    // As text of a statement, too: both what is read and what is too long for that.
    for megabytes in [2, 6] {
        let text = format!("select '{}' is null", "x".repeat(megabytes << 20));
        client.batch_execute(&text).await.unwrap();
    }
    let back: String = client.query_one("select repeat('y', 64 << 20)", &[]).await.unwrap().get(0);
    assert_eq!(back.len(), 64 << 20);
    let pid = house.standing["pid"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kilobytes: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes < 200 << 10, "{peak}");
}
