//! Rollups of a log that a house has left: every day in a row, counted again by another hand, every lie named.

use crate::doubt;
use clyra_recorder::rollup;
use clyra_seal::{canonical, dsse, key::SigningKey};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use clyra_tests::{House, STRICT, program};
use jiff::{Timestamp, ToSpan as _, civil::Date};
use serde_json::Value;
use std::{fs, path::Path, process::Command};

#[tokio::test]
async fn days_follow_days_and_every_lie_is_named() {
    let mut house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=r1'").await.unwrap();
    client.batch_execute("update orders set status = status where id = 1").await.unwrap();
    assert!(client.batch_execute("drop table orders").await.is_err());
    client.query("select id from orders where id = $1", &[&1_i32]).await.unwrap();
    drop(client);
    house.clyra(&["kill", "on", "--reason", "drill"]).unwrap();
    house.settled().await.unwrap();
    let data = house.data().join("recorder");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let told = Command::new(program("clyra").unwrap())
        .args(["rollup", "--json", "--data", &text(&data)])
        .output()
        .unwrap();
    assert!(told.status.success() && told.stdout.is_empty(), "the log's first day is not over: {told:?}");
    house.stop().await.unwrap();

    // As if three days had passed.
    let today: Date = Timestamp::now().to_string().split('T').next().unwrap().parse().unwrap();
    let later = today.checked_add(3.days()).unwrap().to_string();
    let made = rollup(&data, &later).await.unwrap();
    assert_eq!(made.len(), 3, "{made:?}");
    assert!(made[0].entries > 5 && made[1].entries == 0 && made[2].entries == 0, "{made:?}");
    assert_eq!(rollup(&data, &later).await.unwrap(), []);

    let trust = text(&house.data().join("trust.txt"));
    let (folder, log) = (data.join("rollup"), text(&data.join("log")));
    let all = || doubt(&["rollup", &text(&folder), "--log", &log, "--trust", &trust]);
    let (code, first, said) = all();
    assert_eq!((code, &*first), (Some(0), ""), "{said:#}");
    assert_eq!(doubt(&["rollup", &text(&folder), "--trust", &trust]).0, Some(3), "nothing was counted");
    let alone = doubt(&["rollup", &text(&made[1].path), "--log", &log, "--trust", &trust]);
    assert_eq!((alone.0, &*alone.1), (Some(3), "rollup-chain"), "{:#}", alone.2);

    let key = SigningKey::load(&data.join("bundle.key")).unwrap();
    let predicate = payload(&made[0].path, &key)["predicate"].clone();
    assert_eq!(predicate["denials"]["enforced"], 1, "{predicate:#}");
    assert_eq!(predicate["verbs"]["update"], 1);
    assert_eq!(predicate["policies"].as_array().unwrap().len(), 1);

    let with = |path: &Path, bytes: &[u8], check: &str| {
        let honest = fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        let (code, first, said) = all();
        assert_eq!((code, &*first), (Some(2), check), "{said:#}");
        fs::write(path, honest).unwrap();
    };
    let table = made[0].path.with_extension("csv");
    let other = fs::read_to_string(&table).unwrap().replace("update", "delete");
    with(&table, other.as_bytes(), "rollup-table");
    with(&made[0].path, &[], "rollup-form");
    with(&made[1].path, &fs::read(&made[2].path).unwrap(), "rollup-form");
    let stranger = SigningKey::from_seed(key.name(), &[9; 32]).unwrap();
    let mut honest = payload(&made[2].path, &key);
    with(&made[2].path, &signed(&honest, &stranger), "rollup-signature");
    honest["predicate"]["decisions"] = 1.into();
    with(&made[2].path, &signed(&honest, &key), "log-counts");
    let mut honest = payload(&made[2].path, &key);
    honest["predicate"]["log"]["root"] = "00".repeat(32).into();
    with(&made[2].path, &signed(&honest, &key), "log-root");
    let mut honest = payload(&made[1].path, &key);
    honest["predicate"]["producer"] = "other".into();
    with(&made[1].path, &signed(&honest, &key), "rollup-chain");
    fs::remove_file(&made[1].path).unwrap();
    assert_eq!(all().1, "rollup-chain", "a day is missing");
}

fn payload(path: &Path, key: &SigningKey) -> Value {
    let envelope = dsse::Envelope::from_slice(&fs::read(path).unwrap()).unwrap();
    serde_json::from_slice(&envelope.open(STATEMENT_PAYLOAD_TYPE, &key.verifying()).unwrap()).unwrap()
}

fn signed(statement: &Value, key: &SigningKey) -> Vec<u8> {
    dsse::sign(STATEMENT_PAYLOAD_TYPE, &canonical::to_vec(statement).unwrap(), key).to_vec().unwrap()
}
