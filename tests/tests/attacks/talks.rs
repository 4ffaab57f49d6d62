//! Conversations of several messages on one connection: the one that must be refused is, and nothing happened at the
//! server. What is said before a connection is one stands in `starts`.

use crate::{Stand, corpus};
use clyra_tests::raw::{message, query};

/// A policy's class, the writes of a conversation, and how many refusals must be heard.
type Talk = (&'static str, Vec<Vec<u8>>, usize);

fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

fn bind(portal: &str, name: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{name}\0\0\0\0\0\0\0").as_bytes())
}

/// One parameter in binary form.
fn bind_binary(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    message(b'B', &[&b"\0\0\0\x01\0\x01\0\x01"[..], &length, value, b"\0\0"].concat())
}

fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows_max.to_be_bytes()].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// A call of a function by its number, with one text.
fn call(oid: u32, argument: &str) -> Vec<u8> {
    let length = u32::try_from(argument.len()).unwrap().to_be_bytes();
    let head = [&oid.to_be_bytes()[..], b"\0\0\0\x01", &length].concat();
    message(b'F', &[&head[..], argument.as_bytes(), b"\0\0"].concat())
}

fn raw_query(sql: &[u8]) -> Vec<u8> {
    message(b'Q', &[sql, b"\0"].concat())
}

