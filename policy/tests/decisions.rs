//! Rules, messages and what must become of them.
#![expect(clippy::unwrap_used, reason = "a test that fails here has found its fault")]

use clyra_policy::{ByName, Caller, Decision, Facts, Login, Policy};
use clyra_spec::{KillLevel, Mode, Verdict};
use std::sync::Arc;

fn policy(head: &str, rules: &str) -> Policy {
    Policy::parse(&format!("name: t\nversion: 1\n{head}\n{rules}"), "t.yaml").unwrap()
}

fn one_rule(guard: &str) -> Policy {
    policy("mode: enforce", &format!("rules:\n  - id: r\n    {guard}\n"))
}

fn caller(policy: &Policy, user: &str) -> Caller {
    policy.caller(&Login { user, database: "shop", application: "psql", tenant: None })
}

fn decide(policy: &Policy, sql: &str) -> Decision {
    decide_at(policy, sql, KillLevel::Observe)
}

fn decide_at(policy: &Policy, sql: &str, kill: KillLevel) -> Decision {
    let prepared = |name: ByName<'_>| {
        let ByName::Statement(name) = name else { return None };
        let body = match name {
            "reads" => "SELECT 1",
            "erases" => "DELETE FROM secrets",
            "one_of_two" => "PREPARE other AS DELETE FROM secrets; PREPARE one_of_two AS SELECT 1",
            "broken" => "SELEC",
            _ => return None,
        };
        Some(Arc::new(Facts::of_postgres(body.as_bytes())))
    };
    policy.decide(&caller(policy, "ann"), &Facts::of_postgres(sql.as_bytes()), kill, &prepared)
}

/// The reason of the refusal, or `allow`.
fn reason(policy: &Policy, sql: &str) -> &'static str {
    let decision = decide(policy, sql);
    assert_eq!(decision.refusal.is_some(), decision.verdict != Verdict::Allow, "{sql}");
    decision.refusal.map_or("allow", |refusal| refusal.reason)
}

fn check(guard: &str, denied: &[&str], allowed: &[&str]) {
    let policy = one_rule(guard);
    for sql in denied {
        assert!(!matches!(reason(&policy, sql), "allow" | "syntax_error"), "must be denied: {sql}");
    }
    for sql in allowed {
        assert_eq!(reason(&policy, sql), "allow", "must be allowed: {sql}");
    }
}

#[test]
fn deny_verbs() {
    check(
        "deny_verbs: [drop, truncate, delete]",
        &[
            "drop table a",
            "select 1; truncate b",
            "with x as (delete from a returning *) select * from x",
            "merge into a using b on a.i = b.i when matched then delete",
            "explain analyze delete from a where i = 1",
            "prepare x as delete from a",
            "copy (delete from a returning i) to stdout",
            "drop owned by bob",
            "do 'begin null; end'",
            "execute erases",
            "explain analyze execute erases",
            "create schema s create table t (i int); drop schema s",
        ],
        &["insert into a values (1)", "explain delete from a", "select 'drop table a'", "execute reads"],
    );
    check(
        "deny_verbs: [writes]",
        &[
            "insert into a values (1)",
            "select * from a for update",
            "select 1 into b",
            "notify c",
            "vacuum a",
        ],
        &["select 1", "begin", "set timezone = 'UTC'", "copy a to stdout", "fetch 1 from c"],
    );
    check(
        "deny_verbs: update",
        &["insert into a values (1) on conflict (i) do update set j = 1"],
        &["select 1"],
    );
}

#[test]
fn require_where() {
    check(
        "require_where: true",
        &[
            "delete from a",
            "delete from a where true",
            "delete from a where not false",
            "delete from a where 2 > 1",
            "delete from a where i = i",
            "delete from a where i = 5 or 1 = 1",
            "delete from a where i = 5 or i <> 5",
            "delete from a where i = i + 0",
            "delete from a where abs(i) = abs(i)",
            "delete from a where coalesce(null, true, i = 5)",
            "delete from a where case when i = 5 then true else true end",
            "delete from a using b where b.j = 1",
            "update a x set i = 1 from b where b.j = b.k",
            "delete from a where i = 5 or not (1 = 2)",
            "delete from a where i = 5 or '  1'::text <> '  1'::int::text",
            "delete from a where i = 5 or 9007199254740993 <> 9007199254740992",
            "delete from a where i = 5 or (null::bool) is not false",
            "delete from a where (i = i) is true",
            "delete from a where i in (1, i)",
            "delete from a where i between i and i",
            "delete from a where i is not distinct from i",
            "delete from a where n like '%'",
            "delete from a where n ~ '.*'",
            "delete from a where i >= -2147483648",
            "delete from a where i is not null",
            "delete from a where i * 0 = 0",
            "delete from a where i - i = 0",
            "delete from a where now() > '2000-01-01'",
            "delete from a where $1",
            "delete from a where i = 5 or $1 is null",
            "delete from a where exists (select 1 from b where j > 5)",
            "delete from a where i in (select i from a)",
            "delete from a where case when true then true end",
            "update a set i = (select 1 where j = 2)",
            "delete from a using b",
            "with x as (update a set i = 1 returning *) select * from x where i = 1",
            "merge into a using b on true when matched then update set i = 1",
            "truncate a",
            "prepare p as delete from a",
            "explain (analyze) update a set i = 1",
        ],
        &[
            "delete from a where i = 5",
            "delete from a where i = $1 and true",
            "delete from a where i = 5 or false",
            "delete from a where i in (select k from b)",
            "delete from a where exists (select 1 from b where b.k = a.i)",
            "delete from a x where exists (select 1 from b where b.k = x.i)",
            "update a set i = 1 where current of c",
            "update a set i = 1 where coalesce(j, 0) = 3",
            "delete from a using b where a.i = b.i",
            "merge into a using b on a.i = b.i when matched then delete",
            "merge into a using b on true when not matched then insert values (1)",
            "insert into a values (1) on conflict (i) do update set j = excluded.j",
            "explain delete from a",
            "delete from a where n is null",
            "select * from a",
        ],
    );
    let narrow = "require_where: {verbs: delete, tables: [\"shop.*\", orders]}";
    check(
        narrow,
        &["delete from orders", "delete from shop.a"],
        &["update orders set a = 1", "delete from b"],
    );
}

