//! What pools bound: how many connections, for how long one waits, how long one rests; and what breaks is dropped.

use crate::{Scene, process, said, soon};
use std::{process::Command, time::Instant};

#[tokio::test]
async fn who_waits_too_long_reads_why() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "1", "--pool-wait-max", "1"]).await;
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    ann.batch_execute("begin").await.unwrap();
    let error = ben.simple_query("select 1").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "53300");
    assert!(error.message().contains("none of the 1 connections"), "{}", error.message());
    assert!(error.hint().unwrap().contains("--pool-size"));
    ann.batch_execute("commit").await.unwrap();
    assert_eq!(said(&scene.ann().await, "select 1").await.unwrap(), "1");
}

#[tokio::test]
async fn broken_connections_are_not_lent() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "2"]).await;
    let ann = scene.ann().await;
    for _ in 0..3 {
        let pid = process(&ann).await;
        let own = scene.house.directly().await.unwrap();
        let ends = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'";
        own.simple_query(ends).await.unwrap();
        let deadline = soon();
        while scene.sessions().await != 0 {
            assert!(Instant::now() < deadline);
        }
        assert_ne!(process(&ann).await, pid);
    }
}

#[tokio::test]
async fn resting_connections_are_closed() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-idle-max", "1"]).await;
    let ann = scene.ann().await;
    process(&ann).await;
    let deadline = soon();
    while scene.sessions().await != 0 {
        assert!(Instant::now() < deadline, "it rests for too long");
    }
    process(&ann).await;
}

#[tokio::test]
async fn clients_that_come_and_go_leave_nothing() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "4"]).await;
    let pid = scene.house.standing.get("pid").unwrap().to_string();
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let come_and_go = async || {
        for _ in 0..20 {
            let clients = [scene.ann().await, scene.ann().await, scene.ann().await];
            for client in &clients {
                assert_eq!(said(client, "select 1").await.unwrap(), "1");
            }
        }
    };
    come_and_go().await;
    let before = files();
    come_and_go().await;
    let deadline = soon();
    while files() > before {
        assert!(Instant::now() < deadline, "{} files more than before", files() - before);
    }
    assert!(scene.sessions().await <= 4);
}

#[test]
fn clients_that_log_in_at_the_server_cannot_share() {
    let clyra = clyra_tests::program("clyra").unwrap();
    let ran = Command::new(clyra).args(["up", "--pool", "transaction"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("--pool needs --login"));
}
