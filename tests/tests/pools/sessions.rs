//! Pools of sessions: a connection is used again after its client has left, and nothing of it is left.

use crate::{Scene, process, said, soon};
use std::time::Instant;

#[tokio::test]
async fn a_session_is_used_again_as_new() {
    let scene = Scene::new(&["--pool", "session", "--pool-size", "1"]).await;
    let first = scene.ann().await;
    let pid = process(&first).await;
    first
        .batch_execute(
            "set work_mem = '7MB'; create temp table mine (a int); listen news; prepare p as select 1",
        )
        .await
        .unwrap();
    assert_eq!(said(&first, "show work_mem").await.unwrap(), "7MB");
    drop(first);
    let second = scene.ann().await;
    assert_eq!(process(&second).await, pid, "the only one there may be");
    assert_eq!(said(&second, "show work_mem").await.unwrap(), "4MB");
    let left = "select (select count(*) from pg_class where relname = 'mine') + count(*) + \
                (select count(*) from pg_listening_channels()) from pg_prepared_statements";
    assert_eq!(said(&second, left).await.unwrap(), "0");
}

#[tokio::test]
async fn other_start_options_have_another_session() {
    let scene = Scene::new(&["--pool", "session", "--pool-size", "1"]).await;
    let first = scene.ann_with("options='-c work_mem=9MB'").await;
    let pid = process(&first).await;
    assert_eq!(said(&first, "show work_mem").await.unwrap(), "9MB");
    drop(first);
    let second = scene.ann().await;
    assert_ne!(process(&second).await, pid, "it made room");
    assert_eq!(said(&second, "show work_mem").await.unwrap(), "4MB");
    assert_eq!(scene.sessions().await, 1);
}

#[tokio::test]
async fn who_leaves_within_a_transaction_takes_the_session_along() {
    let scene = Scene::new(&["--pool", "session", "--pool-size", "1"]).await;
    let first = scene.ann().await;
    first.batch_execute("create table t (a int)").await.unwrap();
    first.batch_execute("begin; insert into t values (1)").await.unwrap();
    let pid = process(&first).await;
    drop(first);
    let second = scene.ann().await;
    assert_ne!(process(&second).await, pid);
    assert_eq!(said(&second, "select count(*) from t").await.unwrap(), "0");
    let deadline = soon();
    while scene.sessions().await != 1 {
        assert!(Instant::now() < deadline, "the broken one stays");
    }
}
