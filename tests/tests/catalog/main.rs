//! Rules about names on real servers: what stands behind a name, where a session's names lead, and what is judged while
//! the database changes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod behind;
mod changes;
mod cursors;
mod paths;
mod prepared;
mod sources;

use clyra_tests::House;
use tokio_postgres::{Client, NoTls};

/// `ann` must not touch one table, `bob` only reads, `cid` uses two tables and nothing else, `dan` is under no rule.
const POLICY: &str = "
name: names
version: 1
mode: enforce
rules:
  - {id: secret, when: {user: ann}, deny_tables: [public.secrets]}
  - {id: reads, when: {user: bob}, read_only: true}
  - {id: few, when: {user: cid}, allow_tables: [public.goods, 'pg_temp.*']}
";

/// What the owner has made; a fresh house has `secrets`, which only its owner may read.
const SCHEMA: &str = "
drop table secrets;
create table secrets (id int, word text); insert into secrets values (1, 'open sesame');
create table goods (id int, name text); insert into goods values (1, 'pot');
create role ann login; create role bob login; create role cid login; create role dan superuser login;
alter default privileges for role dan, postgres grant all on tables to public;
grant all on all tables in schema public to public;
grant create on schema public to public;
grant create on database shop to public;";

/// A house with its schema; its catalog is read again when something new is named.
async fn house() -> (House, Client) {
    let house = House::start(POLICY).await.unwrap();
    let owner = house.directly().await.unwrap();
    owner.batch_execute(SCHEMA).await.unwrap();
    (house, owner)
}

async fn connect(house: &House, user: &str) -> Client {
    connect_with(house, user, "").await
}

async fn connect_with(house: &House, user: &str, options: &str) -> Client {
    let addr = house.addr("listen").unwrap();
    let config = format!("host={} port={} user={user} dbname=shop {options}", addr.ip(), addr.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(async move {
        // The test sees a broken connection at its next statement.
        let _ = connection.await;
    });
    client
}

/// What became of a message: `ok`, the rule that refused it, or the server's code.
async fn fate(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            let refused = clyra_tests::refusal(error);
            let rule = refused.message().split("rule `").nth(1).and_then(|rest| rest.split('`').next());
            rule.unwrap_or(refused.code().code()).to_owned()
        }
    }
}

/// Says each message, and holds what became of it against what should have.
async fn play(client: &Client, story: &[(&str, &str)]) {
    for (sql, expected) in story {
        assert_eq!(fate(client, sql).await, *expected, "{sql}");
    }
}
