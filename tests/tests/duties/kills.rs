//! The gateway killed with -9 in the middle of what it watches: nothing is committed that went too far or that no receipt
//! speaks of, and an approval is used at most once.

use clyra_tests::{House, Server, receipts, refusal};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio_postgres::Client;

/// A server that outlives the house before it.
async fn scene(policy: &str) -> (Server, House, Client) {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    let house = House::start_with(policy, &["--upstream", &format!("postgres://{}/shop", server.addr)])
        .await
        .unwrap();
    let owner = clyra_tests::connect(server.addr, "application_name=owner").await.unwrap();
    owner.batch_execute("create table n (id int)").await.unwrap();
    (server, house, owner)
}

async fn through(house: &House) -> Client {
    house.through("options='-c clyra.run_id=killed'").await.unwrap()
}

/// Waits until so many sessions of the gateway are as the condition says.
async fn wait_for(owner: &Client, condition: &str, count: i64) {
    let sql =
        format!("select count(*) from pg_stat_activity where application_name = 'journey' and {condition}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while owner.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0) != count {
        assert!(Instant::now() < deadline, "{count} sessions with {condition} never came");
    }
}

/// Receipts of changes, once the house is up again.
async fn told(house: &House) -> Vec<Value> {
    house.settled().await.unwrap();
    let all = receipts(&house.cut("killed").await.unwrap());
    all.into_iter()
        .filter(|one| ["insert", "update"].contains(&one["action"]["verb"].as_str().unwrap()))
        .collect()
}

const ROWS: &str =
    "name: kills\nversion: 1\nmode: enforce\nevidence: strict\nrules:\n  - {id: rows, max_rows_written: 9}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_gateway_watched_is_not_committed() {
    let (server, mut house, owner) = scene(ROWS).await;
    let lock = clyra_tests::connect(server.addr, "application_name=lock").await.unwrap();
    // One in autocommit, which the gateway wraps, one in the extended protocol, one in a block.
    let clients = [through(&house).await, through(&house).await, through(&house).await];
    let prepared = clients[1].prepare("insert into n values (2)").await.unwrap();
    clients[2].batch_execute("begin").await.unwrap();
    lock.batch_execute("begin; lock table n in share mode").await.unwrap();
    let mut asked = Vec::new();
    for (place, client) in clients.into_iter().enumerate() {
        let prepared = prepared.clone();
        asked.push(tokio::spawn(async move {
            match place {
                0 => client.batch_execute("insert into n select 1 from generate_series(1, 6)").await,
                1 => client.execute(&prepared, &[]).await.map(drop),
                _ => client.batch_execute("insert into n values (3)").await,
            }
        }));
    }
    wait_for(&owner, "wait_event_type = 'Lock'", 3).await;
    house.kill().unwrap();
    lock.batch_execute("commit").await.unwrap();
    for client in asked {
        assert!(client.await.unwrap().is_err(), "nobody was told that it is done");
    }
    wait_for(&owner, "true", 0).await;
    assert_eq!(count(&owner).await, 0);
    house.up().await.unwrap();
    let told = told(&house).await;
    let intents = told.iter().filter(|one| one["phase"] == "intent").count();
    assert_eq!((intents, told.len()), (3, 3), "three intents, and no outcome: nobody knows of one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_only_what_is_within_bounds_is_committed() {
    let (_server, mut house, owner) = scene(ROWS).await;
    let (heard, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (client, heard) = (through(&house).await, heard.clone());
        writers.spawn(async move {
            for number in 0.. {
                let id = writer * 100_000 + number;
                let rows = if number % 3 == 0 { 10 } else { 6 };
                let sql = format!("insert into n select {id} from generate_series(1, {rows})");
                let said = if number % 2 == 0 {
                    client.batch_execute(&sql).await
                } else {
                    client.execute(&sql, &[]).await.map(drop)
                };
                match said {
                    Ok(()) if heard.send(id).is_err() => return,
                    Err(error) if error.is_closed() || error.as_db_error().is_none() => return,
                    _ => {}
                }
            }
        });
    }
    drop(heard);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 120 {
        acknowledged.push(answers.recv().await.unwrap());
    }
    house.kill().unwrap();
    tokio::time::timeout(Duration::from_secs(20), async { while writers.join_next().await.is_some() {} })
        .await
        .unwrap();
    while let Ok(id) = answers.try_recv() {
        acknowledged.push(id);
    }
    wait_for(&owner, "true", 0).await;
    let rows = owner.query("select id, count(*) from n group by id", &[]).await.unwrap();
    let committed: BTreeMap<i32, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(committed.values().all(|count| *count == 6), "{committed:?}");
    assert!(acknowledged.iter().all(|id| committed.contains_key(id)), "what was acknowledged is there");
    house.up().await.unwrap();
    let told = told(&house).await;
    let count = |phase: &str, status: &str| {
        told.iter()
            .filter(|one| one["phase"] == phase && (status.is_empty() || one["outcome"]["status"] == status))
            .count()
    };
    let unsettled = count("intent", "") - count("outcome", "");
    let done = count("outcome", "ok");
    assert!(
        done <= committed.len() && committed.len() <= done + unsettled,
        "{done} {unsettled} {}",
        committed.len()
    );
    assert!(unsettled <= 4, "one for each client at most");
}

