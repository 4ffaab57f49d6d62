//! Random statements through the gateway: what passes shows and writes rows of one tenant only.
//!
//! One database holds the rows of three tenants, another those of tenant 1 alone. A statement that passes must answer
//! the same in both, leave the rows of tenants 2 and 3 as they were, and leave those of tenant 1 as in the other
//! database. Statements that are right must pass, or the property would hold because nothing does.

use super::{
    forms::{Answer, Form, ask},
    maker::{Maker, Manner, Value},
};
use clyra_tests::{House, Server, connect};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use tokio_postgres::{Client, SimpleQueryMessage};

const POLICY: &str = "
name: fence
version: 1
mode: enforce
callers: [{match: {user: postgres}, tenant: '1'}, {match: {user: changer}, tenant: '1'}]
rules:
  - id: fence
    tenant_fence: &fence
      {column: tenant_id, tables: [users, orders, notes, v_orders], shared: [products, 'rate()', 'public.rate()']}
    when: {user: postgres}
  - id: changing
    tenant_fence:
      {column: tenant_id, tables: [users, orders, notes, v_orders], rewrite: [users, orders, notes, v_orders],
       shared: [products, 'rate()', 'public.rate()']}
    when: {user: changer}
";

const SCHEMA: &str = "
create table users (id int, tenant_id int, ref int, mark text, primary key (id, tenant_id));
create table orders (id int, tenant_id int, ref int, mark text, primary key (id, tenant_id));
create table notes (id int, tenant_id int, ref int, mark text, primary key (id, tenant_id));
create table products (id int, ref int, mark text);
create view v_orders as select * from orders;
create view v_all as select * from users;
create function rate(int) returns int language sql as 'select $1 * 7';
create function peek() returns bigint language sql as 'select count(*) from users';
create schema kept;
create table kept.rows as
  select n + t * 4 - 4 as id, t as tenant_id, n % 3 as ref, 'T' || t || n as mark
  from unnest(array[TENANTS]) t, generate_series(1, 4) n;";

const FILL: &str = "
delete from users; delete from orders; delete from notes; delete from products;
insert into users select * from kept.rows;
insert into orders select * from kept.rows;
insert into notes select * from kept.rows;
insert into products select n, n % 3, 'p' || n from generate_series(1, 4) n;";

/// All rows, and whether they are those of tenant 1 or of everybody.
const ROWS: &str = "
select tenant_id is not distinct from 1, t::text from (
  select 'u', * from users union all select 'o', * from orders union all select 'n', * from notes
  union all select 'p', id, 1, ref, mark from products) t order by 2";

/// 10,000 statements: seeds, and statements of each. A seed that finds something is kept here.
const SEEDS: std::ops::Range<u64> = 1..51;
const EACH: usize = 200;
/// Seeds that are tried at the same time, each with databases of its own.
const LANES: usize = 4;

const READS: [&str; 10] =
    ["select", "join", "aggregate", "window", "set", "cte", "scalar", "outer", "lateral", "function"];
const WRITES: [&str; 7] = ["update", "delete", "insert", "insert_select", "conflict", "merge", "written_cte"];

/// What became of the statements of a class.
#[derive(Debug, Default)]
struct Tally {
    made: usize,
    passed: usize,
    ran: usize,
    /// Those that must pass, and do.
    right: usize,
    right_passed: usize,
    /// Refused ones that would have shown or written something.
    bad: usize,
}

impl Tally {
    fn add(&mut self, one: &Self) {
        self.made += one.made;
        self.passed += one.passed;
        self.ran += one.ran;
        self.right += one.right;
        self.right_passed += one.right_passed;
        self.bad += one.bad;
    }
}

type Tallies = BTreeMap<String, Tally>;

#[tokio::test]
async fn what_passes_shows_and_writes_only_one_tenant() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    let owner = connect(server.addr, "").await.unwrap();
    owner.batch_execute("create role changer superuser login").await.unwrap();
    for (name, tenants) in [("full", "1, 2, 3"), ("own", "1")] {
        for lane in 0..LANES {
            owner.batch_execute(&format!("create database {name}{lane}")).await.unwrap();
            let client = connect(server.addr, &format!("dbname={name}{lane}")).await.unwrap();
            client.batch_execute(&SCHEMA.replace("TENANTS", tenants)).await.unwrap();
            client.batch_execute(FILL).await.unwrap();
        }
    }
    let upstream = format!("postgres://{}/shop", server.addr);
    let house = House::start_with(POLICY, &["--upstream", &upstream]).await.unwrap();
    let lanes = join_all((0..LANES).map(|lane| of_lane(&house, &server, lane))).await;
    let mut all = Tallies::new();
    for (class, one) in lanes.into_iter().flatten() {
        all.entry(class).or_default().add(&one);
    }
    println!(
        "{:24} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "class", "made", "passed", "ran", "right", "passed", "bad"
    );
    for (class, one) in &all {
        let Tally { made, passed, ran, right, right_passed, bad } = one;
        println!("{class:24} {made:6} {passed:6} {ran:6} {right:6} {right_passed:6} {bad:6}");
    }
    for (class, one) in &all {
        assert!(one.right_passed * 20 >= one.right * 19, "{class}: what is right is refused: {one:?}");
        assert!(one.ran * 5 >= one.right * 4, "{class}: too little of what is right runs: {one:?}");
    }
    let bad: usize = all.iter().filter(|(class, _)| class.starts_with("kind")).map(|(_, one)| one.bad).sum();
    assert!(bad > 300, "{bad}: too little of what is refused is wrong");
}

