//! The house killed with -9 under load: in strict evidence no statement without a receipt, otherwise a gap that shows.

use crate::{STRICT, shadow};
use clyra_tests::House;
use std::{collections::BTreeSet, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_evidence_holds_an_intent_for_every_write() {
    let mut house = House::start(STRICT).await.unwrap();
    house
        .directly()
        .await
        .unwrap()
        .batch_execute("create table marks (id bigint primary key)")
        .await
        .unwrap();
    let acknowledged = load_until_killed(&mut house, "strict").await;
    house.up().await.unwrap();
    let written: i64 =
        house.directly().await.unwrap().query_one("select count(*) from marks", &[]).await.unwrap().get(0);
    assert!(written >= i64::try_from(acknowledged.len()).unwrap());
    let receipts = crate::bundles::receipts(&house.cut("strict").await.unwrap());
    let intents = receipts
        .iter()
        .filter(|receipt| receipt["phase"] == "intent" && receipt["action"]["verb"] == "insert")
        .count();
    assert!(intents >= usize::try_from(written).unwrap(), "{written} rows, {intents} intents");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_evidence_shows_that_something_may_be_missing() {
    let mut house = House::start(&shadow()).await.unwrap();
    house
        .directly()
        .await
        .unwrap()
        .batch_execute("create table marks (id bigint primary key)")
        .await
        .unwrap();
    load_until_killed(&mut house, "gappy").await;
    house.up().await.unwrap();
    let client = house.through("options='-c clyra.run_id=gappy'").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    drop(client);
    house.clyra(&["run-id", "close", "gappy"]).unwrap();
    let bundle = house.cut("gappy").await.unwrap();
    let gaps: Vec<_> =
        crate::bundles::entries(&bundle).into_iter().filter(|entry| entry["kind"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:#?}");
    assert_eq!(gaps[0]["reason"], "unclean_stop");
    let (code, said) = house.verify(&bundle).unwrap();
    assert_eq!(code, Some(3), "{said:#}");
}

/// Four clients insert until the house is killed; gives the ids whose answer was heard.
async fn load_until_killed(house: &mut House, run: &str) -> BTreeSet<i64> {
    let mut writers = tokio::task::JoinSet::new();
    let (heard, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for writer in 0..4_i64 {
        let client = house.through(&format!("options='-c clyra.run_id={run}'")).await.unwrap();
        let heard = heard.clone();
        writers.spawn(async move {
            let insert = client.prepare("insert into marks values ($1)").await.unwrap();
            for number in 0.. {
                let id = writer * 1_000_000 + number;
                if client.execute(&insert, &[&id]).await.is_err() || heard.send(id).is_err() {
                    return;
                }
            }
        });
    }
    drop(heard);
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < 400 {
        acknowledged.insert(answers.recv().await.expect("the writers go on"));
    }
    house.kill().unwrap();
    let ended = async { while writers.join_next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("a killed house answers nobody");
    while let Ok(id) = answers.try_recv() {
        acknowledged.insert(id);
    }
    acknowledged
}