#[expect(clippy::too_many_lines, reason = "a list of conversations, not a flow")]
fn names_and_pipelines() -> Vec<Talk> {
    let erase = "delete from orders";
    let run = |name: &str| [bind("", name), execute("", 0), sync()].concat();
    vec![
        // The verdict belongs to the statement that is bound, not to the one looked at last.
        ("read_only", vec![[parse("a", "select 1"), parse("b", erase), run("b")].concat()], 1),
        (
            "read_only",
            vec![[parse("b", erase), sync()].concat(), [parse("a", "select 1"), run("b")].concat()],
            1,
        ),
        ("read_only", vec![[parse("", "select 1"), parse("", erase), run("")].concat()], 1),
        (
            "read_only",
            vec![[parse("", "select 1"), bind("", ""), parse("", erase), execute("", 0), sync()].concat()],
            1,
        ),
        // What is on its way behind a refused message is skipped.
        ("read_only", vec![[parse("s", erase), run("s")].concat()], 1),
        ("read_only", vec![[parse("s", erase), run("s"), query("select 1"), run("s")].concat()], 1),
        ("read_only", vec![[parse("s", erase), sync()].concat(), query("execute s")], 2),
        ("read_only", vec![query("prepare s as delete from orders"), run("s")], 1),
        (
            "read_only",
            vec![
                query("prepare s as select 1"),
                query("deallocate s"),
                query("prepare s as delete from orders"),
                query("execute s"),
            ],
            2,
        ),
        (
            "read_only",
            vec![
                query("prepare \"S\" as select 1"),
                [parse("s", erase), sync()].concat(),
                query("execute s"),
            ],
            2,
        ),
        (
            "read_only",
            vec![
                query("begin"),
                query("prepare s as select 1"),
                query("rollback"),
                query("deallocate all"),
                query("prepare s as delete from orders"),
                query("explain analyze execute s"),
            ],
            2,
        ),
        ("no_multi_statement", vec![[query("select 1"), query("select 1; drop table orders")].concat()], 1),
        ("no_multi_statement", vec![[parse("", "select 1; drop table orders"), run("")].concat()], 1),
        (
            "deny_table",
            vec![
                [
                    parse("a", "select 1"),
                    bind("p", "a"),
                    execute("p", 0),
                    parse("", "table secrets"),
                    run(""),
                ]
                .concat(),
            ],
            1,
        ),
        (
            "require_where",
            vec![
                query("prepare q(bool) as update orders set note = note where $1"),
                query("execute q(true)"),
            ],
            2,
        ),
        // A portal that pauses is the same statement; its bound is the text's.
        (
            "row_limit",
            vec![
                [parse("", "select * from users"), bind("p", ""), execute("p", 1), execute("p", 1), sync()]
                    .concat(),
            ],
            1,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a list of conversations, not a flow")]
fn other_roads() -> Vec<Talk> {
    let file = 3826; // pg_read_file(text), and lo_unlink, pg_terminate_backend, setval below.
    vec![
        ("deny_function", vec![call(file, "/etc/hostname")], 1),
        ("deny_function", vec![call(964, "777")], 1),
        ("deny_function", vec![call(2096, "1")], 1),
        ("read_only", vec![call(1576, "s1")], 1),
        ("read_only", vec![call(u32::MAX, "")], 1),
        ("deny_table", vec![query("copy secrets to stdout")], 1),
        ("deny_table", vec![query("copy (select 1, (select v from secrets limit 1)) to stdout")], 1),
        (
            "read_only",
            vec![
                [query("copy orders from stdin"), message(b'd', b"9\t42\t1\t1\tx\n"), message(b'c', b"")]
                    .concat(),
            ],
            1,
        ),
        ("read_only", vec![query("begin read only"), query("select pg_export_snapshot()")], 1),
        ("read_only", vec![query("begin read only"), query("commit; delete from orders")], 1),
        (
            "read_only",
            vec![query("begin"), query("set transaction read write"), query("delete from orders")],
            2,
        ),
        ("read_only", vec![query("declare c cursor with hold for select * from orders for update")], 1),
        (
            "read_only",
            vec![
                query("begin"),
                query("declare c cursor for select * from orders"),
                query("fetch c"),
                query("delete from orders where current of c"),
            ],
            1,
        ),
        (
            "deny_table",
            vec![
                query("begin"),
                query("declare c cursor for select * from secrets"),
                query("fetch all from c"),
            ],
            1,
        ),
        ("deny_table", vec![query("set search_path = evil"), query("select * from secrets")], 1),
        (
            "deny_table",
            vec![query("set search_path = public, evil"), query("select v from only (secrets)")],
            1,
        ),
        (
            "deny_function",
            vec![query("prepare r(text) as select pg_read_file($1)"), query("execute r('/etc/hostname')")],
            2,
        ),
        (
            "no_session_change",
            vec![query("begin"), query("set local search_path = evil"), query("select * from users")],
            1,
        ),
        (
            "no_session_change",
            vec![query("select set_config('role', 'boss', false)"), query("select current_user")],
            1,
        ),
        (
            "no_session_change",
            vec![query("begin"), query("savepoint a"), query("reset session authorization")],
            1,
        ),
    ]
}

/// Bytes that are other letters under another encoding, or none at all.
fn letters() -> Vec<Talk> {
    vec![
        // In Shift JIS, and in GBK, the backslash is half of a letter; the quote behind it then ends the text.
        ("no_multi_statement", vec![raw_query(b"select E'\x95\x5c'; delete from orders; --'")], 1),
        ("no_multi_statement", vec![raw_query(b"select E'\xbf\x5c'; delete from orders; --'")], 1),
        (
            "no_multi_statement",
            vec![
                query("set client_encoding = 'SJIS'"),
                raw_query(b"select E'\x95\x5c'; delete from orders; --'"),
            ],
            2,
        ),
        (
            "no_multi_statement",
            vec![query("set names 'GBK'"), raw_query(b"select E'\xbf\x5c'; delete from orders; --'")],
            2,
        ),
        ("no_multi_statement", vec![raw_query(b"select 'a\xc0'; delete from orders; --'")], 1),
        ("no_multi_statement", vec![raw_query(b"select 1; \xed\xa0\x80 delete from orders")], 1),
        ("read_only", vec![raw_query(b"delete\xc2\xa0from orders")], 1),
        ("read_only", vec![raw_query(b"delete from orders\xff")], 1),
        (
            "no_multi_statement",
            vec![
                query("set standard_conforming_strings = off"),
                query("select '\\'; delete from orders; --'"),
            ],
            1,
        ),
        (
            "deny_table",
            vec![
                query("set backslash_quote = on"),
                query("set standard_conforming_strings = off"),
                query("select '\\'' from secrets --'"),
            ],
            1,
        ),
    ]
}

#[tokio::test]
async fn names_and_pipelines_hide_nothing() {
    play(names_and_pipelines()).await;
}

#[tokio::test]
async fn no_other_road_leads_past() {
    let mut talks = other_roads();
    // A value in binary form is the value that it is.
    let fenced = parse("", "select * from users where tenant_id = $1::int4");
    for other in [&7_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0, 0, 42], b"42"] {
        let run = [fenced.clone(), bind_binary(other), execute("", 0), sync()].concat();
        talks.push(("tenant_fence", vec![run], 1));
    }
    play(talks).await;
}

#[tokio::test]
async fn letters_are_what_the_server_reads() {
    play(letters()).await;
}

async fn play(talks: Vec<Talk>) {
    let stand = Stand::start().await;
    let before = stand.digest().await;
    let mut faults = Vec::new();
    for (class, writes, refused_min) in talks {
        stand.take(&corpus::policy_against(class, &[])).await;
        let mut caller = stand.caller().await;
        let (mut refused, mut all) = (0, Vec::new());
        for bytes in &writes {
            let said = caller.says(bytes).await;
            let errors = said.errors();
            refused += usize::from(said.refusal().is_some());
            all.push(format!("{errors:?}"));
            if said.gone {
                break;
            }
        }
        drop(caller);
        let story =
            || writes.iter().map(|bytes| bytes.escape_ascii().to_string()).collect::<Vec<_>>().join("\n  ");
        if refused < refused_min {
            faults.push(format!("{class}: {refused} refused of\n  {}\n  {}", story(), all.join("\n  ")));
        }
        if stand.digest().await != before {
            faults.push(format!("{class}: the server changed by\n  {}", story()));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