/// A house whose inserts need ann's consent, and the bounds that come with it.
async fn consented(more: &str) -> (Server, House, Client) {
    let scene = scene("name: t\nversion: 1\n").await;
    let file = scene.1.path("ann.key").display().to_string();
    let made = std::process::Command::new(clyra_tests::program("clyra").unwrap())
        .args(["keygen", "--name", "ann", "--out", &file])
        .output()
        .unwrap();
    let key = String::from_utf8(made.stdout).unwrap();
    let policy = format!(
        "name: consent\nversion: 2\nmode: enforce\nevidence: strict\napprovers: [{{name: ann, key: {}}}]\nrules:\n  \
         - {{id: consent, require_approval: true, when: {{tables: 'n'}}}}\n{more}",
        key.trim()
    );
    std::fs::write(scene.1.path("policy.yaml"), policy).unwrap();
    let (server, mut house, owner) = scene;
    house.stop().await.unwrap();
    house.up().await.unwrap();
    (server, house, owner)
}

fn approve(house: &House, sql: &str) {
    let key = house.path("ann.key").display().to_string();
    let said = house
        .clyra(&["approve", "--sql", sql, "--database", "shop", "--reason", "ticket 7", "--key", &key])
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

async fn count(owner: &Client) -> i64 {
    owner.query_one("select count(*) from n", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_used_at_most_once_whenever_the_gateway_dies() {
    let (_server, mut house, owner) = consented("").await;
    for round in 0..3_i64 {
        let sql = format!("insert into n values ({round})");
        approve(&house, &sql);
        let journal = house.data().join("gateway/approvals.jsonl");
        let bytes = || std::fs::metadata(&journal).unwrap().len();
        let before = bytes();
        let client = through(&house).await;
        let asked = {
            let sql = sql.clone();
            tokio::spawn(async move { client.batch_execute(&sql).await })
        };
        // Its use stands in the journal, and nothing later is known to have happened.
        let deadline = Instant::now() + Duration::from_secs(20);
        while bytes() == before {
            assert!(Instant::now() < deadline, "the approval is never used");
        }
        house.kill().unwrap();
        let heard = asked.await.unwrap().is_ok();
        wait_for(&owner, "true", 0).await;
        let of_round = format!("select count(*) from n where id = {round}");
        let committed: i64 = owner.query_one(&of_round, &[]).await.unwrap().get(0);
        assert!(committed >= i64::from(heard));
        house.up().await.unwrap();
        let again = through(&house).await.batch_execute(&sql).await.unwrap_err();
        assert!(refusal(again).detail().unwrap().contains("approval_missing"), "round {round}");
        let now: i64 = owner.query_one(&of_round, &[]).await.unwrap().get(0);
        assert_eq!(now, committed, "round {round}");
        let intents = told(&house).await.iter().filter(|one| !one["decision"]["approvals"].is_null()).count();
        assert!(
            i64::try_from(intents).unwrap() >= count(&owner).await,
            "{intents} receipts with an approval"
        );
    }
}

#[tokio::test]
async fn what_is_approved_is_still_counted_and_bounded() {
    let more = "  - {id: rows, max_rows_written: 4}\n  - {id: cap, velocity: {per: user, of: statements, budget: 3 per 1h}, when: {tables: 'n'}}\n";
    let (_server, house, owner) = consented(more).await;
    let client = through(&house).await;
    let five = "insert into n select generate_series(1, 5)";
    for extended in [false, true] {
        approve(&house, five);
        let said = if extended {
            client.execute(five, &[]).await.map(drop)
        } else {
            client.batch_execute(five).await
        };
        assert_eq!(
            refusal(said.unwrap_err()).message(),
            "clyra: rule `rows` refuses writing 5 rows, more than 4"
        );
    }
    assert_eq!(count(&owner).await, 0);
    // What was undone gives back what it took of the cap; what stands does not.
    for id in 0..3 {
        let one = format!("insert into n values ({id})");
        approve(&house, &one);
        client.batch_execute(&one).await.unwrap();
    }
    let last = "insert into n values (9)";
    approve(&house, last);
    let error = refusal(client.batch_execute(last).await.unwrap_err());
    assert_eq!(error.code().code(), "53400", "{error:?}");
    assert_eq!(count(&owner).await, 3);
    let list = house.clyra(&["approve", "list", "--json"]).unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert_eq!(list.matches("\"state\":\"used\"").count(), 5, "what a cap refuses uses no approval: {list}");
}
