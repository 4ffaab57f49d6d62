//! Texts that are made to be too much, texts that look alike, and texts that others change on their way: the gateway
//! stands, tells them apart, and passes each as it is.

use crate::{Stand, corpus};
use clyra_tests::{connect, raw::query};

fn floods() -> Vec<(&'static str, String)> {
    let list = |one: &str, by: &str, times: usize| vec![one; times].join(by);
    vec![
        ("64,000 terms", format!("SELECT 1{}", "+1".repeat(64_000))),
        ("10,000 brackets", format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000))),
        ("20,000 arms of a union", list("SELECT 1", " UNION ALL ", 20_000)),
        ("a list of 5,000,000", format!("SELECT 1 WHERE 1 IN ({})", list("1", ",", 5_000_000))),
        ("a text of 10 MB", format!("SELECT '{}'", "x".repeat(10_000_000))),
        ("50,000 comments in each other", format!("SELECT 1 {}{}", "/*".repeat(50_000), "*/".repeat(50_000))),
        ("100,000 times NOT", format!("SELECT {}true", "NOT ".repeat(100_000))),
        ("5,000 arrays in each other", format!("SELECT {}1{}", "ARRAY[".repeat(5_000), "]".repeat(5_000))),
        ("5,000 subqueries", format!("SELECT {}1{}", "(SELECT ".repeat(5_000), ")".repeat(5_000))),
        ("5,000 joins", format!("SELECT * FROM {}a CROSS JOIN b{}", "(".repeat(5_000), ")".repeat(5_000))),
        ("a name of 50,000 parts", format!("SELECT a{}", ".a".repeat(50_000))),
        ("50,000 subscripts", format!("SELECT a{}", "[1]".repeat(50_000))),
        ("a text without an end", format!("SELECT '{}", "x".repeat(10_000_000))),
        ("a comment without an end", format!("SELECT /*{}", "/*".repeat(100_000))),
        ("50,000 casts", format!("SELECT 1{}", "::int".repeat(50_000))),
        (
            "20,000 cases",
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(20_000), " END".repeat(20_000)),
        ),
        (
            "2,000 CTEs in each other",
            format!("{}SELECT 1{}", "WITH a AS (".repeat(2_000), ") SELECT 1".repeat(2_000)),
        ),
        ("100,000 empty statements", ";".repeat(100_000)),
        ("100,000 statements", "SELECT 1;".repeat(100_000)),
        ("a label of 1 MB", format!("SELECT $a{0}$x$a{0}$", "b".repeat(1_000_000))),
        ("a quoted name of 1 MB", format!("SELECT \"{}\"", "\"\"".repeat(500_000))),
        ("100,000 columns", format!("SELECT {}", list("1", ",", 100_000))),
        ("100,000 rows", format!("VALUES {}", list("(1,2)", ",", 100_000))),
        ("letters with a sign before each", format!("SELECT U&'{}'", "\\0061".repeat(200_000))),
        ("50,000 signs in a row", format!("SELECT 1 {} 1", "-+".repeat(50_000))),
    ]
}

#[tokio::test]
async fn the_gateway_stands() {
    let stand = Stand::start().await;
    for class in ["read_only", "tenant_fence"] {
        stand.take(&corpus::policy_against(class, &[])).await;
        for (what, sql) in floods() {
            for extended in [false, true] {
                let mut caller = stand.caller().await;
                let said = match extended {
                    true => caller.extended(&sql, &[]).await,
                    false => caller.simple(&sql).await,
                };
                // Denied or answered, and never only gone: who is cut off is told why.
                assert!(!said.heard.is_empty(), "{what} extended={extended}");
                let next = stand.caller().await.simple("select 1").await;
                assert!(next.errors().is_empty(), "after {what}: {:?}", next.errors());
            }
        }
    }
}

