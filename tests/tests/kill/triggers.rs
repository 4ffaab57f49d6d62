//! What turns the switch without a call: time, a file, a signal, a rule that is broken too often.

use crate::{OPEN, code, kill, release, set, try_kill};
use clyra_tests::{House, entries};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Says this until it is refused, or passes; the SQLSTATE of the refusal.
async fn until(client: &Client, passes: bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let ended = client.batch_execute("select 1").await;
        if let Err(error) = &ended {
            assert_eq!(code(error), "ZC100");
        }
        if ended.is_ok() == passes {
            return;
        }
        assert!(Instant::now() < deadline, "it never becomes {passes}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_ends_when_its_time_is_over() {
    let house = House::start(OPEN).await.unwrap();
    let client = house.through("options='-c clyra.run_id=timed'").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    set(&house, "block_statements", &["--ttl", "1s"]);
    assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "ZC100");
    until(&client, true).await;
    drop(client);
    assert!(house.clyra(&["run-id", "close", "timed"]).unwrap().status.success());
    let bundle = house.cut("timed").await.unwrap();
    let causes: Vec<_> = entries(&bundle)
        .iter()
        .filter(|one| one["kind"] == "switch")
        .map(|one| one["cause"].clone())
        .collect();
    assert_eq!(causes, ["asked", "expired"]);
    assert_eq!(house.verify(&bundle).unwrap().0, Some(0));
}

#[tokio::test]
async fn a_file_and_a_signal_raise_it_and_a_person_releases_it() {
    let folder = clyra_tests::open_folder().unwrap();
    let file = folder.path().join("stop");
    let house = House::start_with(OPEN, &["--kill-file", &file.display().to_string()]).await.unwrap();
    let client = house.through("").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    std::fs::write(&file, "").unwrap();
    until(&client, false).await;
    let held = try_kill(&house, &["release", "--reason", "x"]);
    assert!(String::from_utf8_lossy(&held.stderr).contains("kill file"), "{held:?}");
    std::fs::remove_file(&file).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !try_kill(&house, &["release", "--reason", "x"]).status.success() {
        assert!(Instant::now() < deadline, "the file is gone");
    }
    until(&client, true).await;

    let pid = house.standing["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
    until(&client, false).await;
    assert!(kill(&house, &["status"]).contains("SIGUSR1"));
    release(&house, &[]);
    until(&client, true).await;
}

#[tokio::test]
async fn a_rule_that_is_broken_too_often_raises_it() {
    let policy = "name: t\nversion: 1\nmode: enforce\ncallers:\n  - match: {application: journey}\n    actor: etl\n\
                  rules:\n  - id: no-drop\n    deny_verbs: [drop]\n    on_denials: {count: 3, window: 1m}\n";
    let house = House::start(policy).await.unwrap();
    let client = house.through("").await.unwrap();
    for _ in 0..3 {
        assert_eq!(code(&client.batch_execute("drop table orders").await.unwrap_err()), "42501");
    }
    assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "ZC100");
    let said = kill(&house, &["status"]);
    assert!(said.contains("actor:etl") && said.contains("refused 3 times within 60 s"), "{said}");
    release(&house, &["--scope", "actor:etl"]);
    client.batch_execute("select 1").await.unwrap();
}
