//! Copies into the server with other messages sent on behind them, before or after the server says that it is one: the
//! gateway must answer, and end, exactly as the server does. Each conversation is told twice, and compared byte by byte.

use clyra_tests::{
    House, STRICT,
    raw::{Raw, extended, message, query},
    shadow,
};
use std::net::SocketAddr;

/// What the client does next.
enum Part {
    Say(Vec<u8>),
    /// Waits for one of these answers.
    Hear(&'static [u8]),
}
use Part::{Hear, Say};

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn data(rows: &str) -> Vec<u8> {
    message(b'd', rows.as_bytes())
}

fn done() -> Vec<u8> {
    message(b'c', b"")
}

fn fail() -> Vec<u8> {
    message(b'f', b"no more\0")
}

/// Conversations in which the server goes on; each ends with a query, which shows that both sides are in step.
#[expect(clippy::too_many_lines, reason = "a table of conversations, one after the other")]
fn going_on() -> Vec<(&'static str, Vec<Part>)> {
    let begin = || [extended(COPY), sync()].concat();
    let after = || [extended("select count(*) from heap"), sync(), query("select 1")].concat();
    vec![
        ("all at once, extended", vec![Say([begin(), data("1\n"), done(), sync(), after()].concat())]),
        ("all at once, simple", vec![Say([query(COPY), data("1\n2\n"), done(), query("select 1")].concat())]),
        (
            "two copies of one query",
            vec![Say([query(&format!("{COPY}; {COPY}")), data("1\n"), done(), data("2\n"), done(), after()]
                .concat())],
        ),
        (
            "sync before, among and after the data",
            vec![Say([begin(), sync(), data("1\n"), sync(), data("2\n"), done(), sync(), after()].concat())],
        ),
        (
            "flush among the data",
            vec![Say([
                extended(COPY),
                message(b'H', b""),
                data("1\n"),
                message(b'H', b""),
                done(),
                sync(),
                after(),
            ]
            .concat())],
        ),
        (
            "as drivers do it",
            vec![
                Say(begin()),
                Hear(b"G"),
                Say([data("1\n"), done(), sync()].concat()),
                Hear(b"Z"),
                Say(after()),
            ],
        ),
        (
            "without a sync before the data",
            vec![Say([extended(COPY), data("1\n"), done(), extended("select 2"), sync(), after()].concat())],
        ),
        (
            "given up",
            vec![
                Say(begin()),
                Hear(b"G"),
                Say([data("1\n"), fail(), sync()].concat()),
                Hear(b"Z"),
                Say(after()),
            ],
        ),
        ("given up at once", vec![Say([begin(), data("1\n"), fail(), sync(), after()].concat())]),
        (
            "given up, simple",
            vec![Say([query(COPY), sync(), data("1\n"), fail(), query("select 1")].concat())],
        ),
        (
            "rows that are none",
            vec![
                Say(begin()),
                Hear(b"G"),
                Say(data("x\n")),
                Hear(b"E"),
                Say([data("2\n"), done(), sync()].concat()),
                Hear(b"Z"),
                Say(after()),
            ],
        ),
        ("rows that are none, at once", vec![Say([begin(), data("x\n"), done(), sync(), after()].concat())]),
        (
            "rows that are none, simple",
            vec![Say([query(COPY), data("x\n"), data("2\n"), done(), query("select 1")].concat())],
        ),
        (
            "no such table",
            vec![Say([extended("copy nowhere from stdin"), sync(), done(), sync(), after()].concat())],
        ),
        (
            "no such table, simple",
            vec![Say([query("copy nowhere from stdin"), data("1\n"), done(), query("select 1")].concat())],
        ),
        // Here the server says that it takes data, and fails before it reads any.
        ("a view", vec![Say([extended(VIEW), sync(), after()].concat())]),
        (
            "a view, with data",
            vec![Say([extended(VIEW), sync(), data("1\n"), done(), sync(), after()].concat())],
        ),
        (
            "a view, with data later",
            vec![
                Say([extended(VIEW), sync()].concat()),
                Hear(b"E"),
                Say([done(), sync()].concat()),
                Hear(b"Z"),
                Hear(b"Z"),
                Say(after()),
            ],
        ),
        ("a view, simple", vec![Say([query(VIEW), sync(), done(), sync(), query("select 1")].concat())]),
        (
            "a view among other segments",
            vec![Say([
                extended("select 1"),
                sync(),
                extended(VIEW),
                sync(),
                extended("select 2"),
                sync(),
                after(),
            ]
            .concat())],
        ),
        (
            "a trigger that forbids it",
            vec![Say(
                [extended("copy guarded from stdin"), sync(), data("1\n"), done(), sync(), after()].concat()
            )],
        ),
        (
            "in a transaction",
            vec![Say([
                query("begin"),
                begin(),
                data("x\n"),
                done(),
                sync(),
                query("select 1"),
                query("rollback"),
            ]
            .concat())],
        ),
        (
            "a copy out before",
            vec![Say([query("copy heap to stdout"), begin(), data("1\n"), done(), sync(), after()].concat())],
        ),
        (
            "ends of copies that are none",
            vec![Say([
                done(),
                fail(),
                data("1\n"),
                query("select 1"),
                done(),
                extended("select 2"),
                done(),
                sync(),
            ]
            .concat())],
        ),
    ]
}

/// Conversations after which the server hangs up.
fn ending() -> Vec<(&'static str, Vec<Part>)> {
    let begin = || [extended(COPY), sync()].concat();
    vec![
        ("a query behind", vec![Say([query(COPY), query("select 1")].concat())]),
        ("a query behind, extended", vec![Say([begin(), query("select 1")].concat())]),
        ("a statement behind", vec![Say([begin(), extended("select 1"), sync()].concat())]),
        (
            "a query within the data",
            vec![Say(begin()), Hear(b"G"), Say([data("1\n"), query("select 1")].concat())],
        ),
        (
            "a statement within the data",
            vec![Say(query(COPY)), Hear(b"G"), Say([data("1\n"), extended("select 1"), sync()].concat())],
        ),
    ]
}

#[tokio::test]
async fn what_follows_a_copy_is_answered_as_by_the_server() {
    // A name that the catalog does not have is the server's to refuse here.
    let strict = STRICT.replace("rules:", "unknown_names: allow\nrules:");
    for policy in [shadow(), strict] {
        let house = House::start(&policy).await.unwrap();
        house.directly().await.unwrap().batch_execute(TABLES).await.unwrap();
        let (gate, server) = (house.addr("listen").unwrap(), house.upstream().unwrap());
        for (name, talk) in going_on() {
            let direct = told(server, &talk, server).await;
            let through = told(gate, &talk, server).await;
            assert_eq!(through.escape_ascii().to_string(), direct.escape_ascii().to_string(), "{name}");
            assert!(Raw::tags(&direct).ends_with('Z'), "{name}");
        }
        for (name, talk) in ending() {
            let direct = told(server, &talk, server).await;
            let through = told(gate, &talk, server).await;
            assert_eq!(through.escape_ascii().to_string(), direct.escape_ascii().to_string(), "{name}");
            assert!(Raw::tags(&direct).ends_with("EE"), "{name}: an error, and that it ends");
        }
    }
}

/// What the other side answers when the table is empty, which is seen to at the server itself.
async fn told(addr: SocketAddr, talk: &[Part], server: SocketAddr) -> Vec<u8> {
    let mut own = Raw::connect(server).await.unwrap();
    own.say(&query("truncate heap")).await.unwrap();
    own.hear_until(b"Z").await.unwrap();
    let mut raw = Raw::connect(addr).await.unwrap();
    for part in talk {
        match part {
            Say(bytes) => raw.say(bytes).await.unwrap(),
            Hear(tags) => drop(raw.hear_until(tags).await.unwrap()),
        }
    }
    raw.leave().await.unwrap()
}

const COPY: &str = "copy heap from stdin";
const VIEW: &str = "copy seen from stdin";
const TABLES: &str = "
create table heap (id int);
create view seen as select id from heap union all select 1;
create table guarded (id int);
create function no() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
create trigger no before insert on guarded execute function no();
";