#[tokio::test]
async fn what_looks_alike_is_not_the_same() {
    // A policy, a text that passes under it, and one like it that does not.
    let pairs = [
        ("deny_tables: ['evil.*']", "SELECT * FROM users", "SELECT * FROM evil.users"),
        ("require_limit: 1000", "SELECT * FROM users LIMIT 10", "SELECT * FROM users LIMIT 1000000"),
        ("deny_tables: [users_99]", "SELECT * FROM users_01", "SELECT * FROM users_99"),
        ("session_lock: true", "SET client_encoding = UTF8", "SET client_encoding = SJIS"),
        ("deny_functions: [pg_read_file]", "SELECT 'pg_read_file'", "SELECT pg_read_file('x')"),
        ("deny_tables: [secrets]", "SELECT 'x' /* secrets */", "SELECT 'x' /* */ FROM secrets"),
        ("deny_tables: ['Secrets']", "SELECT 1 AS \"SECRETS\"", "SELECT 1 FROM \"Secrets\""),
        ("require_where: true", "DELETE FROM orders WHERE id = 0", "DELETE FROM orders WHERE 0 = 0"),
        ("deny_columns: [users.email]", "SELECT name FROM users", "SELECT email FROM users"),
        (
            "deny_tables: [secrets]",
            "SELECT query_to_xml('select 1', true, true, '')::text IS NULL, 1 FROM users LIMIT 0",
            "SELECT query_to_xml('select 1 from secrets', true, true, '')",
        ),
    ];
    let stand = Stand::start().await;
    for (at, (guard, passes, not)) in pairs.into_iter().enumerate() {
        if at + 1 == pairs.len() {
            // A statement within a text is refused for the function, whatever the text says.
            stand
                .take(&format!(
                    "name: alike{at}\nversion: 1\nmode: enforce\nunknown_names: allow\nrules:\n  - id: r\n    {guard}\n"
                ))
                .await;
            for sql in [passes, not] {
                assert!(stand.caller().await.simple(sql).await.refusal().is_some(), "{sql}");
            }
            continue;
        }
        for first in [true, false] {
            let name = format!("alike{at}{first}");
            stand
                .take(&format!("name: {name}\nversion: 1\nmode: enforce\nunknown_names: allow\nrules:\n  - id: r\n    {guard}\n"))
                .await;
            let mut texts = [(passes, false), (not, true), (passes, false), (not, true)];
            if first {
                texts.reverse();
            }
            for (sql, refused) in texts {
                for extended in [false, true] {
                    let mut caller = stand.caller().await;
                    let said = match extended {
                        true => caller.extended(sql, &[]).await,
                        false => caller.simple(sql).await,
                    };
                    assert_eq!(said.refusal().is_some(), refused, "{guard}: {sql} extended={extended}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_text_arrives_as_it_was_said() {
    let stand = Stand::start().await;
    stand.take(&corpus::policy_against("no_multi_statement", &[])).await;
    let texts = [
        "INSERT INTO audit_log(msg) VALUES ('\\''); DELETE FROM orders; --') RETURNING msg",
        "SELECT 1 WHERE 'ab\\''cd' = 'x'",
        "SELECT pg_lsn '0/16AE7F7'",
        "SELECT where false",
        "SELECT current_query() /* \u{e9} ; -- */ -- tail",
        "SELECT current_query(), E'\\'\\\\', U&'\\0041', $q$;'$q$",
        "SELECT name AND FROM users",
        "SELECT 1 \u{2003}, 2",
        "TABLE users ;;  ",
    ];
    for sql in texts {
        let through = stand.caller().await.simple(sql).await;
        let direct = connect(stand.house.upstream().unwrap(), "").await.unwrap().simple_query(sql).await;
        assert!(through.refusal().is_none(), "{sql}: {:?}", through.errors());
        assert_eq!(direct.is_err(), !through.errors().is_empty(), "{sql}");
        if sql.contains("current_query") {
            let heard = String::from_utf8_lossy(&through.heard).into_owned();
            assert!(heard.contains(sql), "{sql}: {heard}");
        }
    }
    let ten = query("select 10");
    assert_eq!(stand.caller().await.says(&ten).await.errors().len(), 0);
}