#[test]
fn deny_tables() {
    check(
        "deny_tables: [secrets, \"hr.*\"]",
        &[
            "select * from SECRETS",
            "select * from \"Secrets\"",
            "table x.secrets",
            "select (select max(v) from only secrets)",
            "with secrets as (select * from secrets) table secrets",
            "insert into a select * from hr.pay",
            "update a set b = 1 from secrets where a.i = secrets.i",
            "copy secrets from stdin",
            "create view v as select * from secrets",
            "create table c (like secrets)",
            "alter table a inherit secrets",
            "drop schema hr",
            "grant select on all tables in schema public to bob",
            "explain select * from secrets",
            "do $$ begin null; end $$",
            "execute erases",
            "comment on table secrets is 'x'",
        ],
        &[
            "select secrets from a",
            "select * from a as secrets",
            "with secrets as (select 1) table secrets",
            "select * from secrets2",
            "select 'secrets'",
            "select * from pay",
            "execute reads",
            "execute one_of_two",
        ],
    );
    let wide = (0..70).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
    check("deny_tables: secrets", &[&format!("select * from {wide}")], &[]);
}

#[test]
fn single_statement() {
    check(
        "single_statement: true",
        &["select 1; select 2", "begin; commit", "select ';'; select 2", "select 1 end; drop table a"],
        &["select 1", "select 1;", ";;select 1;;", "select ';'", "/* ; */ select 1 -- ; x"],
    );
}

#[test]
fn session_lock() {
    check(
        "session_lock: true",
        &[
            "set role bob",
            "set local role bob",
            "reset role",
            "set session authorization bob",
            "set \"Search_Path\" = evil",
            "set schema 'evil'",
            "reset search_path",
            "set row_security = off",
            "set app.tenant_id = 7",
            "set clyra.run_id = 'x'",
            "reset all",
            "discard all",
            "set names 'SJIS'",
            "set standard_conforming_strings = off",
            "select set_config('role', 'bob', false)",
            "select set_config($1, 'x', true)",
            "select set_config('ro' || 'le', 'bob', true)",
            "select set_config(is_local => true, new_value => 'x', setting_name => 'app.t')",
            "with x as (select pg_catalog.set_config('app.t', '1', true)) select * from x",
            "explain analyze select set_config('app.t', '1', true)",
            "update pg_settings set setting = 'off' where name = 'row_security'",
            "begin read write",
            "set transaction read write",
            "alter role bob set search_path = evil",
            "create function f() returns int set search_path = evil return 1",
            "do $$ begin set role bob; end $$",
        ],
        &[
            "set timezone to 'UTC'",
            "set application_name = 'x'",
            "set client_encoding to 'utf-8'",
            "set names 'UTF8'",
            "set statement_timeout = 0",
            "reset statement_timeout",
            "select pg_catalog.set_config('search_path', '', false)",
            "set search_path to pg_catalog",
            "set transaction isolation level serializable",
            "begin read only",
            "set standard_conforming_strings = on",
            "show search_path",
            "discard plans",
        ],
    );
    check("session_lock: {allow: [\"app.*\"]}", &["set role bob"], &["set app.tenant_id = 7"]);
}

#[test]
fn what_is_not_understood() {
    let strict = one_rule("single_statement: true");
    assert_eq!(reason(&strict, "SELEC 1"), "syntax_error");
    assert_eq!(decide(&strict, "SELEC 1").refusal.unwrap().sqlstate, "42601");
    assert_eq!(reason(&strict, "execute nobody"), "unknown_prepared");
    assert_eq!(reason(&strict, "execute broken"), "not_understood");
    assert_eq!(decide(&strict, "execute nobody").refusal.unwrap().sqlstate, "0A000");
    assert_eq!(reason(&policy("mode: enforce\nunparsed: allow", ""), "SELEC 1"), "allow");
    let shadow = decide(&policy("", ""), "SELEC 1");
    assert_eq!((shadow.verdict, shadow.enforced, shadow.rules.len()), (Verdict::Deny, false, 1));
    // A rule that is enforced in a shadow file must not be passed by what cannot be read.
    let rule = policy("", "rules: [{id: r, mode: enforce, deny_tables: secrets}]");
    assert_eq!(reason(&rule, "create foreign table secrets (a int) server s"), "table_denied");
}

