//! What becomes of clients that are at work, or wait for their turn, when the house is asked to end.

use crate::{Scene, process, soon};
use std::time::Instant;

#[tokio::test]
async fn who_is_at_work_finishes_and_who_waits_is_told() {
    for mode in ["transaction", "session"] {
        let mut scene = Scene::new(&["--pool", mode, "--pool-size", "2"]).await;
        let own = scene.house.directly().await.unwrap();
        let (ann, idle) = (scene.ann().await, scene.ann().await);
        ann.batch_execute("create table t (a int)").await.unwrap();
        ann.batch_execute("begin; insert into t values (1)").await.unwrap();
        assert_ne!(process(&ann).await, process(&idle).await);
        own.batch_execute("select pg_advisory_lock(7)").await.unwrap();
        let works = tokio::spawn(async move {
            // It waits until the house has been asked to end.
            let inserted = ann.batch_execute("insert into t select 2 from pg_advisory_xact_lock(7)").await;
            (inserted, ann.batch_execute("commit").await)
        });
        let asleep =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and usename = 'app'";
        let deadline = soon();
        while own.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline);
        }
        let gate = scene.house.addr("listen").unwrap();
        let meanwhile = async {
            while idle.simple_query("select 1").await.is_ok() {
                assert!(Instant::now() < deadline, "{mode}: an idle client stays");
            }
            let late = clyra_tests::connect(gate, "user=ann password=pw").await;
            assert!(late.is_err(), "{mode}: no more are let in");
            own.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
            let (inserted, committed) = works.await.unwrap();
            inserted.unwrap();
            committed.unwrap();
        };
        let (stopped, ()) = tokio::join!(scene.house.stop(), meanwhile);
        stopped.unwrap();
        let rows = own.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0);
        assert_eq!(rows, 2, "{mode}: what was acknowledged stands");
        let left = "select count(*) from pg_stat_activity where usename = 'app'";
        while own.query_one(left, &[]).await.unwrap().get::<_, i64>(0) != 0 {
            assert!(Instant::now() < deadline, "{mode}: connections stay open");
        }
    }
}
