//! Velocity caps: never more than the budget, over all sessions and every crash.

use crate::{policy, told, verified};
use clyra_tests::{House, refusal};

#[tokio::test]
async fn sixteen_clients_together_get_exactly_a_hundred() {
    let guard = "velocity: {per: actor, of: statements, budget: 100 per 1h}";
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let client = house.through("options='-c clyra.run_id=hundred'").await.unwrap();
        tasks.spawn(async move {
            let mut passed = 0;
            for _ in 0..20 {
                let simple = number % 2 == 0;
                let answer = if simple {
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
    assert_eq!(tasks.join_all().await.into_iter().sum::<usize>(), 100);
    let client = house.through("").await.unwrap();
    let error = refusal(client.batch_execute("select 1").await.unwrap_err());
    let message = "clyra: rule `bound` refuses more than 100 statements in 1 h for one actor: 100 are used";
    assert_eq!(error.message(), message);
    assert!(error.hint().is_some_and(|hint| hint.starts_with("retry in ")), "{error:?}");
    drop(client);
    let receipts = verified(&house, "hundred").await;
    let throttled =
        receipts.iter().filter(|one| told(one).starts_with("select throttle budget_spent")).count();
    assert_eq!((receipts.len(), throttled), (320, 220));
}

#[tokio::test]
async fn neither_a_kill_nor_a_restart_makes_more_of_a_budget() {
    let guard = "velocity: {per: user, of: statements, budget: 20 per 1h}";
    let mut house = House::start(&policy("enforce", guard)).await.unwrap();
    let mut passed = 0;
    for round in 0..4 {
        let client = house.through("").await.unwrap();
        for _ in 0..7 {
            passed += usize::from(client.batch_execute("select 1").await.is_ok());
        }
        drop(client);
        if round % 2 == 0 {
            house.kill().unwrap()
        } else {
            house.stop().await.unwrap()
        }
        house.up().await.unwrap();
    }
    assert_eq!(passed, 20, "slices are of one, so that a kill loses none");
}

#[tokio::test]
async fn rows_written_are_taken_when_they_stand() {
    let guard = "velocity: {per: actor, of: rows_written, budget: 10 per 1h}";
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    let client = house.through("options='-c clyra.run_id=rows'").await.unwrap();
    client.batch_execute("create table n (v int)").await.unwrap();
    let insert = |rows: u32| format!("insert into n select generate_series(1, {rows})");
    client.batch_execute(&insert(6)).await.unwrap();
    assert!(client.batch_execute("insert into n values ('no number')").await.is_err());
    assert_eq!(refusal(client.execute(&insert(5), &[]).await.unwrap_err()).code().code(), "53400");
    assert_eq!(client.execute(&insert(4), &[]).await.unwrap(), 4);
    assert_eq!(refusal(client.batch_execute(&insert(1)).await.unwrap_err()).code().code(), "53400");
    let rows: i64 = client.query_one("select count(*) from n", &[]).await.unwrap().get(0);
    assert_eq!(rows, 10);
    drop(client);
    let receipts = verified(&house, "rows").await;
    let told: Vec<String> = receipts.iter().map(told).filter(|told| told.starts_with("insert")).collect();
    assert_eq!(told[2], "insert throttle budget_spent error 5");
    assert_eq!(told[4], "insert throttle budget_spent - -", "{told:?}");
}

#[tokio::test]
async fn answers_are_let_through_as_far_as_the_budget_goes() {
    for (guard, passes) in [
        ("velocity: {per: actor, of: rows_returned, budget: 100 per 1h}", 100),
        ("velocity: {per: actor, of: bytes_out, budget: 4000 per 1h}", 99),
    ] {
        let house = House::start(&policy("enforce", guard)).await.unwrap();
        let client = house.through("").await.unwrap();
        let of = |rows: usize| format!("select generate_series(1, {rows})");
        assert_eq!(client.query(&of(passes), &[]).await.unwrap().len(), passes, "{guard}");
        assert_eq!(refusal(client.query(&of(500), &[]).await.unwrap_err()).code().code(), "53400", "{guard}");
        assert_eq!(refusal(client.query(&of(500), &[]).await.unwrap_err()).code().code(), "53400", "{guard}");
    }
}

#[tokio::test]
async fn a_rate_lets_a_burst_through_and_shadow_only_says_so() {
    let guard = "velocity: {per: rule, of: statements, rate: 1/h burst 3}";
    let house = House::start(&policy("enforce", guard)).await.unwrap();
    let client = house.through("").await.unwrap();
    let mut passed = 0;
    for _ in 0..6 {
        passed += usize::from(client.batch_execute("select 1").await.is_ok());
    }
    assert_eq!(passed, 3);
    let house = House::start(&policy("shadow", guard)).await.unwrap();
    let client = house.through("options='-c clyra.run_id=shadow'").await.unwrap();
    for _ in 0..6 {
        client.batch_execute("select 1").await.unwrap();
    }
    drop(client);
    let receipts = verified(&house, "shadow").await;
    let throttled = receipts.iter().filter(|one| told(one) == "select throttle rate_exceeded ok 1").count();
    assert_eq!((receipts.len(), throttled), (6, 3));
    assert!(receipts.iter().all(|receipt| receipt["decision"]["rules"][0]["enforced"] != true));
}
