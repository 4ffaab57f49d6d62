//! Statements and the facts that must come out of them.

use clyra_policy::{Facts, StatementFacts};

/// One line per statement: verb, then what it reads, writes, calls, and its tags, where there are any.
fn told(sql: &str) -> String {
    let facts = Facts::of_postgres(sql.as_bytes());
    facts.statements.iter().map(line).collect::<Vec<_>>().join(" | ")
}

fn line(statement: &StatementFacts) -> String {
    let parts = [
        ('r', &statement.reads),
        ('w', &statement.writes),
        ('f', &statement.functions),
        ('#', &statement.tags),
    ];
    parts.iter().filter(|(_, names)| !names.is_empty()).fold(
        statement.verb.as_str().to_owned(),
        |text, (mark, names)| {
            let mut names: Vec<_> = names.to_vec();
            names.sort();
            format!("{text} {mark}:{}", names.join(","))
        },
    )
}

fn check(table: &[(&str, &str)]) {
    for (sql, facts) in table {
        assert_eq!(told(sql), *facts, "{sql}");
    }
}

#[test]
fn queries_and_changes() {
    check(&[
        ("", "empty"),
        (";; -- nothing", "empty"),
        ("SELECT 1; ; TABLE A", "select | select r:a"),
        ("select * from \"A\", b.c x join only d on true", "select r:A,b.c,d"),
        ("select * from \"a.b\".\"c\"\"d\"", "select r:\"a.b\".\"c\"\"d\""),
        ("values (f(1), (select max(x) from t))", "select r:t f:f,max"),
        ("select pg_catalog.now() from t for share of t", "select r:t f:pg_catalog.now #:locking"),
        ("select a into b from c", "create r:c w:b #:select_into"),
        ("select a union (select b from u order by g(b)) limit (select h())", "select r:u f:g,h"),
        ("select * from t tablesample system ((select k from s))", "select r:s,t"),
        ("select * from rows from (f(1), g((select 2 from q)))", "select r:q f:f,g"),
        ("select f(x) over w from t window w as (partition by (select 1 from v))", "select r:t,v f:f"),
        ("insert into a.b select * from c returning (select d from e)", "insert r:c,e w:a.b"),
        ("insert into t values (1) on conflict (k) do update set x = (select y from u)", "insert r:u w:t"),
        ("update t set a = 1", "update w:t #:no_where"),
        ("update t x set a = y.b from y where x.id = y.id", "update r:y w:t"),
        ("delete from t using u where t.id = u.id", "delete r:u w:t"),
        ("merge into t using u on t.id = u.id when matched then delete", "merge r:u w:t"),
        (
            "with d as (delete from t where id = 1 returning *) insert into u select * from d",
            "delete w:t,u #:cte_write",
        ),
        ("copy t to stdout", "copy_out r:t"),
        ("copy t from stdin", "copy_in w:t"),
        ("copy (select * from t) to program 'x'", "server r:t #:copy_program"),
        ("copy t from '/etc/passwd'", "server w:t #:copy_file"),
    ]);
}

#[test]
fn a_cte_hides_a_table_only_where_postgres_says_so() {
    check(&[
        ("with t as (select 1) select * from t", "select"),
        ("with t as (select 1) select * from public.t", "select r:public.t"),
        ("with t as (select * from t) select * from t", "select r:t"),
        ("with recursive t as (select * from t) select * from t", "select"),
        ("with a as (select * from t), t as (select 1) select * from a", "select r:t"),
        ("with recursive a as (select * from t), t as (select 1) select * from a", "select"),
        ("select * from (with t as (select 1) select * from t) x, t", "select r:t"),
        ("with t as (select 1) delete from t where a = 1", "delete w:t"),
        ("with t as (select 1) insert into u select * from t", "insert w:u"),
        ("with t as (select 1) select * from u where a in (select a from t)", "select r:u"),
        (
            "with t as (select 1), b as (with t as (select * from t) select * from t) select * from b",
            "select",
        ),
        ("(with t as (select 1) select * from t) union select * from t", "select r:t"),
    ]);
}

#[test]
fn utility_statements() {
    check(&[
        ("explain delete from t", "explain r:t #:no_where"),
        ("explain (analyze off) delete from t", "explain r:t #:no_where"),
        ("explain (analyze on, analyze off) delete from t", "delete w:t #:explain_analyze,no_where"),
        ("explain analyze create table a as select * from b", "create r:b w:a #:explain_analyze"),
        ("prepare p as update t set a = 1 where id = $1", "update w:t #:prepare"),
        ("execute p(1)", "execute"),
        ("create table a as execute p", "create w:a"),
        ("declare c cursor for select * from t", "select r:t"),
        ("fetch all from c", "fetch"),
        ("do $$ begin drop table t; end $$", "do #:dynamic_sql"),
        ("call p((select 1 from t))", "call r:t f:p"),
        ("begin", "begin"),
        ("end", "commit"),
        ("rollback to s", "rollback"),
        ("set a.b = 1", "set"),
        ("show all", "show"),
        ("discard all", "discard"),
        ("listen c", "listen"),
        ("notify c", "notify"),
        ("lock table t", "lock r:t #:locking"),
        ("vacuum full a.b", "maintain w:a.b"),
        ("analyze", "maintain w:*"),
        ("reindex schema s", "maintain w:s.*"),
        ("truncate a, only b", "truncate w:a,b #:no_where"),
        ("load 'x'", "server"),
        ("alter system set a = 1", "server"),
        ("checkpoint", "maintain"),
    ]);
}

