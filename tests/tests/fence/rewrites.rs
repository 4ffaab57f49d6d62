//! Conditions that the gateway adds: whatever way a text goes to the server, it shows and changes the caller's rows
//! only, and receipts say what went there.

use super::reason;
use clyra_tests::{House, entries};
use futures_util::TryStreamExt as _;
use tokio_postgres::{Client, SimpleQueryMessage};

const POLICY: &str = "
name: fence
version: 1
mode: enforce
evidence: strict
callers:
  - match: {user: postgres}
    tenant: '42'
  - match: {user: ann}
    tenant: '42'
rules:
  - id: fence
    tenant_fence: {column: tenant_id, tables: [deals, notes], rewrite: [deals]}
";

const BOUNDED: &str = "  - {id: rows, max_rows_written: 4}\n  - {id: cost, max_cost: 100000}\n";

const SCHEMA: &str = "
create table deals (id int, tenant_id int);
create table notes (id int, tenant_id int);
insert into deals select n, 42 + n % 2 from generate_series(0, 9) n;";

async fn house(more: &str) -> (House, Client) {
    let house = House::start(&format!("{POLICY}{more}")).await.unwrap();
    house.directly().await.unwrap().batch_execute(SCHEMA).await.unwrap();
    let client = house.through("options='-c clyra.run_id=changed'").await.unwrap();
    (house, client)
}

/// Rows of a simple query.
async fn seen(client: &Client, sql: &str) -> usize {
    let messages = client.simple_query(sql).await.unwrap();
    messages.iter().filter(|one| matches!(one, SimpleQueryMessage::Row(_))).count()
}

/// How many deals of the other tenant there are, and how many of them are as they were.
async fn others(owner: &Client) -> (i64, i64) {
    let sql = "select count(*), count(*) filter (where id < 10) from deals where tenant_id <> 42";
    let row = owner.query_one(sql, &[]).await.unwrap();
    (row.get(0), row.get(1))
}