#[test]
fn core_settings_hold_beside_any_rule() {
    let policy = one_rule("deny_verbs: drop");
    assert_eq!(reason(&policy, "set standard_conforming_strings = off"), "core_setting");
    assert_eq!(reason(&policy, "set client_encoding = 'SJIS'"), "core_setting");
    assert_eq!(reason(&policy, "set client_encoding = 'UTF8'"), "allow");
}

#[test]
fn kill_switch() {
    let policy = policy("mode: shadow", "");
    for (sql, level, stopped) in [
        ("select 1", KillLevel::BlockWrites, false),
        ("commit", KillLevel::BlockWrites, false),
        ("with d as (delete from a returning 1) select 1", KillLevel::BlockWrites, true),
        ("execute erases", KillLevel::BlockWrites, true),
        ("execute nobody", KillLevel::BlockWrites, true),
        ("execute reads", KillLevel::BlockWrites, false),
        ("selec", KillLevel::BlockWrites, true),
        ("select 1", KillLevel::BlockStatements, true),
        ("rollback; commit", KillLevel::BlockStatements, true),
        ("rollback", KillLevel::BlockStatements, false),
        ("", KillLevel::BlockStatements, false),
    ] {
        let decision = decide_at(&policy, sql, level);
        assert_eq!(decision.verdict == Verdict::Kill, stopped, "{sql}");
        assert_eq!(decision.refusal.map(|refusal| refusal.sqlstate), stopped.then_some("ZC100"), "{sql}");
    }
}

#[test]
fn modes_callers_and_when() {
    let file = "\
unparsed: deny
callers:
  - match: {user: 'bot*', application: [psql, dbt]}
    actor: robot
    kind: agent
    tenant: acme
    mode: enforce
rules:
  - {id: agents, when: {kind: agent}, deny_verbs: [drop]}
  - {id: trial, mode: shadow, deny_verbs: [drop]}
  - {id: always, mode: enforce, when: {verb: delete, tables: [orders]}, require_where: true}
  - {id: strict, evidence: strict, when: {verb: update}, deny_tables: [nothing]}
";
    let policy = policy("", file);
    let ask = |user: &str, sql: &str| {
        let facts = Facts::of_postgres(sql.as_bytes());
        policy.decide(&caller(&policy, user), &facts, KillLevel::Observe, &|_| None)
    };
    let bot = caller(&policy, "bot7");
    assert_eq!((&*bot.actor, bot.kind.as_str(), bot.tenant.as_deref()), ("robot", "agent", Some("acme")));
    assert_eq!(&*caller(&policy, "ann").actor, "ann");
    let dropped = ask("bot7", "drop table a");
    assert_eq!(&*dropped.refusal.unwrap().rule, "agents");
    let spoken: Vec<_> = dropped.rules.iter().map(|rule| (&*rule.id, rule.enforced)).collect();
    assert_eq!(spoken, [("agents", true), ("trial", false)]);
    let watched = ask("ann", "drop table a");
    assert_eq!((watched.verdict, watched.enforced, watched.rules.len()), (Verdict::Deny, false, 1));
    assert!(ask("ann", "delete from orders").enforced);
    assert_eq!(ask("ann", "delete from other").verdict, Verdict::Allow);
    assert!(ask("ann", "update a set b = 1 where c = 2").strict);
    assert!(!ask("ann", "select 1").strict);
    // A caller of an older policy is looked up again.
    let other = one_rule("deny_verbs: select");
    let facts = Facts::of_postgres(b"select 1");
    assert!(other.decide(&bot, &facts, KillLevel::Observe, &|_| None).refusal.is_some());
}

#[test]
fn the_refusal_tells_what_and_where() {
    let policy = one_rule("deny_verbs: [drop]");
    let refusal = decide(&policy, "SELECT 'é'; DROP TABLE s.orders").refusal.unwrap();
    assert_eq!(refusal.message, "clyra: rule `r` refuses DROP of `s.orders`");
    assert_eq!((refusal.sqlstate, refusal.reason, refusal.position), ("42501", "verb_denied", Some(13)));
    assert!(refusal.detail.contains("Rule: r") && !refusal.hint.is_empty());
}

#[test]
fn the_starter_watches() {
    let starter = Policy::starter();
    assert_eq!((starter.name(), starter.version(), starter.mode()), ("starter", 1, Mode::Shadow));
    assert!(starter.digest().starts_with("sha256:") && starter.digest().len() == 71);
    assert_eq!(decide(&starter, "drop table a").refusal, None);
    assert_eq!(reason(&starter.with_mode(Mode::Enforce), "drop table a"), "verb_denied");
}
