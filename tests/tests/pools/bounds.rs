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

/// A client whose connection is ended reads why, is not left hanging, and the place is another's at once.
#[tokio::test]
async fn a_connection_that_is_ended_takes_one_client_along() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "1"]).await;
    let own = scene.house.directly().await.unwrap();
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    ann.batch_execute("create table t (a int)").await.unwrap();
    ann.batch_execute("begin; insert into t values (1)").await.unwrap();
    let pid = process(&ann).await;
    let long = ann.batch_execute("select pg_sleep(600)");
    let waits = ben.query_one("select pg_backend_pid(), (select count(*) from t)", &[]);
    let ends = async {
        let runs =
            "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(600)'";
        let deadline = soon();
        while own.query_one(runs, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline);
        }
        own.query_one("select pg_terminate_backend($1)", &[&pid]).await.unwrap();
    };
    let (ended, waited, ()) = tokio::join!(long, waits, ends);
    assert_eq!(ended.unwrap_err().code().unwrap().code(), "57P01");
    let waited = waited.unwrap();
    assert_ne!(waited.get::<_, i32>(0), pid);
    assert_eq!(waited.get::<_, i64>(1), 0, "what was not committed is gone");
    assert!(ann.simple_query("select 1").await.is_err(), "its session is over");
    assert_eq!(said(&scene.ann().await, "select 1").await.unwrap(), "1");
}

/// `CLYRA_CONNECTS=5000` makes it the long run, whose figures `--no-capture` shows; a usual check has fewer.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no setting of the product")]
async fn clients_that_come_and_go_leave_nothing() {
    let connects = std::env::var("CLYRA_CONNECTS").map_or(1_000, |count| count.parse().unwrap());
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "4"]).await;
    let pid = scene.house.standing.get("pid").unwrap().to_string();
    let files = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let come_and_go = async |count: usize| {
        for number in 0..count {
            let client = scene.ann().await;
            if number % 10 == 0 {
                assert_eq!(said(&client, "select 1").await.unwrap(), "1");
            }
        }
    };
    come_and_go(connects / 5).await;
    let (files_before, resident_before) = (files(), resident());
    come_and_go(connects).await;
    let deadline = soon();
    while files() > files_before {
        assert!(Instant::now() < deadline, "{} files more than before", files() - files_before);
    }
    let resident_after = resident();
    println!(
        "{connects} connects: files {files_before} before, {} after; resident KiB {resident_before} before, \
         {resident_after} after",
        files()
    );
    assert!(
        resident_after < resident_before + GROWTH_KIB_MAX,
        "{resident_before} KiB, then {resident_after}"
    );
    assert!(scene.sessions().await <= 4);
}

#[test]
fn clients_that_log_in_at_the_server_cannot_share() {
    let clyra = clyra_tests::program("clyra").unwrap();
    let ran = Command::new(clyra).args(["up", "--pool", "transaction"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("--pool needs --login"));
}

/// What the allocator may keep; a connection that leaves its two buffers behind would need a hundred times this.
const GROWTH_KIB_MAX: usize = 16 * 1024;
