//! Bounds and caps as psycopg 3, psql and pgbench meet them.

use crate::{policy, told, verified};
use clyra_tests::House;
use std::{path::Path, process::Command};

#[tokio::test]
async fn psycopg3_meets_a_bound_in_every_way_that_it_speaks() {
    let house = House::start(&policy("enforce", "max_rows_written: 3")).await.unwrap();
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    let find = "import suites; print(suites.OwnPsycopg3(suites.VERSIONS['own_psycopg3']).python)";
    let found = Command::new("python3").args(["-c", find]).current_dir(&clients).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    let python = String::from_utf8(found.stdout).unwrap();
    let listen = house.addr("listen").unwrap();
    let dsn = format!(
        "host={} port={} user=postgres dbname=shop options='-c clyra.run_id=psycopg'",
        listen.ip(),
        listen.port()
    );
    let ran = Command::new(python.lines().last().unwrap())
        .arg(clients.join("duties/bounds.py"))
        .env("CLYRA_DSN", dsn)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let receipts = verified(&house, "psycopg").await;
    assert!(receipts.iter().any(|receipt| told(receipt) == "insert deny too_many_rows_written error 4"));
}

#[tokio::test]
async fn pgbench_gets_exactly_its_budget() {
    let guard = "velocity: {per: rule, of: statements, budget: 100 per 1h}";
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    let listen = house.addr("listen").unwrap();
    let script = house.path("one.sql");
    std::fs::write(&script, "insert into n values (1);\n").unwrap();
    house.directly().await.unwrap().batch_execute("create table n (v int)").await.unwrap();
    for mode in ["simple", "extended", "prepared"] {
        let port = listen.port().to_string();
        let ran = Command::new("pgbench")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-n",
                "-c",
                "16",
                "-j",
                "2",
                "-t",
                "40",
                "-M",
                mode,
                "-f",
            ])
            .arg(&script)
            .arg("shop")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains("more than 100 statements in 1 h"), "{mode} {said}");
    }
    let client = house.directly().await.unwrap();
    let rows: i64 = client.query_one("select count(*) from n", &[]).await.unwrap().get(0);
    assert_eq!(rows, 100);
}
