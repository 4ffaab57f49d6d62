//! Replication connections: refused, unless the policy lets a caller have them; then carried whole, with a receipt.

use clyra_tests::{House, receipts, shadow};
use std::{
    process::{Command, Output},
    time::{Duration, Instant},
};

fn tool(house: &House, name: &str, words: &[&str]) -> Output {
    let gate = house.addr("listen").unwrap();
    Command::new(name)
        .args(["-h", "127.0.0.1", "-p", &gate.port().to_string(), "-U", "postgres", "-w"])
        .args(words)
        .env("PGOPTIONS", "-c clyra.run_id=replica")
        .output()
        .unwrap()
}

/// The first receipt of the run, once it is there.
async fn receipt(house: &House) -> serde_json::Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = house.cut("replica").await.map(|bundle| receipts(&bundle)).unwrap_or_default();
        if let Some(first) = found.first() {
            return first.clone();
        }
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn nobody_replicates_unasked() {
    let house = House::start(&shadow()).await.unwrap();
    let folder = house.path("backup").display().to_string();
    for (name, words) in [("pg_basebackup", &["-D", &folder][..]), ("pg_receivewal", &["-D", "/tmp", "-n"])] {
        let done = tool(&house, name, words);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains("lets no replication connection"), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_caller_may_and_a_receipt_says_so() {
    let policy = format!("{ALLOWED}rules: [{{id: no-drop, deny_verbs: [drop]}}]\n");
    let house = House::start(&policy).await.unwrap();
    let folder = house.path("backup").display().to_string();
    let done = tool(&house, "pg_basebackup", &["-D", &folder, "-X", "stream", "-c", "fast"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(house.path("backup").join("PG_VERSION").exists());
    let receipt = receipt(&house).await;
    let action = &receipt["action"];
    assert_eq!(
        (&action["verb"], &action["tags"][0]),
        (&"copy_out".into(), &"replication".into()),
        "{receipt}"
    );
    assert!(receipt["outcome"]["bytes_out"].as_u64().unwrap() > 0);
    // The kill switch holds here as everywhere.
    house.clyra(&["kill", "set", "--level", "block_statements", "--reason", "test"]).unwrap();
    let done = tool(&house, "pg_basebackup", &["-D", &house.path("other").display().to_string()]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("kill switch"), "{said}");
}

#[tokio::test]
async fn rules_about_tables_hold_a_replica_back() {
    let policy = format!("{ALLOWED}rules: [{{id: secrets, deny_tables: [secrets]}}]\n");
    let house = House::start(&policy).await.unwrap();
    let done = tool(&house, "pg_basebackup", &["-D", &house.path("backup").display().to_string()]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("rule `secrets`"), "{said}");
}

const ALLOWED: &str = "\
name: replicas
version: 1
mode: enforce
callers: [{match: {user: postgres}, replication: allow}]
";