#[test]
fn definitions_and_rights() {
    check(&[
        (
            "create table a (b int default f() check (g(b) > 0) references c, like d) inherits (e)",
            "create r:c,d,e w:a f:f,g",
        ),
        ("create view v as select * from t", "create r:t w:v"),
        ("create materialized view v as table t", "create r:t w:v"),
        ("create index on t (f(a)) where b > (select 1)", "create w:t f:f"),
        ("create rule r as on insert to a do also delete from b", "create w:a,b #:no_where"),
        (
            "create function f() returns void begin atomic delete from t where id = 1; select * from u; end",
            "create r:u w:t",
        ),
        ("create function f() returns int return (select 1 from t)", "create r:t"),
        ("create schema s create view v as select * from t", "create r:t w:v"),
        ("create trigger x before insert on t execute function f()", "create w:t"),
        ("create policy p on t using (exists (select 1 from u))", "create r:u w:t"),
        ("create publication p for all tables", "create r:*"),
        ("create sequence s owned by t.id", "create w:s,t"),
        ("create statistics s on a, b from t", "create r:t"),
        ("alter table t add column c int default f(), attach partition p default", "unparsed #:unparsed"),
        ("alter table t attach partition p for values in (1)", "alter w:p,t"),
        ("alter table t rename to u", "alter w:t,u"),
        ("alter schema s rename to z", "alter w:s.*,z.*"),
        ("alter table s.t set schema z", "alter w:s.t,z.t"),
        ("create table t (a bigserial)", "create w:t f:nextval"),
        ("alter table all in tablespace a set tablespace b", "alter w:*"),
        ("comment on column a.t.c is 'x'", "alter w:a.t"),
        ("drop table a, b.c", "drop w:a,b.c"),
        ("drop trigger x on a.t", "drop w:a.t"),
        ("drop schema s cascade", "drop w:s.*"),
        ("drop owned by x", "drop w:*"),
        ("drop function f", "drop"),
        ("grant select on t to x", "grant w:t"),
        ("grant execute on function f to x", "grant"),
        ("grant select on all tables in schema s to x", "grant w:*"),
        ("create role x", "grant"),
        (
            "create foreign table t (a int default f() references u) server s options (a 'b')",
            "create r:u w:t f:f",
        ),
        ("alter role a rename to b", "grant"),
    ]);
}

#[test]
fn what_is_not_understood_says_why() {
    let problem = |sql: &[u8]| Facts::of_postgres(sql).problem.unwrap();
    let syntax = problem("SELECT é FROM FROM t WHERE wher".as_bytes());
    assert_eq!(syntax.message, "syntax error at or near \"FROM\"");
    assert!(syntax.syntax && syntax.position.is_none(), "FROM stands there twice");
    assert_eq!(problem("select 'é', )".as_bytes()).position, Some(13));
    assert_eq!(problem(b"select (").position, Some(9));
    assert!(!problem(b"select '\xff'").syntax);
    assert!(!problem(b"select 1\0").syntax);
    assert!(
        problem(format!("select {}1{}", "(".repeat(2_000), ")".repeat(2_000)).as_bytes())
            .message
            .contains("deeper")
    );
    let long = format!("select '{}'", "x".repeat(clyra_spec::limits::STATEMENT_BYTES_MAX));
    assert!(problem(long.as_bytes()).message.contains("longer"));
}

#[test]
fn long_chains_neither_crash_nor_hang() {
    for sql in [
        format!("delete from t where {} = 1", vec!["a"; 100_000].join("+")),
        format!("delete from t where {} a", "not ".repeat(5_000)),
        format!("select {}1", "- ".repeat(5_000)),
        format!(
            "with {} select 1",
            (0..3_000).map(|n| format!("c{n} as (select * from t{n})")).collect::<Vec<_>>().join(",")
        ),
        format!(
            "select * from {}",
            (0..500).map(|n| format!("t{n}")).collect::<Vec<_>>().join(" cross join ")
        ),
    ] {
        let facts = Facts::of_postgres(sql.as_bytes());
        assert_eq!(facts.statements.len(), 1);
    }
    let wide = (0..70).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
    let facts = Facts::of_postgres(format!("select * from {wide}").as_bytes());
    let statement = facts.statements.first().unwrap();
    assert_eq!(statement.reads.len(), clyra_spec::limits::NAMES_MAX);
    assert!(statement.tags.iter().any(|tag| &**tag == "names_truncated"));
}

#[test]
fn spans_positions_and_names_of_prepared_statements() {
    let sql = "SELECT 'é';\n  PREPARE \"P\" AS SELECT 1; EXECUTE p; DEALLOCATE ALL";
    let facts = Facts::of_postgres(sql.as_bytes());
    let [select, prepare, execute, forget] = &*facts.statements else { unreachable!() };
    let text = |statement: &StatementFacts| {
        let (start, length) = statement.span;
        let start = usize::try_from(start).unwrap();
        sql.get(start..start + usize::try_from(length).unwrap()).unwrap().trim().to_owned()
    };
    assert_eq!(text(select), "SELECT 'é'");
    assert_eq!(text(prepare), "PREPARE \"P\" AS SELECT 1");
    assert_eq!((select.position, prepare.position), (1, 15));
    assert_eq!(prepare.prepares.as_deref(), Some("P"));
    assert_eq!(execute.executes.as_deref(), Some("p"));
    assert_eq!(forget.deallocates, Some(None));
    let call = Facts::of_function_call(2_077);
    assert_eq!(line(call.statements.first().unwrap()), "call f:oid:2077 #:function_call");
}
