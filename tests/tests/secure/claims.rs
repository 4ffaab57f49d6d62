//! Claims about a run: said by SET, by comments and by dbt; what receipts say of them, and what the server never sees.

use crate::{psql, soon};
use clyra_tests::{House, receipts, shadow};
use serde_json::Value;
use std::time::Instant;

/// The receipts of a run, once there are so many.
async fn all(house: &House, run: &str, count: usize) -> Vec<Value> {
    let deadline = soon();
    loop {
        let found = house.cut(run).await.map(|bundle| receipts(&bundle)).unwrap_or_default();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < deadline, "{} receipts of run `{run}`", found.len());
    }
}

async fn shown(client: &tokio_postgres::Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn settings_are_answered_by_the_gateway() {
    let policy = clyra_tests::STRICT.replace("evidence: strict", "evidence: async");
    let policy = policy.replace("  - id: lock\n    session_lock: true\n", "");
    let house = House::start(&policy).await.unwrap();
    let client = house.through("options='-c clyra.run_id=begun'").await.unwrap();
    for round in ["simple", "extended"] {
        let say = async |sql: &str| match round {
            "simple" => client.batch_execute(sql).await,
            _ => client.execute(sql, &[]).await.map(drop),
        };
        say(&format!("SET clyra.run_id = 'one-{round}'")).await.unwrap();
        say("SET clyra.change_intent TO 'CHG 1'").await.unwrap();
        say("SELECT 1").await.unwrap();
        assert_eq!(shown(&client, "SHOW clyra.run_id").await, format!("one-{round}"));
        let rows = client.simple_query("SHOW Clyra.Change_Intent").await.unwrap();
        assert!(format!("{rows:?}").contains("CHG 1"), "{rows:?}");
        let unknown = say("SET clyra.run = 'x'").await.unwrap_err();
        let unknown = clyra_tests::refusal(unknown);
        assert_eq!(unknown.code().code(), "42704");
        assert!(unknown.hint().unwrap().contains("clyra.run_id"));
        // Transactions treat claims as they treat settings.
        for (end, after) in [("COMMIT", "kept"), ("ROLLBACK", "one")] {
            say(&format!("SET clyra.run_id = 'one-{round}'")).await.unwrap();
            client.batch_execute("BEGIN").await.unwrap();
            say(&format!("SET clyra.run_id = 'kept-{round}'")).await.unwrap();
            say(&format!("SET LOCAL clyra.run_id = 'local-{round}'")).await.unwrap();
            say("SELECT 2").await.unwrap();
            client.batch_execute(end).await.unwrap();
            assert_eq!(shown(&client, "SHOW clyra.run_id").await, format!("{after}-{round}"));
        }
        assert_eq!(
            shown(&client, "SELECT set_config('clyra.run_id', 'by function', false)").await,
            "by function"
        );
        say("RESET clyra.run_id").await.unwrap();
        assert_eq!(shown(&client, "SHOW clyra.run_id").await, "begun");
        assert_eq!(all(&house, &format!("local-{round}"), 2).await.len(), 4);
        let one = all(&house, &format!("one-{round}"), 1).await;
        assert!(one.iter().all(|receipt| receipt["run"]["change_intent"] == "CHG 1"));
        let seen = "select count(*) from pg_settings where name like 'clyra.%' and name <> 'clyra.run_id'";
        let seen: i64 = client.query_one(seen, &[]).await.unwrap().get(0);
        assert_eq!(seen, 0, "the server was never told");
    }
    // In a transaction that has failed, they fail as everything does.
    client.batch_execute("BEGIN").await.unwrap();
    client.batch_execute("SELECT 1/0").await.unwrap_err();
    let failed = client.batch_execute("SET clyra.run_id = 'x'").await.unwrap_err();
    assert_eq!(clyra_tests::refusal(failed).code().code(), "25P02");
    client.batch_execute("ROLLBACK").await.unwrap();
    client.batch_execute("SET clyra.run_id = 'x'").await.unwrap();
    client.batch_execute("DISCARD ALL").await.unwrap();
    assert_eq!(shown(&client, "SHOW clyra.run_id").await, "begun");
    let (bundle, said) = (house.cut("one-simple").await.unwrap(), "PASS");
    assert!(house.verify(&bundle).unwrap().1.to_string().contains(said));
}

#[tokio::test]
async fn comments_name_runs_statement_by_statement() {
    let house = House::start(&shadow()).await.unwrap();
    let gate = house.addr("listen").unwrap();
    let trace = "5bd66ef5095369c7b0d1f8f4bd33716a";
    let statements = [
        format!(
            "select 1 /*clyra.payout_ref='p%201',clyra.run_id='commented',traceparent='00-{trace}-c532cb4098ac3dd2-01'*/"
        ),
        "select 2".to_owned(),
        r#"/* {"app": "dbt", "node_id": "model.shop.orders", "invocation_id": "invoked"} */ select 3"#
            .to_owned(),
        "select 4 /*clyra.run_id='commented'*/".to_owned(),
        "select 5 /*clyra.run_id='com%0Amented%22%2C%22v%22%3A'*/".to_owned(),
    ];
    for sql in &statements {
        assert!(psql(gate, "user=postgres", sql).0);
    }
    let commented = all(&house, "commented", 2).await;
    assert_eq!(commented.len(), 2);
    assert_eq!(commented[0]["run"]["payout_ref"], "p 1");
    assert_eq!(commented[0]["action"]["trace"], trace);
    assert_eq!(commented[1]["run"]["run_seq"], 2);
    assert_eq!(all(&house, "invoked", 1).await[0]["run"]["asset_ids"][0], "model.shop.orders");
    let hostile = all(&house, "commented\",\"v\":", 1).await;
    assert_eq!(hostile[0]["run"]["run_id"], "commented\",\"v\":");
    let bundle = house.cut("commented").await.unwrap();
    assert!(house.verify(&bundle).unwrap().1.to_string().contains("PASS"));
    // Within a session that has a run of its own, a comment counts first, and dbt's invocation last.
    let session = "user=postgres options='-c clyra.run_id=own'";
    assert!(psql(gate, session, &statements[0]).0 && psql(gate, session, &statements[2]).0);
    assert_eq!(all(&house, "own", 1).await.len(), 1);
    assert_eq!(all(&house, "commented", 3).await.len(), 3);
}
