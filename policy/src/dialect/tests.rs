//! Texts in each dialect, and the facts that must come out of them.

use super::Dialect::{self, BigQuery, Databricks, Snowflake};
use crate::Facts;

/// One line per statement: verb, then what it reads, writes, calls, and its tags, where there are any.
fn told(dialect: Dialect, sql: &str) -> String {
    let facts = Facts::of(dialect, sql.as_bytes());
    if let Some(problem) = facts.problem {
        return format!("? {}", problem.message);
    }
    let line = |one: &crate::StatementFacts| {
        let parts = [('r', &one.reads), ('w', &one.writes), ('f', &one.functions), ('#', &one.tags)];
        parts.iter().filter(|(_, names)| !names.is_empty()).fold(
            one.verb.as_str().to_owned(),
            |text, (mark, names)| {
                let mut names = names.to_vec();
                names.sort();
                format!("{text} {mark}:{}", names.join(","))
            },
        )
    };
    facts.statements.iter().map(line).collect::<Vec<_>>().join(" | ")
}

fn check(table: &[(Dialect, &str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(dialect, sql, facts)| {
            let told = told(*dialect, sql);
            (told != *facts).then(|| format!("{dialect:?}: {sql}\n   {told}\n   {facts}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn refused(table: &[(Dialect, &str)]) {
    let told = table.iter().map(|(dialect, sql)| (dialect, sql, told(*dialect, sql)));
    let passed: Vec<String> = told
        .filter(|(.., told)| !told.starts_with('?'))
        .map(|(dialect, sql, told)| format!("{dialect:?}: {sql}\n   {told}"))
        .collect();
    assert!(passed.is_empty(), "{}", passed.join("\n"));
}

#[test]
fn queries_and_changes() {
    check(&[
        (Snowflake, "", "empty"),
        (
            Snowflake,
            "select * from db.sch.T t join \"X\" on t.a = x.a; select 1",
            "select r:db.sch.t,x | select",
        ),
        (Snowflake, "select * from \"secrets\"", "select r:\"secrets\",secrets"),
        (Snowflake, "select * from db..t", "select r:db.public.t"),
        (Snowflake, "with t as (select * from t) select * from t, u where t.a = u.a", "select r:t,u"),
        (Snowflake, "with recursive t as (select 1 union all select * from t) select * from t", "select"),
        (Snowflake, "select * from (with t as (select 1) select * from t) x, t", "select r:t"),
        (Snowflake, "select f.value from t, lateral flatten(input => t.a) f", "select r:t f:flatten"),
        (Snowflake, "select * from table(g(1))", "select f:g"),
        (Snowflake, "select v:a.b::int from t at(offset => -60)", "select r:t f:at"),
        (Snowflake, "insert overwrite into t select * from u", "truncate r:u w:t #:no_where"),
        (Snowflake, "update t set a = u.b from u where t.id = u.id", "update r:u w:t"),
        (Snowflake, "delete from t", "delete w:t #:no_where"),
        (Snowflake, "delete from t where 1 = 1", "delete w:t #:no_where"),
        (Snowflake, "copy into t from @stage/x", "server r:@stage/x w:t #:copy_file"),
        (Snowflake, "create or replace table t clone u", "create r:u w:t"),
        (Snowflake, "use role x", "set"),
        (Snowflake, "alter session set a = 1", "set"),
        (Snowflake, "call p((select max(a) from t))", "call r:t f:max,p"),
        (Snowflake, "execute immediate 'drop table t'", "do #:dynamic_sql"),
        (Snowflake, "alter table t swap with u", "alter w:t,u"),
        (Databricks, "select * from `Cat`.sch.t version as of 3", "select r:cat.sch.t"),
        (Databricks, "select * from csv.`/x/y`", "server r:csv./x/y #:copy_file"),
        (Databricks, "merge into t using u on t.id = u.id when matched then delete", "merge r:u w:t"),
        (Databricks, "select explode(a) from t lateral view explode(b) x as c", "select r:t f:explode"),
        (BigQuery, "select * from `p.ds.t` where a = r'x'", "select r:p.ds.t"),
        (BigQuery, "select * from my-proj.ds.t", "select r:my-proj.ds.t"),
        (BigQuery, "select * from `ds.events_*`", "select r:ds.* #:wildcard_table"),
        (BigQuery, "update ds.t set a = 1 where true", "update w:ds.t #:no_where"),
        (BigQuery, "select 1; drop table ds.t", "select | drop w:ds.t"),
        (
            Snowflake,
            "create table a (b int references c, foreign key (b) references d (e))",
            "create r:c,d w:a",
        ),
        (Databricks, "alter table a.t rename to a.u", "alter w:a.t,a.u"),
        (Snowflake, "select * from @s/x (file_format => 'f')", "server r:@s/x #:copy_file"),
        (Databricks, "insert overwrite table a table secrets", "truncate r:secrets w:a #:no_where"),
        (Databricks, "with s as (select 1) select * from s union all table s", "select"),
    ]);
}

#[test]
fn statements_that_are_read_by_their_words() {
    check(&[
        (Databricks, "vacuum c.s.t retain 168 hours; drop table u", "maintain w:c.s.t | drop w:u"),
        (
            Databricks,
            "drop table u; optimize t zorder by (a); analyze table t compute statistics",
            "drop w:u | maintain w:t | maintain w:t",
        ),
        (Databricks, "copy into t from '/x' fileformat = csv", "server w:t #:copy_file"),
        (Databricks, "describe history t", "show r:t"),
        (Databricks, "restore table t to version as of 1", "alter w:t"),
        (Databricks, "create or replace table t shallow clone u version as of 2", "drop r:u w:t"),
        (Databricks, "create table t deep clone u location '/x'", "server r:u w:t #:copy_file"),
        (Databricks, "cache table t", "maintain r:t"),
        (Snowflake, "create or replace stream s on table \"T\" append_only = true", "drop r:t w:s"),
        (Snowflake, "alter warehouse w suspend; select * from t", "alter | select r:t"),
        (Snowflake, "alter table t add a int, b int", "alter w:t"),
        (Snowflake, "get @~/x 'file:///y'", "server #:copy_file"),
        (BigQuery, "create table ds.t copy my-proj.ds.u", "create r:my-proj.ds.u w:ds.t"),
        (
            BigQuery,
            "load data overwrite ds.t from files (uris = ['gs://x'])",
            "server w:ds.t #:copy_file,no_where",
        ),
    ]);
    let kept = "create task x schedule = '1 minute' as delete from secrets; drop table t";
    assert_eq!(told(Snowflake, kept), "create | drop w:t");
    assert!(Facts::of(Snowflake, kept.as_bytes()).statements[0].details.keeps_code);
    refused(&[
        (Databricks, "vacuum t select * from secrets"),
        (Databricks, "vacuum t retain (table secrets) hours"),
        (Databricks, "cache table c as select * from secrets"),
        (Databricks, "copy into t from (select * from secrets)"),
        (Databricks, "describe history t garbage"),
        (Databricks, "vacuum 'x'"),
        (Snowflake, "alter table t add a int references secrets, b int"),
        (Snowflake, "alter table t add a int, b int default (select max(c) from secrets)"),
        (Snowflake, "create stream s on table t at (statement => (select 1))"),
        (BigQuery, "create table ds.t copy ds.u as select * from secrets"),
    ]);
}

#[test]
fn known_blind_spots_are_not_understood() {
    for dialect in [Snowflake, Databricks, BigQuery] {
        let told = told(dialect, "select 1 end; drop table t");
        assert!(told.starts_with('?') || told.ends_with("drop w:t"), "{dialect:?}: {told}");
    }
    let everywhere = [
        "select v and from secrets",
        "select v or from secrets",
        "select 1 &>'; drop table t --'",
        "select '",
        "select /* /* */ 1 */ from t",
        "select a from t into secrets",
        "begin drop table t; end",
        "if (true) then drop table t; end if",
        "declare x int; drop table t",
        "select * from t; garbage",
        "select * from t garbage garbage garbage",
    ];
    let mut all = Vec::new();
    for dialect in [Snowflake, Databricks, BigQuery] {
        all.extend(everywhere.map(|sql| (dialect, sql)));
    }
    all.extend([
        (Snowflake, "table secrets"),
        (Snowflake, "select 1 union all table secrets"),
        (Snowflake, "with x as (table secrets) select * from x"),
        (Snowflake, "select * from u where id in (table secrets)"),
        (Snowflake, "create table a as table secrets"),
        (Snowflake, "select * from only secrets"),
        (Snowflake, "select * from t join final secrets"),
        (Databricks, "select * from stream secrets"),
        (Databricks, "select * from stream(secrets)"),
        (Databricks, "select * from f(table(secrets))"),
        (Databricks, "select * from f(table secrets)"),
        (Databricks, "select * from f(x => table(secrets))"),
        (BigQuery, "select * from f(table secrets)"),
        (BigQuery, "select * from appends(table ds.secrets, null)"),
        (Snowflake, "select * from identifier('secrets')"),
        (Snowflake, "select * from table('secrets')"),
        (Snowflake, "select * from table($x)"),
        (Snowflake, "select * from $x"),
        (Snowflake, "select * from `secrets`"),
        (Snowflake, "select 'a\\'; select * from secrets --'; x"),
        (Snowflake, "select 1 // ' \r select * from secrets"),
        (Databricks, "select * from identifier('secrets')"),
        (Databricks, "select 1 -- \\\n select * from secrets"),
        (Databricks, "select * from ${t}"),
        (BigQuery, "select * from t |> call f()"),
        (BigQuery, "select r'a\\' || (select x from secrets) || r'"),
    ]);
    refused(&all);
}

#[test]
fn a_rule_about_a_table_holds_for_it_in_any_database() {
    let policy = crate::Policy::parse(RULES, "r.yaml").unwrap();
    let login = crate::Login { user: "ann", database: "shop", application: "", tenant: None };
    let caller = policy.caller(&login);
    for (dialect, sql, passes) in [
        (Snowflake, "select id from prod.hr.SECRETS", false),
        (Databricks, "select id from `prod`.`hr`.`Secrets`", false),
        (BigQuery, "select id from `prod.hr.secrets`", false),
        (BigQuery, "select id from `hr.secr*`", false),
        (Snowflake, "select iff(a, 1, 2) from prod.hr.open_things", true),
        (Snowflake, "select my_function(a) from prod.hr.open_things", false),
        (Snowflake, "select system$cancel_all_queries(1)", false),
        (BigQuery, "insert into hr.open_things values (1)", false),
    ] {
        let facts = Facts::of(dialect, sql.as_bytes());
        let decision = policy.decide(&caller, &facts, clyra_spec::KillLevel::Observe, &|_| None);
        assert_eq!(decision.refusal.is_none(), passes, "{dialect:?}: {sql}: {:?}", decision.refusal);
    }
}

const RULES: &str = "
name: w
version: 1
mode: enforce
rules:
  - {id: tables, deny_tables: [hr.secrets]}
  - {id: reads, read_only: true}
";

#[test]
fn what_is_too_deep_or_too_long_is_refused_in_time() {
    for dialect in [Snowflake, Databricks, BigQuery] {
        for sql in [
            format!("select {}1{}", "(".repeat(2_000), ")".repeat(2_000)),
            format!("select {}1{}", "(".repeat(50), ")".repeat(50)),
            format!("select * from {}t{}", "(".repeat(50), ")".repeat(50)),
            format!("select {}1", "not ".repeat(5_000)),
            format!("select {}1", "- ".repeat(900)),
            format!("select {}", vec!["a"; 100_000].join("+")),
            format!("select {}", vec!["a"; 900].join("+")),
            format!("select {} 1", "case when ".repeat(500)),
            vec!["select 1"; 900].join(" union all "),
            format!("select * from t where a in ({})", vec!["1"; 50_000].join(",")),
            format!("select {}1", "f(".repeat(55)),
            ctes(1_900),
            ctes(5_000),
            "select a from t;".repeat(9_999),
            "select 1;".repeat(20_000),
            "create task x as select 1;".repeat(2_000),
            "begin ".repeat(10_000),
            "explain ".repeat(5_000),
            format!("select cast(a as {}int{}) from t", "array<".repeat(5_000), ">".repeat(5_000)),
            format!("select {}1", "x -> ".repeat(5_000)),
            format!("select a{} from t", "::int".repeat(5_000)),
            format!("select a{} from t", "[1]".repeat(5_000)),
            format!("select * from t {}", "pivot(sum(a) for b in (1)) ".repeat(2_000)),
            format!("select * from t {}", "lateral view explode(a) x as y ".repeat(2_000)),
            format!("merge into t using u on a = b {}", "when matched then delete ".repeat(5_000)),
            "/*".repeat(100_000),
        ] {
            let facts = Facts::of(dialect, sql.as_bytes());
            assert!(facts.statements.len() <= 10_000, "{}", facts.statements.len());
            assert!(facts.problem.is_none() || facts.statements.len() == 1);
        }
    }
}

fn ctes(count: usize) -> String {
    let all = (1..count).map(|number| format!("c{number} as (select * from c{})", number - 1));
    format!("with c0 as (select 1), {} select * from c1", all.collect::<Vec<_>>().join(", "))
}
