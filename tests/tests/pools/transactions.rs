//! Pools of transactions: many clients, few connections, and to each client it looks as if it had its own.

use crate::{Scene, process, said, soon};
use std::{process::Command, time::Instant};
use tokio_postgres::{NoTls, error::SqlState};

const ONE: [&str; 4] = ["--pool", "transaction", "--pool-size", "1"];

#[tokio::test]
async fn prepared_statements_follow_their_client() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "2"]).await;
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    let same = "select $1::int + 1";
    let (of_ann, of_ben) = (ann.prepare(same).await.unwrap(), ben.prepare(same).await.unwrap());
    let other = ben.prepare("select $1::int + 2").await.unwrap();
    for round in 0..20_i32 {
        // Whoever is in a transaction keeps his session, so that the other has each of both in turn.
        ann.batch_execute("begin").await.unwrap();
        assert_eq!(ann.query_one(&of_ann, &[&round]).await.unwrap().get::<_, i32>(0), round + 1);
        assert_eq!(ben.query_one(&of_ben, &[&round]).await.unwrap().get::<_, i32>(0), round + 1);
        assert_eq!(ben.query_one(&other, &[&round]).await.unwrap().get::<_, i32>(0), round + 2);
        if round % 2 == 0 {
            ben.batch_execute("begin").await.unwrap();
            ann.batch_execute("commit").await.unwrap();
            assert_eq!(ann.query_one(&of_ann, &[&round]).await.unwrap().get::<_, i32>(0), round + 1);
            ben.batch_execute("commit").await.unwrap();
        } else {
            ann.batch_execute("commit").await.unwrap();
        }
    }
    drop(other);
    assert_eq!(ben.query_one(&of_ben, &[&1_i32]).await.unwrap().get::<_, i32>(0), 2);
    assert!(scene.sessions().await <= 2);
}

#[tokio::test]
async fn a_statement_prepared_after_a_change_sees_it() {
    let scene = Scene::new(&ONE).await;
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    ann.batch_execute("create table t (a int); insert into t values (1)").await.unwrap();
    let before = ann.prepare("select * from t").await.unwrap();
    assert_eq!(before.columns().len(), 1);
    ann.batch_execute("alter table t add b int").await.unwrap();
    let after = ben.prepare("select * from t").await.unwrap();
    assert_eq!(after.columns().len(), 2);
    assert_eq!(ben.query(&after, &[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn settings_follow_their_client() {
    let scene = Scene::new(&ONE).await;
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    ann.batch_execute("set work_mem = '7MB'; set search_path = pg_catalog, public").await.unwrap();
    assert_eq!(process(&ann).await, process(&ben).await, "they share it");
    assert_eq!(said(&ben, "show work_mem").await.unwrap(), "4MB");
    assert_eq!(said(&ann, "show work_mem").await.unwrap(), "7MB");
    assert_eq!(said(&ann, "show search_path").await.unwrap(), "pg_catalog, public");
    assert_eq!(said(&ben, "show search_path").await.unwrap(), "\"$user\", public");
    // What a transaction undoes does not follow, and what is local does not outlive it.
    ann.batch_execute("begin; set work_mem = '8MB'; rollback").await.unwrap();
    ann.batch_execute("begin; set local work_mem = '9MB'; commit").await.unwrap();
    ben.batch_execute("set DateStyle = 'German'").await.unwrap();
    assert_eq!(said(&ann, "show work_mem").await.unwrap(), "7MB");
    ann.batch_execute("reset all").await.unwrap();
    assert_eq!(said(&ann, "show work_mem").await.unwrap(), "4MB");
    assert_eq!(said(&ben, "select date '2026-01-02'::text").await.unwrap(), "02.01.2026");
    assert_eq!(said(&ann, "select date '2026-01-02'::text").await.unwrap(), "2026-01-02");
}

#[tokio::test]
async fn whoever_leaves_something_in_the_session_keeps_it() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "2"]).await;
    for sql in [
        "create temp table mine (a int)",
        "listen news",
        "select pg_advisory_lock(7)",
        "set app.tenant = '7'",
        "prepare p as select 1",
        "create table if not exists held (a int); begin; declare c cursor with hold for select 1; commit",
    ] {
        let (ann, ben) = (scene.ann().await, scene.ann().await);
        ann.batch_execute(sql).await.unwrap();
        let pid = process(&ann).await;
        for _ in 0..3 {
            assert_ne!(process(&ben).await, pid, "{sql}");
            assert_eq!(process(&ann).await, pid, "{sql}");
        }
        drop(ann);
        let deadline = soon();
        let left = "select (select count(*) from pg_locks where locktype = 'advisory') + \
                    (select count(*) from pg_class where relname = 'mine')";
        while said(&ben, left).await.unwrap() != "0" {
            assert!(Instant::now() < deadline, "{sql}");
        }
    }
}

#[tokio::test]
async fn or_is_refused_where_that_is_wanted() {
    let scene = Scene::new(&[&ONE[..], &["--pool-state", "refuse"]].concat()).await;
    let ann = scene.ann().await;
    for sql in ["listen news", "create temp table mine (a int)", "select pg_advisory_lock(1)", "set role app"]
    {
        let error = ann.batch_execute(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::FEATURE_NOT_SUPPORTED, "{sql}");
        assert!(error.hint().unwrap().contains("--pool-state"));
    }
    // Within a transaction that is lost, too.
    ann.batch_execute("create table t (a int)").await.unwrap();
    ann.batch_execute("begin; insert into t values (1)").await.unwrap();
    ann.batch_execute("listen news").await.unwrap_err();
    ann.batch_execute("commit").await.unwrap();
    assert_eq!(said(&ann, "select count(*) from t").await.unwrap(), "0");
}

#[tokio::test]
async fn names_can_be_forgotten_by_sql() {
    let scene = Scene::new(&ONE).await;
    let ann = scene.ann().await;
    let one = ann.prepare("select 1").await.unwrap();
    ann.batch_execute("deallocate all").await.unwrap();
    let error = ann.query(&one, &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::INVALID_SQL_STATEMENT_NAME));
    assert_eq!(said(&ann, "select 2").await.unwrap(), "2");
    ann.batch_execute("discard all").await.unwrap();
    let two = ann.prepare("select 2").await.unwrap();
    assert_eq!(ann.query_one(&two, &[]).await.unwrap().get::<_, i32>(0), 2);
}

