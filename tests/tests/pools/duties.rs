//! Bounds and caps behind pools: they hold for the client, whichever connection carries it.

use crate::{Scene, process};
use clyra_tests::refusal;

const TEN: &str = "insert into n select generate_series(1, 10)";
const SIX: &str = "insert into n select generate_series(1, 6)";

fn policy(guard: &str) -> String {
    format!("name: pools\nversion: 1\nmode: enforce\nevidence: strict\nrules:\n  - id: bound\n    {guard}\n")
}

#[tokio::test]
async fn too_many_rows_written_are_undone() {
    for mode in ["transaction", "session"] {
        let scene = Scene::under(&policy("max_rows_written: 9"), &["--pool", mode, "--pool-size", "2"]).await;
        let own = scene.house.directly().await.unwrap();
        own.batch_execute("create table n (v int); grant all on n to app").await.unwrap();
        let count = async || own.query_one("select count(*) from n", &[]).await.unwrap().get::<_, i64>(0);
        let (mut ann, ben) = (scene.ann().await, scene.ann().await);
        for round in 1..4 {
            let error = refusal(ann.batch_execute(TEN).await.unwrap_err());
            assert_eq!(error.code().code(), "54000", "{mode}");
            assert_eq!(refusal(ben.execute(TEN, &[]).await.unwrap_err()).code().code(), "54000", "{mode}");
            let prepared = ann.prepare(SIX).await.unwrap();
            assert_eq!(ann.execute(&prepared, &[]).await.unwrap(), 6, "{mode}");
            ben.batch_execute(SIX).await.unwrap();
            let block = ann.transaction().await.unwrap();
            block.execute(&prepared, &[]).await.unwrap();
            assert_eq!(refusal(block.batch_execute(TEN).await.unwrap_err()).code().code(), "54000", "{mode}");
            block.commit().await.unwrap();
            assert_eq!(count().await, 12 * round, "{mode}: neither the ten nor what was with them");
            // Nothing of it is left in the connections.
            assert_ne!(process(&ann).await, 0);
            assert_ne!(process(&ben).await, 0);
        }
        assert!(scene.sessions().await <= 2, "{mode}");
    }
}

#[tokio::test]
async fn a_budget_is_the_same_for_all_who_share() {
    for mode in ["transaction", "session"] {
        let guard = "velocity: {per: user, of: statements, budget: 60 per 1h}";
        let size = if mode == "session" { "12" } else { "3" };
        let scene = Scene::under(&policy(guard), &["--pool", mode, "--pool-size", size]).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let client = scene.ann().await;
            tasks.spawn(async move {
                let mut passed = 0;
                for _ in 0..10 {
                    let answer = if number % 2 == 0 {
                        client.batch_execute("select 1").await
                    } else {
                        client.query("select 1", &[]).await.map(drop)
                    };
                    match answer {
                        Ok(()) => passed += 1,
                        Err(error) => assert_eq!(refusal(error).code().code(), "53400"),
                    }
                }
                passed
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 60, "{mode}");
    }
}
