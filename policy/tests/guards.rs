//! Every guard, with what it must refuse and what it must let pass.
#![expect(clippy::unwrap_used, reason = "a test that fails here has found its fault")]

use clyra_policy::{Approvals, Facts, Given, Login, Moment, Policy};
use clyra_spec::KillLevel;

fn policy(guard: &str) -> Policy {
    let yaml = format!("name: t\nversion: 1\nmode: enforce\nrules:\n  - id: r\n    {guard}\n");
    Policy::parse(&yaml, "t.yaml").unwrap()
}

/// The reason of the refusal, or `allow`.
fn reason(policy: &Policy, sql: &str, moment: &Moment<'_>) -> &'static str {
    let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
    let facts = Facts::of_postgres(sql.as_bytes());
    let decision = policy.decide_at(&policy.caller(&login), &facts, KillLevel::Observe, moment, &|_| None);
    decision.refusal.map_or("allow", |refusal| {
        assert!(!refusal.hint.is_empty(), "{sql}");
        refusal.reason
    })
}

fn check(guard: &str, expected: &str, denied: &[&str], allowed: &[&str]) {
    let policy = policy(guard);
    for sql in denied {
        let found = reason(&policy, sql, &Moment::default());
        assert!(found == expected || (expected == "*" && found != "allow"), "{found} for {sql}");
    }
    for sql in allowed {
        assert_eq!(reason(&policy, sql, &Moment::default()), "allow", "must pass: {sql}");
    }
}

#[test]
fn allow_verbs() {
    check(
        "allow_verbs: [reads, insert]",
        "verb_not_allowed",
        &[
            "update a set b = 1 where c = 2",
            "begin",
            "with d as (delete from a returning 1) select 1",
            "lock a",
        ],
        &["select 1", "insert into a values (1)", "", "copy a to stdout", "prepare p as select 1"],
    );
    check(
        "allow_verbs: select",
        "*",
        &["do 'begin end'", "select 1; drop table a", "select * from a for share"],
        &[],
    );
}

#[test]
fn allow_tables() {
    check(
        "allow_tables: [orders, \"shop.*\"]",
        "table_not_allowed",
        &[
            "select * from people",
            "select * from \"Orders\"",
            "insert into orders select * from hr.pay",
            "select 1 where exists (select from pay)",
            "analyze",
            "drop schema hr",
            "select dblink('', '')",
            "set search_path = hr; select * from orders",
            "create function f() returns int language plpgsql as 'begin return 1; end'",
        ],
        &[
            "select * from orders o join shop.items i on i.id = o.id",
            "select 1",
            "with pay as (select 1) table pay",
        ],
    );
}

#[test]
fn deny_columns() {
    check(
        "deny_columns: [\"people.salary\", \"hr.cv.note\"]",
        "column_denied",
        &[
            "select salary from people",
            "select p.salary from people p",
            "select id from people order by SALARY",
            "select * from people",
            "select p.* from orders o, people p",
            "select p from people p",
            "select row_to_json(people) from people",
            "select (p).salary from people p",
            "select salary(p) from people p",
            "table people",
            "select b from people as p(a, b)",
            "select j.salary from (people join orders using (id)) as j",
            "select id from people join pay using (salary)",
            "select 1 from people natural join pay",
            "copy people to stdout",
            "copy people (id, salary) to stdout",
            "update people set salary = 1 where id = 2",
            "insert into people (id, salary) values (1, 2)",
            "insert into people (id) values (1) returning *",
            "delete from people where id = 1 returning old.salary",
            "with x as (select * from people) select 1 from x",
            "select max(salary) over () from people",
            "select note from cv",
            "select most_common_vals from pg_stats",
            "create view v as select salary from people",
        ],
        &[
            "select id, name from people",
            "select count(*) from people",
            "select o.salary, p.id from people p join orders o on o.id = p.id",
            "select * from orders",
            "select o.* from orders o join people p on p.id = o.id",
            "insert into people values (1, 2)",
            "copy people (id) to stdout",
            "select note from other.cv",
            "select 'salary' from people",
            "select id as salary from people",
        ],
    );
    check(
        "deny_columns: ssn",
        "column_denied",
        &["select ssn from any_table", "select * from t"],
        &["select 1 as ssn"],
    );
}

#[test]
fn deny_functions() {
    check(
        "deny_functions: {names: [\"acme.*\", wipe], dangerous: true}",
        "function_denied",
        &[
            "select wipe()",
            "select public.wipe()",
            "select acme.anything(1)",
            "select pg_sleep(1)",
            "select \"pg_catalog\".\"pg_sleep\"(1)",
            "select ext.dblink_exec('x', 'y')",
            "select pg_read_binary_file('pg_hba.conf')",
            "select lo_export(1, 'x')",
            "select query_to_xml('select 1', true, true, '')",
            "select pg_try_advisory_xact_lock(1)",
            "select pg_stat_reset_shared('wal')",
            "select * from ts_stat('select 1')",
            "select 1 order by pg_ls_dir('.')",
            "merge into a using b on a.i = pg_sleep(1)::text::int when matched then do nothing",
            "create function f() returns text language sql as 'select pg_read_file($$x$$)'",
        ],
        &[
            "select now(), lower('a'), nextval('s')",
            "select 'pg_sleep(1)'",
            "select set_config('TimeZone', 'UTC', false)",
            "create function f() returns int language sql as 'select 1'",
        ],
    );
    check(
        "deny_functions: {dangerous: true}",
        "*",
        &[
            "select set_config('search_path', 'evil', false)",
            "do $$ begin perform pg_sleep(9); end $$",
            "create function f() returns int language plpgsql as 'begin return 1; end'",
        ],
        &["select wipe()"],
    );
}

#[test]
fn allow_functions() {
    check(
        "allow_functions: {names: [\"shop.*\", total], harmless: true}",
        "function_not_allowed",
        &[
            "select pg_sleep(1)",
            "select nextval('s')",
            "select evil.lower('a')",
            "select 1 === 2",
            "select 1::mood",
        ],
        &["select lower(shop.tax(1))", "select total(a) from b", "select 1 + 2, '1'::int"],
    );
}

#[test]
fn read_only() {
    check(
        "read_only: {functions: [\"shop.tax\"]}",
        "*",
        &[
            "insert into a values (1)",
            "with d as (delete from a returning 1) select * from d",
            "select * into b from a",
            "select * from a for key share",
            "select nextval('s')",
            "select setval('s', 1)",
            "select anything()",
            "select evil.lower('a')",
            "select 1 operator(evil.+) 2",
            "select a from b order by a using <<<<",
            "select 1 === any (array[2])",
            "select '1'::evil_type",
            "select cast(1 as evil.t)",
            "explain analyze update a set b = 1",
            "explain (analyze 1) insert into a values (1)",
            "copy a from stdin",
            "copy (select 1) to program 'x'",
            "call f()",
            "do ''",
            "create temp table t (i int)",
            "refresh materialized view v",
            "notify c",
            "set transaction read write",
            "set search_path = evil",
            "select lo_creat(1)",
            "select pg_notify('c', '')",
            "set search_path = evil, pg_catalog; select lower('a')",
            "select query_to_xml('delete from a', true, true, '')",
            "prepare transaction 'x'",
            "rollback prepared 'x'",
            // A cursor that nobody saw declared may be of anything.
            "fetch 10 from c",
        ],
        &[
            "select shop.tax(1)",
            "select count(*), max(b), string_agg(c, ',') from a group by d having bool_or(e)",
            "select '1'::int::numeric(10, 2)::text, now() at time zone 'UTC', extract(year from now())",
            "select a[1:2], b -> 'c' ->> 0, d || e from t where f ~* 'g' and h between 1 and 2",
            "explain delete from a",
            "explain execute p",
            "begin read only",
            "set statement_timeout = 0",
            "declare c cursor for select 1",
            "show all",
            "select embedding <=> '[1]' from items",
        ],
    );
}

#[test]
fn code_and_transactions() {
    check(
        "no_dynamic_sql: true",
        "*",
        &[
            "do 'begin end'",
            "create function f() returns int language plpgsql as 'begin return 1; end'",
            "create procedure p() language sql as 'select wrong from'",
            "select query_to_xml('select 1', true, true, '')",
            "execute nobody",
        ],
        &["select 1", "create function f() returns int return 1", "prepare p as select 1"],
    );
    check(
        "no_transaction_control: true",
        "transaction_control",
        &["begin", "commit", "rollback", "savepoint s", "prepare transaction 'x'", "select 1; end"],
        &["select 1", "set transaction isolation level serializable"],
    );
}

#[test]
fn require_limit() {
    check(
        "require_limit: 100",
        "*",
        &[
            "select * from a",
            "select * from a limit 101",
            "select * from a limit all",
            "select * from a limit null",
            "select * from a limit (select 5)",
            "select * from a limit $1",
            "select * from a limit 5 + 5",
            "select * from a limit '1000'",
            "select * from a order by b fetch first 5 rows with ties",
            "(select 1 from a limit 5) union all select 1 from a",
            "(select 1 from a limit 60) union all (select 1 from a limit 60)",
            "with x as (select 1 limit 1) select * from a",
            "table a",
            "copy a to stdout",
            "copy (select * from a) to stdout",
            "update a set b = 1 returning *",
            "insert into a select * from b returning *",
            "fetch all from c",
            "fetch 1000 from c",
            "select generate_series(1, 1000000)",
            "select unnest(b) from (values (1)) v(b)",
            "select anything()",
            "select json_agg(a) from a",
            "select repeat('x', 1000000000)",
            "select string_agg(b, '') from a limit 1",
            "prepare p as select * from a",
        ],
        &[
            "select * from a limit 100",
            "select * from a limit 0",
            "select * from a fetch first row only",
            "select * from a limit 10 offset 90",
            "select count(*) from a",
            "select max(b), min(c) from a where d = 1",
            "select 1, now()",
            "values (1), (2)",
            "(select 1 from a limit 5) union all (select 1 from b limit 5)",
            "insert into a values (1) returning id",
            "update a set b = 1",
            "fetch 100 from c",
            "insert into a select * from b",
            "explain select * from a",
            "create table b as select * from a",
        ],
    );
    check("require_limit: {max: 5, gather: allow}", "*", &[], &["select json_agg(a) from a"]);
}

#[test]
fn no_cross_join() {
    check(
        "no_cross_join: true",
        "cross_join",
        &[
            "select * from a, b",
            "select * from a cross join b",
            "select * from a join b on true",
            "select * from a, b, c where a.i = b.i",
            "select * from a, b where a.i = 1 and b.i = 1",
            "select * from a, b where a.i = b.i or true",
            "select * from a where i in (select 1 from b, c)",
            "insert into x select 1 from a, (select 2) b",
        ],
        &[
            "select * from a",
            "select * from a join b on a.i = b.i",
            "select * from a join b using (i)",
            "select * from a natural join b",
            "select * from a, b where a.i = b.i and b.k = 1",
            "select * from a, b where i = k",
            "select * from a, b, c where a.i = b.i and c.i = b.i",
            "select * from a, unnest(a.list) x",
            "select * from a, lateral (select 1 from b where b.i = a.i) x",
            "select * from a cross join lateral unnest(a.list)",
        ],
    );
}

#[test]
fn max_statement_bytes() {
    let long = format!("select 1 /* {} */", "x".repeat(100));
    check(
        "max_statement_bytes: 100",
        "statement_too_long",
        &[&long, &format!("select 1; {long}")],
        &["select 1"],
    );
}

/// Microseconds of a time in 2026.
fn at(time: &str) -> u64 {
    let time: jiff::Timestamp = time.parse().unwrap();
    u64::try_from(time.as_microsecond()).unwrap()
}

#[test]
fn change_window() {
    let rule = policy(
        "change_window: {days: [mon, fri], hours: \"22:00-06:00\", offset: \"+02:00\", \
         freeze: [{from: \"2026-12-18T00:00:00Z\", until: \"2026-12-28T00:00:00Z\"}]}",
    );
    for (time, expected) in [
        ("2026-11-23T20:00:00Z", "allow"),
        ("2026-11-24T03:59:59Z", "allow"),
        ("2026-11-24T04:00:00Z", "outside_window"),
        ("2026-11-23T19:59:59Z", "outside_window"),
        ("2026-11-24T21:00:00Z", "outside_window"),
        ("2026-12-21T21:00:00Z", "frozen"),
        ("2026-12-28T21:00:00Z", "allow"),
    ] {
        let moment = Moment::at(at(time));
        assert_eq!(reason(&rule, "update a set b = 1 where c = 2", &moment), expected, "{time}");
        assert_eq!(reason(&rule, "select 1", &moment), "allow", "{time}");
        assert_eq!(reason(&rule, "do 'begin end'", &moment), expected, "{time}");
    }
    assert_eq!(reason(&rule, "drop table a", &Moment::default()), "outside_window");
}

#[test]
fn require_intent() {
    let rule = policy("require_intent: {verbs: [ddl]}");
    let claimed = |intent| Moment { change_intent: intent, ..Moment::default() };
    assert_eq!(reason(&rule, "drop table a", &claimed(None)), "intent_missing");
    assert_eq!(reason(&rule, "drop table a", &claimed(Some("  "))), "intent_missing");
    assert_eq!(reason(&rule, "drop table a", &claimed(Some("CHG-7"))), "allow");
    assert_eq!(reason(&rule, "delete from a", &claimed(None)), "allow");
}

/// Two approvers, of whom the first bears the name of who sends.
const APPROVERS: &str = "
approvers:
  - {name: ann, key: ann+c4faeb66+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c}
  - {name: bob, key: bob+9ebaaa42+AYE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU}
";

#[test]
fn require_approval() {
    let rule = |guard: &str| {
        let yaml = format!("name: t\nversion: 1\nmode: enforce\nrules:\n  - id: r\n    {guard}{APPROVERS}");
        Policy::parse(&yaml, "t.yaml").unwrap()
    };
    let policy = rule("require_approval: true");
    let by = |name: &str| [Given { id: "id-1".into(), approver: name.into() }];
    let (ann, bob, eve) = (by("ann"), by("bob"), by("eve"));
    let of = |given| Moment { approvals: Approvals::Of { digest: "d1", given }, ..Moment::default() };
    let unbound = Moment { approvals: Approvals::Unbound, ..Moment::default() };
    for (moment, expected) in [
        (Moment::default(), "approval_missing"),
        (of(&[]), "approval_missing"),
        (of(&eve), "approval_missing"),
        (of(&ann), "approval_own"),
        (unbound, "approval_unbound"),
        (of(&bob), "allow"),
    ] {
        for sql in ["delete from a where b = 1", "drop table a", "do 'begin end'", "select 1; delete from a"]
        {
            assert_eq!(reason(&policy, sql, &moment), expected, "{sql}");
        }
        assert_eq!(reason(&policy, "select 1", &moment), "allow");
    }
    assert_eq!(reason(&policy, "prepare p as delete from a", &of(&bob)), "approval_unbound");
    let only = rule("require_approval: {verbs: [drop], approvers: [ann]}");
    assert_eq!(reason(&only, "drop table a", &of(&bob)), "approval_missing");
    assert_eq!(reason(&only, "delete from a", &Moment::default()), "allow");
}

#[test]
fn an_approval_is_used_by_what_passes_for_it() {
    let yaml = format!(
        "name: t\nversion: 1\nmode: enforce\nrules:\n  - {{id: r, require_approval: true}}\n  - {{id: s, \
         deny_tables: secrets}}{APPROVERS}"
    );
    let policy = Policy::parse(&yaml, "t.yaml").unwrap();
    let login = Login { user: "cal", database: "shop", application: "psql", tenant: None };
    let caller = policy.caller(&login);
    assert!(policy.asks_approval(&caller));
    let given = [Given { id: "id-1".into(), approver: "ann".into() }];
    let moment = Moment { approvals: Approvals::Of { digest: "d1", given: &given }, ..Moment::default() };
    let used = |sql: &str, body: &str| {
        let facts = Facts::of_postgres(sql.as_bytes());
        let body = std::sync::Arc::new(Facts::of_postgres(body.as_bytes()));
        let decision =
            policy.decide_at(&caller, &facts, KillLevel::Observe, &moment, &|_| Some(body.clone()));
        (decision.refusal.map(|one| one.reason), decision.approvals.map_or(0, |ids| ids.len()))
    };
    assert_eq!(used("delete from a", ""), (None, 1));
    assert_eq!(used("select * from a", ""), (None, 0));
    assert_eq!(used("delete from secrets", ""), (Some("table_denied"), 0));
    assert_eq!(used("execute p", "delete from a"), (Some("approval_unbound"), 0));
    assert_eq!(used("execute p", "select 1"), (None, 0));
}

#[test]
fn a_changed_path_hides_names() {
    let rule = policy("deny_tables: secrets");
    let moved = Moment { path_changed: true, ..Moment::default() };
    assert_eq!(reason(&rule, "select * from orders", &moved), "table_denied");
    assert_eq!(reason(&rule, "select * from shop.orders", &moved), "allow");
    for (sql, expected) in [
        ("set search_path = evil; select * from orders", "table_denied"),
        ("select set_config($1, $2, false); select * from orders", "table_denied"),
        ("set search_path = public, pg_catalog; select * from orders", "table_denied"),
        ("set search_path = \"$user\", public; select * from orders", "allow"),
        ("set search_path = ''; select * from shop.orders", "allow"),
    ] {
        assert_eq!(reason(&rule, sql, &Moment::default()), expected, "{sql}");
    }
}