/// A request to cancel reaches what its client runs, and nobody else.
#[tokio::test]
async fn cancels_reach_their_own() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "4"]).await;
    let (ann, ben) = (scene.ann().await, scene.ann().await);
    assert_eq!(said(&ann, "select 1").await.unwrap(), "1");
    // Nothing of ann's runs: her request hits nobody, though her last session is ben's now.
    let waits = ben.query_one("select pg_sleep(1)::text", &[]);
    let token = ann.cancel_token();
    let (waited, ()) = tokio::join!(waits, async {
        for _ in 0..5 {
            token.cancel_query(NoTls).await.unwrap();
        }
    });
    waited.unwrap();
    let token = ben.cancel_token();
    let long = ben.query_one("select pg_sleep(60)::text", &[]);
    let cancels = async {
        let own = scene.house.directly().await.unwrap();
        let runs = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'";
        let deadline = soon();
        while own.query_one(runs, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline);
        }
        token.cancel_query(NoTls).await.unwrap();
    };
    let (ended, ()) = tokio::join!(long, cancels);
    assert_eq!(ended.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(said(&ben, "select 1").await.unwrap(), "1");
}

#[tokio::test]
async fn many_clients_share_eight() {
    let scene = Scene::new(&["--pool", "transaction", "--pool-size", "8"]).await;
    let gate = scene.house.addr("listen").unwrap();
    let script = scene.house.path("one.sql");
    std::fs::write(&script, "\\set a random(1, 100)\nselect :a + 1;\n").unwrap();
    for mode in ["simple", "extended", "prepared"] {
        let ran = Command::new("pgbench")
            .args(["-h", "127.0.0.1", "-p", &gate.port().to_string(), "-U", "ann", "-n", "-M", mode])
            .args(["-c", "64", "-j", "2", "-t", "20", "-f"])
            .arg(&script)
            .arg("shop")
            .env("PGPASSWORD", "pw")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let words = String::from_utf8_lossy(&ran.stderr);
        assert!(said.contains("processed: 1280/1280"), "{mode}: {said}{words}");
    }
    assert!(scene.sessions().await <= 8);
}
