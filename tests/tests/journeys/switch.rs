//! The kill switch: set, seen by every session, kept over a restart, released, and in the log.

use crate::{STRICT, refusal};
use clyra_tests::House;

#[tokio::test]
async fn killed_and_released() {
    let mut house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=killed'").await.unwrap();
    let write = "update orders set status = status where id = 1";
    client.batch_execute(write).await.unwrap();
    said(&house, &["kill", "set", "--level", "block_writes", "--reason", "an agent runs away"]);
    let error = refusal(client.batch_execute(write).await.unwrap_err());
    assert_eq!(error.code().code(), "ZC100");
    client.batch_execute("select 1").await.unwrap();
    said(&house, &["kill", "set", "--level", "block_statements", "--reason", "still"]);
    assert!(client.batch_execute("select 1").await.is_err());
    drop(client);

    house.stop().await.unwrap();
    house.up().await.unwrap();
    assert!(said(&house, &["kill", "status"]).contains("block_statements"));
    let client = house.through("options='-c clyra.run_id=killed'").await.unwrap();
    assert!(client.batch_execute("select 1").await.is_err(), "the switch survives a restart");
    said(&house, &["kill", "release", "--reason", "it was stopped"]);
    client.batch_execute(write).await.unwrap();
    drop(client);

    said(&house, &["run-id", "close", "killed"]);
    let bundle = house.cut("killed").await.unwrap();
    let switches: Vec<String> = crate::bundles::entries(&bundle)
        .iter()
        .filter(|entry| entry["kind"] == "switch")
        .map(|entry| entry["level"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(switches, ["block_writes", "block_statements", "observe"]);
    let (code, said) = house.verify(&bundle).unwrap();
    assert_eq!(code, Some(0), "{said:#}");
}

fn said(house: &House, words: &[&str]) -> String {
    let output = house.clyra(words).unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