#[tokio::test]
async fn what_lacks_the_condition_gets_it() {
    let (house, client) = house("").await;
    let owner = house.directly().await.unwrap();
    assert_eq!(seen(&client, "select * from deals where id < 4 or true").await, 5);
    assert_eq!(client.query("select * from deals where id < $1", &[&4]).await.unwrap().len(), 2);
    let again = client.prepare("select count(*) from deals where id < $1").await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.query_one(&again, &[&100]).await.unwrap().get::<_, i64>(0), 5);
    }
    client.batch_execute("begin").await.unwrap();
    assert_eq!(client.execute("update deals set id = id + 100", &[]).await.unwrap(), 5);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(others(&owner).await, (5, 5));
    assert_eq!(client.execute("delete from deals", &[]).await.unwrap(), 5);
    assert_eq!(owner.query("select from deals", &[]).await.unwrap().len(), 5, "those of the other tenant");
    let left = "select * from deals d left join deals e on e.id = d.id";
    for sql in ["select * from notes", left, "insert into deals (id) values (1)"] {
        let refused = reason(client.query(sql, &[]).await.unwrap_err());
        assert!(["fence_unproven", "fence_write"].contains(&refused.as_str()), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn texts_within_texts_get_it() {
    let (house, client) = house("").await;
    let owner = house.directly().await.unwrap();
    client.batch_execute("prepare p as select * from deals where id >= $1").await.unwrap();
    assert_eq!(seen(&client, "execute p(0)").await, 5);
    assert_eq!(client.query("execute p(4)", &[]).await.unwrap().len(), 3);
    let copied: Vec<bytes::Bytes> =
        client.copy_out("copy (select * from deals) to stdout").await.unwrap().try_collect().await.unwrap();
    assert_eq!(copied.len(), 5);
    client.batch_execute("begin; declare c cursor for select 1").await.unwrap();
    client.batch_execute("declare d scroll cursor for select * from deals order by id").await.unwrap();
    assert_eq!(seen(&client, "fetch all from d").await, 5);
    client.batch_execute("commit").await.unwrap();
    assert!(seen(&client, "explain analyze update deals set id = id + 100").await > 0);
    assert_eq!(others(&owner).await, (5, 5));
    // Several statements in one message are left as they are.
    let refused = client.simple_query("select * from deals; select * from deals").await.unwrap_err();
    assert_eq!(reason(refused), "fence_unproven");
    // An error behind the condition has the place of the new text, one before it that of the client's.
    let error = clyra_tests::refusal(client.simple_query("select nix from deals").await.unwrap_err());
    assert_eq!(error.position(), Some(&tokio_postgres::error::ErrorPosition::Original(8)));
}

#[tokio::test]
async fn bounds_see_what_goes_to_the_server() {
    let (house, client) = house(BOUNDED).await;
    let owner = house.directly().await.unwrap();
    for sql in ["update deals set id = id + 100", "delete from deals"] {
        let simple = clyra_tests::refusal(client.batch_execute(sql).await.unwrap_err());
        let extended = clyra_tests::refusal(client.execute(sql, &[]).await.unwrap_err());
        for error in [simple, extended] {
            assert_eq!(error.message(), "clyra: rule `rows` refuses writing 5 rows, more than 4");
        }
    }
    client.batch_execute("update deals set id = 100 where id < 8").await.unwrap();
    assert_eq!(client.execute("update deals set id = 101 where id = 100", &[]).await.unwrap(), 4);
    assert_eq!(others(&owner).await, (5, 5));
    assert_eq!(seen(&client, "select * from deals").await, 5);
}

#[tokio::test]
async fn receipts_tell_what_went_to_the_server() {
    let (house, client) = house("").await;
    let own = "select count(*) from deals where tenant_id = 42";
    for sql in ["select count(*) from deals", own, "select count(*) from deals -- again", own] {
        client.batch_execute(sql).await.unwrap();
    }
    client.query("select count(*) from deals", &[]).await.unwrap();
    drop(client);
    house.settled().await.unwrap();
    house.clyra(&["run-id", "close", "changed"]).unwrap();
    let bundle = house.cut("changed").await.unwrap();
    let (code, report) = house.verify(&bundle).unwrap();
    assert_eq!(code, Some(0), "{report}");
    let told: Vec<_> = entries(&bundle)
        .into_iter()
        .filter(|entry| entry["phase"] == "outcome")
        .map(|entry| {
            let action = &entry["action"];
            (action["sent"].clone(), action["shape"].clone())
        })
        .collect();
    let is_changed: Vec<bool> = told.iter().map(|(sent, _)| sent.is_string()).collect();
    assert_eq!(is_changed, [true, false, true, false, true]);
    assert_eq!((&told[0].0, &told[0].1), (&told[4].0, &told[4].1), "the same text, the same digests");
    assert_ne!(told[0].0, told[2].0);
    assert!(told[1].0.is_null() && told[0].1 != told[1].1, "shapes are those of the client's own text");
}

#[tokio::test]
async fn psql_notices_nothing() {
    let (house, _client) = house("").await;
    let output = std::process::Command::new("psql")
        .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .arg(format!("postgres://postgres@{}/shop", house.addr("listen").unwrap()))
        .args(["-c", "select count(*) from deals"])
        .args(["-c", "with d as (select * from deals) select max(tenant_id) from d order by 1"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().next(), Some("5"), "{said}");
    assert_eq!(said.lines().last(), Some("42"), "{said}");
}

/// A server behind a pool, at which `ann` goes on as the gateway's own user.
#[tokio::test]
async fn pools_prepare_the_changed_text() {
    for mode in ["transaction", "session"] {
        let server = clyra_tests::Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n")
            .await
            .unwrap();
        let owner = clyra_tests::connect(server.addr, "").await.unwrap();
        owner.batch_execute(SCHEMA).await.unwrap();
        owner.batch_execute("create role ann login password 'pw'").await.unwrap();
        let row =
            owner.query_one("select rolpassword from pg_authid where rolname = 'ann'", &[]).await.unwrap();
        let folder = clyra_tests::open_folder().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("users.txt", &format!("\"ann\" \"{}\"\n", row.get::<_, &str>(0)));
        write("login.yaml", "users: users.txt\nupstream:\n  user: postgres\n");
        let login = folder.path().join("login.yaml").display().to_string();
        let upstream = format!("postgres://{}/shop", server.addr);
        let flags = ["--upstream", &upstream, "--login", &login, "--pool", mode, "--pool-size", "2"];
        let house = House::start_with(&format!("{POLICY}{BOUNDED}"), &flags).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..2 {
            clients.push(house.through("user=ann password=pw").await.unwrap());
        }
        let mut prepared = Vec::new();
        for client in &clients {
            prepared.push(client.prepare("select id from deals where id < $1").await.unwrap());
        }
        for round in 0..4 {
            for (client, prepared) in clients.iter().zip(&prepared) {
                assert_eq!(client.query(prepared, &[&4]).await.unwrap().len(), 2, "{mode} {round}");
                assert_eq!(
                    client
                        .query_typed(
                            "select * from deals where id < $1",
                            &[(&4, tokio_postgres::types::Type::INT4)]
                        )
                        .await
                        .unwrap()
                        .len(),
                    2
                );
                assert_eq!(seen(client, "select * from deals").await, 5, "{mode} {round}");
                let error = clyra_tests::refusal(client.execute("delete from deals", &[]).await.unwrap_err());
                assert_eq!(error.code().code(), "54000", "{mode}");
            }
            // The server forgets the statements, and the gateway prepares the changed text again.
            owner
                .batch_execute("alter table deals alter tenant_id type bigint, alter tenant_id type int")
                .await
                .unwrap_or_default();
        }
        assert_eq!(clients[0].execute("delete from deals where id < $1", &[&5]).await.unwrap(), 3);
        assert_eq!(others(&owner).await, (5, 5), "{mode}");
    }
}
