//! What is on its way when the switch is turned: statements, transactions, copies, connections.

use crate::{OPEN, code, kill, release, set, until};
use clyra_tests::{
    House, entries,
    raw::{Raw, message, query},
    receipts,
};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[tokio::test]
async fn level_three_ends_a_sleep_of_psql() {
    let house = House::start(OPEN).await.unwrap();
    let (direct, listen) = (house.directly().await.unwrap(), house.addr("listen").unwrap());
    let psql = Command::new("psql")
        .args([
            "-h",
            &listen.ip().to_string(),
            "-p",
            &listen.port().to_string(),
            "-U",
            "postgres",
            "-d",
            "shop",
        ])
        .args(["-XAt", "-v", "VERBOSITY=verbose", "-c", "select pg_sleep(60)"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(&direct, "select count(*) = 1 from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'").await;
    let began = Instant::now();
    set(&house, "cancel_running", &[]);
    let output = psql.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "it was cancelled, not slept out");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("57014"), "{said}");
    until(&direct, "select count(*) = 0 from pg_stat_activity where query like 'select pg_sleep(60)%' and state = 'active'").await;
}

#[tokio::test]
async fn a_long_update_does_not_commit() {
    let house = House::start(&format!("{OPEN}evidence: strict\n")).await.unwrap();
    let direct = house.directly().await.unwrap();
    let client = house.through("options='-c clyra.run_id=long'").await.unwrap();
    let running = tokio::spawn(async move {
        let ended =
            client.batch_execute("update orders set note = 'killed' where pg_sleep(0.2) is not null").await;
        (client, ended)
    });
    until(
        &direct,
        "select count(*) = 1 from pg_stat_activity where query like 'update orders%' and state = 'active'",
    )
    .await;
    set(&house, "cancel_running", &[]);
    let (client, ended) = running.await.unwrap();
    assert_eq!(code(&ended.unwrap_err()), "57014");
    assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "ZC100");
    until(&direct, "select count(*) = 0 from orders where note = 'killed'").await;
    until(
        &direct,
        "select count(*) = 0 from pg_stat_activity where query like 'update orders%' and state = 'active'",
    )
    .await;
    release(&house, &[]);
    client.batch_execute("select 1").await.unwrap();
    drop(client);
    assert!(house.clyra(&["run-id", "close", "long"]).unwrap().status.success());
    let bundle = house.cut("long").await.unwrap();
    let ends: Vec<_> =
        receipts(&bundle).into_iter().filter(|one| one["outcome"]["status"] == "cancelled").collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["decision"]["rules"][0]["reason"], "cancel_running");
    assert_eq!(ends[0]["decision"]["verdict"], "kill");
    assert_eq!(house.verify(&bundle).unwrap().0, Some(0));
    let levels: Vec<_> = entries(&bundle)
        .iter()
        .filter(|one| one["kind"] == "switch")
        .map(|one| one["level"].clone())
        .collect();
    assert_eq!(levels, ["cancel_running", "observe"]);
}

#[tokio::test]
async fn an_open_transaction_is_rolled_back_at_once() {
    let house = House::start(OPEN).await.unwrap();
    let direct = house.directly().await.unwrap();
    let client = house.through("").await.unwrap();
    client.batch_execute("begin; update orders set note = 'open' where id = 1").await.unwrap();
    set(&house, "cancel_running", &[]);
    // Nobody has said a word, and the row is free again.
    until(&direct, "select pg_try_advisory_lock(1) and not exists (select from pg_stat_activity where state = 'idle in transaction')").await;
    direct
        .batch_execute("set lock_timeout = '5s'; update orders set note = 'free' where id = 1")
        .await
        .unwrap();
    assert_eq!(code(&client.batch_execute("commit").await.unwrap_err()), "ZC100");
    release(&house, &[]);
    // The client still has to end its transaction.
    assert_eq!(code(&client.batch_execute("select 1").await.unwrap_err()), "25P02");
    client.batch_execute("rollback").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    until(&direct, "select note = 'free' from orders where id = 1").await;
}

#[tokio::test]
async fn a_commit_is_refused_unless_the_policy_lets_it() {
    for (policy, passes) in [(OPEN.to_owned(), false), (format!("{OPEN}commit_on_kill: allow\n"), true)] {
        let house = House::start(&policy).await.unwrap();
        let direct = house.directly().await.unwrap();
        let client = house.through("").await.unwrap();
        client.batch_execute("begin; update orders set note = 'half' where id = 1").await.unwrap();
        set(&house, "block_statements", &[]);
        let ended = client.batch_execute("commit").await;
        assert_eq!(ended.is_ok(), passes, "{ended:?}");
        if !passes {
            assert_eq!(code(&ended.unwrap_err()), "ZC100");
            client.batch_execute("rollback").await.unwrap();
        }
        let kept: bool = direct
            .query_one("select coalesce(note = 'half', false) from orders where id = 1", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(kept, passes);
        release(&house, &[]);
    }
}

#[tokio::test]
async fn a_copy_is_broken_off_and_level_four_ends_connections() {
    let house = House::start(OPEN).await.unwrap();
    let direct = house.directly().await.unwrap();
    direct.batch_execute("create table copied (line text)").await.unwrap();
    let client = house.through("").await.unwrap();
    let idle = house.through("").await.unwrap();
    let mut raw = Raw::connect(house.addr("listen").unwrap()).await.unwrap();
    let mut copier = Raw::connect(house.addr("listen").unwrap()).await.unwrap();
    copier.say(&query("copy copied from stdin")).await.unwrap();
    copier.answer(b"G").await.unwrap();
    copier.say(&message(b'd', b"one\n")).await.unwrap();
    set(&house, "block_statements", &[]);
    let broken = copier.answer(b"Z").await.unwrap();
    assert!(String::from_utf8_lossy(&broken).contains("57014"), "{}", broken.escape_ascii());
    copier.say(&[message(b'c', b""), query("select 1")].concat()).await.unwrap();
    let refused = copier.answer(b"Z").await.unwrap();
    assert!(String::from_utf8_lossy(&refused).contains("ZC100"), "{}", refused.escape_ascii());
    until(&direct, "select count(*) = 0 from copied").await;

    set(&house, "disconnect", &[]);
    let told = raw.answer(b"E").await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("57P01"), "{told:?}");
    for client in [client, idle] {
        assert!(client.batch_execute("select 1").await.is_err());
        assert!(client.is_closed());
    }
    let refused = house.through("").await.unwrap_err();
    let refused: &tokio_postgres::Error = refused.downcast_ref().unwrap();
    assert_eq!(code(refused), "ZC100");
    until(&direct, "select count(*) = 0 from pg_stat_activity where application_name = 'journey' and pid <> pg_backend_pid()").await;
    kill(&house, &["release", "--reason", "over"]);
    house.through("").await.unwrap().batch_execute("select 1").await.unwrap();
}