/// A statement, how it is asked for, and what must become of it.
struct Made {
    kind: &'static str,
    form: Form,
    sql: String,
    values: Vec<Value>,
    manner: Manner,
}

fn made(maker: &mut Maker) -> Made {
    maker.manner = match maker.rng.u8(0..10) {
        0..=3 => Manner::Right,
        4..=8 => Manner::Wild,
        _ => Manner::Bare,
    };
    let reads = maker.rng.u8(0..10) < 6;
    let mut kind = maker.pick(if reads { &READS } else { &WRITES });
    if maker.is(Manner::Bare) {
        kind = maker.pick(if reads { &READS[..7] } else { &["update", "delete"] });
    }
    let form = match maker.rng.u8(0..12) {
        0 | 1 => Form::Bound { binary: true },
        2 | 3 => Form::Bound { binary: false },
        4 | 5 => Form::Prepared,
        6 if reads => Form::Cursor,
        7 if reads => Form::CopyOut,
        8 if reads && maker.chance(20) => Form::CopyWhole,
        8 if !reads && maker.chance(20) => Form::CopyIn,
        _ => Form::Text,
    };
    maker.values = matches!(form, Form::Bound { .. } | Form::Prepared).then(Vec::new);
    let sql = match form {
        Form::CopyWhole | Form::CopyIn => maker.table().0.to_owned(),
        _ => maker.statement(kind),
    };
    Made { kind, form, sql, values: maker.values.take().unwrap_or_default(), manner: maker.manner }
}

async fn of_lane(house: &House, server: &Server, lane: usize) -> Tallies {
    let mut callers = Vec::new();
    for user in ["postgres", "changer"] {
        callers.push(house.through(&format!("user={user} dbname=full{lane}")).await.unwrap());
    }
    let full = connect(server.addr, &format!("dbname=full{lane}")).await.unwrap();
    let own = connect(server.addr, &format!("dbname=own{lane}")).await.unwrap();
    let before = rows(&full).await;
    let mut tallies = Tallies::new();
    for seed in SEEDS.skip(lane).step_by(LANES) {
        let mut maker = Maker::new(seed);
        for place in 0..EACH {
            let made = made(&mut maker);
            let changing = made.manner == Manner::Bare || maker.rng.u8(0..4) == 0;
            let Made { kind, form, sql, values, manner } = &made;
            let here =
                format!("seed {seed}, statement {place}, {form:?}, changing {changing}, {values:?}: {sql}");
            let said = ask(&callers[usize::from(changing)], *form, sql, values).await;
            let mut one = Tally { made: 1, ..Tally::default() };
            let whole = matches!(form, Form::CopyWhole | Form::CopyIn);
            one.right = usize::from(*manner != Manner::Wild && (!whole || sql == "products"));
            if let Answer::Refused(reason) = &said {
                if one.right == 1 {
                    println!("refused ({reason}): {here}");
                }
                one.bad = usize::from(would_tell(&full, &own, &made).await);
            } else {
                (one.passed, one.right_passed) = (1, one.right);
                one.ran = usize::from(matches!(said, Answer::Rows(_)));
                assert_eq!(said, ask(&own, *form, sql, values).await, "{here}");
                if WRITES.contains(kind) || *form == Form::CopyIn {
                    let (full_now, own_now) = (rows(&full).await, rows(&own).await);
                    assert_eq!(full_now.1, before.1, "rows of others changed: {here}");
                    assert_eq!(full_now.0, own_now.0, "{here}");
                    assert_eq!(own_now.1, Vec::<String>::new(), "{here}");
                    if full_now != before {
                        for database in [&full, &own] {
                            database.batch_execute(FILL).await.unwrap();
                        }
                    }
                }
            }
            let kind = if whole { "whole" } else { kind };
            for class in [format!("kind {kind}"), format!("form {form:?}"), format!("manner {manner:?}")] {
                tallies.entry(class).or_default().add(&one);
            }
        }
    }
    tallies
}

/// Whether a refused statement would have shown or written rows of others.
async fn would_tell(full: &Client, own: &Client, made: &Made) -> bool {
    if made.form != Form::Text {
        return false;
    }
    let mut seen = Vec::new();
    for client in [full, own] {
        let before = rows(client).await.1;
        client.batch_execute("begin").await.unwrap();
        let said = ask(client, made.form, &made.sql, &[]).await;
        let same = matches!(said, Answer::Failed(_)) || rows(client).await.1 == before;
        client.batch_execute("rollback").await.unwrap();
        seen.push((said, same));
    }
    seen.dedup();
    seen.len() > 1 || seen.iter().any(|(_, same)| !same)
}

/// Rows of tenant 1 and of everybody, and those of others.
async fn rows(client: &Client) -> (Vec<String>, Vec<String>) {
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for message in client.simple_query(ROWS).await.unwrap() {
        if let SimpleQueryMessage::Row(row) = message {
            let list = if row.get(0) == Some("t") { &mut mine } else { &mut others };
            list.push(row.get(1).unwrap_or_default().to_owned());
        }
    }
    (mine, others)
}
