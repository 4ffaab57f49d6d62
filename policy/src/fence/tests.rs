//! What the fence lets pass, and every way around it that is known.

use crate::{Binds, Bound, ByName, Facts, Login, Moment, Policy};
use clyra_spec::{KillLevel, Verdict};
use std::sync::Arc;

const POLICY: &str = "
name: t
version: 1
mode: enforce
callers:
  - match: {user: shop42}
    tenant: '42'
rules:
  - id: fence
    tenant_fence:
      column: tenant_id
      tables: [users, orders, secrets]
      shared: [products, audit_log, 'rate()', 'app.fee()']
";

/// The reason of the refusal, or `allow`.
fn reason(user: &str, sql: &str) -> &'static str {
    let policy = Policy::parse(POLICY, "t.yaml").unwrap();
    let caller = policy.caller(&Login { user, database: "shop", application: "", tenant: None });
    let prepared = |name: ByName<'_>| {
        let body = if name == ByName::Statement("own") {
            "SELECT * FROM users WHERE tenant_id = 42"
        } else {
            "TABLE users"
        };
        Some(Arc::new(Facts::of_postgres(body.as_bytes())))
    };
    let facts = Facts::of_postgres(sql.as_bytes());
    let decision = policy.decide(&caller, &facts, KillLevel::Observe, &prepared);
    assert_eq!(decision.refusal.is_some(), decision.verdict != Verdict::Allow, "{sql}");
    decision.refusal.map_or("allow", |refusal| refusal.reason)
}

fn check(expected: &str, statements: &[&str]) {
    for sql in statements {
        assert_eq!(reason("shop42", sql), expected, "{sql}");
    }
}

#[test]
fn what_is_proven_passes() {
    check(
        "allow",
        &[
            "",
            "select 1; show timezone; begin; set timezone = 'UTC'; rollback",
            "select * from users where tenant_id = 42",
            "select * from users where 42 = users.tenant_id and status = 'active'",
            "select * from public.users u where '42' = u.tenant_id",
            "select * from users where tenant_id = '42'::int4 and (id = 1 or name like 'a%')",
            "select * from users where tenant_id in (42) for update",
            "select u.*, o.note from users u join orders o on o.user_id = u.id and o.tenant_id = 42 where u.tenant_id = 42",
            "select * from users u join orders o on o.tenant_id = u.tenant_id where u.tenant_id = 42",
            "select * from users u, orders o, secrets s where o.tenant_id = u.tenant_id and s.tenant_id = o.tenant_id \
         and u.tenant_id = 42",
            "select * from users u left join orders o on o.user_id = u.id and o.tenant_id = 42 where u.tenant_id = 42",
            "select * from users u left join orders o on o.tenant_id = u.tenant_id where u.tenant_id = 42",
            "select * from orders o right join users u on o.tenant_id = u.tenant_id where u.tenant_id = 42",
            "select * from (select * from users where tenant_id = 42) u full join \
         (select * from orders where tenant_id = 42) o on o.user_id = u.id",
            "with u as (select * from users where tenant_id = 42) select count(*) from u",
            "with recursive u as (select id from users where tenant_id = 42 union select id + 1 from u where id < 9) \
         table u",
            "select name from users where tenant_id = 42 union all select note from orders where tenant_id = 42",
            "select * from users u where tenant_id = 42 and exists \
         (select from orders o where o.tenant_id = 42 and o.user_id = u.id)",
            "select sum(amount * 2)::int from orders where tenant_id = 42 group by note having sum(amount) / 2 > 1",
            "select * from products p join users u on u.id = p.id where u.tenant_id = 42",
            "select rate(), app.fee(1), lower(name) from products, generate_series(1, 3)",
            "select relname from pg_class where relkind = 'r' and relnamespace = 11",
            "copy (select * from orders where tenant_id = 42) to stdout",
            "copy products to stdout",
            "explain analyze select * from users where tenant_id = 42",
            "declare c cursor for select * from users where tenant_id = 42; fetch 5 from c; close c",
            "prepare p as select * from users where tenant_id = 42; execute p; deallocate p",
            "execute own",
            "insert into users (id, tenant_id) values (1, 42), (2, '42')",
            "insert into orders (tenant_id, note) select 42, name from users where tenant_id = 42",
            "insert into audit_log (msg) select name from users where tenant_id = 42",
            "insert into users (id, tenant_id) values (nextval('s'), 42) on conflict do nothing",
            "insert into users as t (id, tenant_id) values (1, 42) on conflict (id) do update set name = 'x' \
         where t.tenant_id = 42",
            "update users set name = 'x', tenant_id = 42 where tenant_id = 42 and id = 1",
            "update users u set name = o.note from orders o where u.tenant_id = 42 and o.tenant_id = u.tenant_id",
            "delete from orders using users u where u.tenant_id = 42 and orders.tenant_id = 42",
            "merge into orders o using (values (1)) v(id) on o.id = v.id and o.tenant_id = 42 \
         when matched then update set note = 'x' when not matched then insert (id, tenant_id) values (v.id, 42)",
        ],
    );
}

#[test]
fn conditions_that_only_look_like_one() {
    check(
        "fence_unproven",
        &[
            "select * from users",
            "table users",
            "select * from users where tenant_id = 7",
            "select * from users where tenant_id = 042.0",
            "select * from users where tenant_id = ' 42'",
            "select * from users where tenant_id = 42 or id = 5",
            "select * from users where tenant_id in (42, 7)",
            "select * from users where tenant_id between 42 and 43",
            "select * from users where tenant_id = tenant_id",
            "select * from users where not (tenant_id <> 42 and id > 0)",
            "select * from users where not tenant_id = 42 and true",
            "select * from users where tenant_id >= 42",
            "select * from users where case when tenant_id = 42 then true else true end",
            "select * from users where coalesce(tenant_id, 42) = 42",
            "select * from users where (tenant_id = 42) is not null",
            "select * from users where tenant_id = any(array[42, 7])",
            "select * from users where (tenant_id, 1) = (42, 1)",
            "select * from users where tenant_id = '42'::char(1)",
            "select * from users where \"Tenant_Id\" = 42",
            "select name from users where id > 0 /* and tenant_id = 42 */",
            "select name from users where id >-- 0 and tenant_id = 42 and 1 =\n 0",
            "select name from users where name = E'a'\n'\\'' or true --' and tenant_id = 42",
            "select tenant_id = 42, name from users",
            "select name from users order by tenant_id = 42",
            "select max(name) from users group by tenant_id having tenant_id = 42",
            "select name and from users",
            "select name end from users",
            "select 'select * from users where tenant_id = 42' from users",
            "select * from users where tenant_id = 42 and $1 or $2",
            "select * from users where tenant_id = 42; select * from users",
        ],
    );
}

#[test]
fn joins_and_scopes_that_let_rows_through() {
    check(
        "fence_unproven",
        &[
            "select * from users u1 join users u2 on true where u1.tenant_id = 42",
            "select o.* from users u, orders o where u.tenant_id = 42",
            "select * from users u left join orders o on u.tenant_id = 42 and o.tenant_id = 42",
            "select * from orders o left join users u on o.tenant_id = 42 where u.tenant_id = 42",
            "select * from users u right join orders o on u.tenant_id = 42 and o.tenant_id = 42",
            "select * from users u full join orders o on u.tenant_id = 42 and o.tenant_id = 42",
            "select * from users u left join orders o on o.tenant_id = u.tenant_id where o.tenant_id = 42",
            "select * from users u full join orders o on o.tenant_id = u.tenant_id where u.tenant_id = 42",
            "select * from users where tenant_id = 42 union all select * from users",
            "(select * from users) intersect select * from users where tenant_id = 42",
            "with u as (select * from users) select * from u where tenant_id = 42",
            "with users as (select 42 as tenant_id, name from users) select * from users where tenant_id = 42",
            "select * from (select id, 42 as tenant_id from users) users where tenant_id = 42",
            "select users.* from users, (values (42)) as x(tenant_id) where x.tenant_id = 42",
            "select * from users as u(id, real, tenant_id) where tenant_id = 42",
            "select * from (users u join orders o on true) as j(a, tenant_id) where tenant_id = 42",
            "select * from (users u join products p on true) as j where u.tenant_id = 42",
            "select * from users natural join products where tenant_id = 42",
            "select * from users tablesample system (50) where tenant_id = 42",
            "select (select max(name) from users) from users where tenant_id = 42",
            "select * from users u where tenant_id = 42 and exists (select from orders o where u.tenant_id = 42)",
            "select * from users u, lateral (select * from orders o where o.user_id = u.id) x where u.tenant_id = 42",
            "select * from products where exists (select from users where products.tenant_id = 42)",
            "select * from users o where tenant_id = 42 and exists (select from orders where o.tenant_id = 42)",
            "select * from a.users, b.users where users.tenant_id = 42 and tenant_id = 42",
            "update users set name = 'x' where id = 3",
            "update only users set name = 'x'",
            "update users set name = 'x' where current of c",
            "update users u set name = 'x' from orders o where o.tenant_id = 42",
            "delete from users using orders o where o.tenant_id = 42",
            "delete from users where tenant_id = 42 or id = 3",
            "delete from users where id = 3 returning (select name from users where tenant_id = 42 limit 1)",
            "insert into audit_log (msg) select name from users",
            "insert into users (id, tenant_id, name) values (1, 42, (select max(name) from users))",
            "with gone as (delete from users returning *) select * from gone where tenant_id = 42",
            "merge into orders o using users u on o.id = u.id and o.tenant_id = 42 and u.tenant_id = 42 \
         when matched then delete",
            "merge into orders o using (select 1 as id) s on o.id = s.id when matched then delete",
            "copy (select * from orders) to stdout",
            "explain select * from users where tenant_id = 7",
            "prepare p as select * from users",
            "execute other",
        ],
    );
}

#[test]
fn changes_that_cross_the_fence() {
    check(
        "fence_write",
        &[
            "insert into users values (51, 7, 'x')",
            "insert into users default values",
            "insert into users (id, name) values (52, 'x')",
            "insert into users (id, tenant_id) values (1, 42), (2, 7)",
            "insert into users (id, tenant_id) values (1, 40 + 2)",
            "insert into users (id, tenant_id) values (1, default)",
            "insert into users (id, tenant_id) select p.*, 42 from products p",
            "insert into users (id, tenant_id) select id, stock from products",
            "insert into users (id, tenant_id) select 1, 42 union all select 2, 7",
            "insert into users (id, tenant_id) table products",
            "update users set tenant_id = 7 where tenant_id = 42",
            "update users set (name, tenant_id) = ('x', 42) where tenant_id = 42",
            "update users set tenant_id = default where tenant_id = 42",
            "insert into users (id, tenant_id) values (3, 42) on conflict (id) do update set name = 'x'",
            "insert into users (id, tenant_id) values (3, 42) on conflict (id) do update set name = 'x' \
         where excluded.tenant_id = 42",
            "insert into users as excluded (id, tenant_id) values (3, 42) on conflict (id) do update set name = 'x' \
         where excluded.tenant_id = 42",
            "insert into users (id, tenant_id) values (3, 42) on conflict (id) do update set tenant_id = 7 \
         where users.tenant_id = 42",
            "insert into users (id, tenant_id) values (3, 42) on conflict (id) do update set name = 'x' \
         where users.name::int = 1 and users.tenant_id = 42",
            "merge into orders o using products p on o.id = p.id and o.tenant_id = 42 \
         when not matched then insert (id) values (p.id)",
            "delete from products",
            "update audit_log set msg = ''",
            "delete from pg_class",
        ],
    );
}

#[test]
fn what_cannot_be_looked_into() {
    check(
        "fence_unclassified",
        &[
            "select * from v_users",
            "table mv_orders",
            "select * from orders_2024 where tenant_id = 42",
            "select most_common_vals from pg_stats",
            "table pg_stat_activity",
            "insert into other values (1)",
        ],
    );
    check(
        "fence_function",
        &[
            "select * from get_rows()",
            "select wipe_users()",
            "select query_to_xml('table users', true, true, '')",
            "select app.other()",
            "select pg_read_file('x')",
            "select * from dblink('', '') as t(a int)",
            "select pg_stat_get_activity(1)",
            "select evil.lower('x')",
            "select \"pg_catalog.lower\"('x')",
            "select * from products where rate2() = 1",
            "select pg_sleep(1)",
        ],
    );
    check(
        "fence_statement",
        &[
            "truncate audit_log",
            "drop table products",
            "create table x (a int)",
            "select 1 as a into x",
            "create temp table x as select 1",
            "create view v as select * from users where tenant_id = 42",
            "copy products to '/tmp/x'",
            "copy products to program 'cat'",
            "vacuum products",
            "call purge()",
            "alter table users disable row level security",
            "grant select on users to public",
            "merge into orders o using products p on o.id = p.id and o.tenant_id = 42 \
         when not matched by source then delete",
        ],
    );
    check("fence_whole", &["copy users to stdout", "copy users from stdin", "lock table orders"]);
    check(
        "fence_parameter",
        &["select * from users where tenant_id = $1", "insert into users (tenant_id) values ($2::int4)"],
    );
    check("opaque_code", &["do 'begin end'"]);
    check("setting_locked", &["set search_path = evil", "select set_config('role', 'boss', false)"]);
    check("syntax_error", &["select * from users where"]);
}

#[test]
fn what_may_fail_on_rows_of_others() {
    check(
        "fence_leak",
        &[
            "select * from users where name::int = 1 and tenant_id = 42",
            "select * from users where tenant_id = 42 and 1 / (id - 3) > 0",
            "select * from users u join products p on 1 / (u.id - 3) = p.id where u.tenant_id = 42",
            "select * from users u, lateral (select u.name::int as n) s where s.n > 0 and u.tenant_id = 42",
            "select * from users where tenant_id = 42 and date_trunc(name, updated_at) is null",
            "select * from users where tenant_id = 42 and 'x' ~ name",
            "select * from users where tenant_id operator(evil.=) 42",
            "select * from users where tenant_id = 42 and (select users.name::int) = 1",
        ],
    );
    check(
        "allow",
        &[
            "select * from users where tenant_id = 42 and updated_at > now() - interval '1 day'",
            "select * from users where tenant_id = 42 and lower(email) = 'a' and date_trunc('day', updated_at) = $1",
            "select name::int, 1 / (id - 3) from users where tenant_id = 42",
            "select * from (select name::int as n from users where tenant_id = 42) s where s.n + 1 > 0",
        ],
    );
}

#[test]
fn a_caller_without_a_tenant_sees_only_what_is_shared() {
    assert_eq!(reason("bob", "select * from users where tenant_id = 42"), "fence_no_tenant");
    assert_eq!(reason("bob", "insert into users (tenant_id) values (42)"), "fence_no_tenant");
    assert_eq!(reason("bob", "select * from products"), "allow");
}

#[test]
fn a_refusal_says_where_and_what_would_pass() {
    let policy = Policy::parse(POLICY, "t.yaml").unwrap();
    let caller = policy.caller(&Login { user: "shop42", database: "", application: "", tenant: None });
    let sql = "select 'ü'; select * from products p join orders o on o.id = p.id";
    let facts = Facts::of_postgres(sql.as_bytes());
    let refusal = policy.decide(&caller, &facts, KillLevel::Observe, &|_| None).refusal.unwrap();
    assert_eq!(
        refusal.message,
        "clyra: rule `fence` refuses `orders` as `o` without the condition `o.tenant_id = <tenant>`"
    );
    assert_eq!(refusal.position, Some(43));
    assert!(refusal.hint.contains("add AND o.tenant_id = <tenant>"), "{}", refusal.hint);
}

/// The reason of the refusal, or `allow`, where `values` are bound with `types`.
fn bound(sql: &str, types: &[u32], values: &[Option<&str>]) -> &'static str {
    let policy = Policy::parse(POLICY, "t.yaml").unwrap();
    let caller = policy.caller(&Login { user: "shop42", database: "", application: "", tenant: None });
    let values = values.iter().enumerate();
    let values =
        values.map(|(at, value)| (false, types.get(at).copied().unwrap_or(0), value.map(str::as_bytes)));
    let bound = Bound::of("42", values);
    let moment = Moment { binds: Binds::Are(&bound), ..Moment::default() };
    let facts = Facts::of_postgres(sql.as_bytes());
    let decision = policy.decide_at(&caller, &facts, KillLevel::Observe, &moment, &|_| None);
    decision.refusal.map_or("allow", |refusal| refusal.reason)
}

#[test]
fn parameters_are_the_tenant_at_bind() {
    let (own, other, null) = (Some("42"), Some("7"), None);
    let one = "select * from users where tenant_id = $1";
    let letter = "select * from users where tenant_id = $1 and $1::\"char\" is not null";
    let two =
        "select * from users u join orders o on u.id = o.id where u.tenant_id = $1 and o.tenant_id = $2";
    let rows = "insert into orders (tenant_id, id) values ($1, $2), ($3, $4), (42, 1)";
    let named = "with c as (select 'x'::\"char\" as tenant_id) select * from c, users u \
                 where c.tenant_id = $1 and u.tenant_id = $1";
    let prepare = "prepare p as select * from users where tenant_id = $1";
    for (sql, types, values, expected) in [
        (one, &[][..], &[own][..], "allow"),
        (one, &[23], &[own], "allow"),
        (one, &[], &[other], "fence_parameter"),
        (one, &[], &[null], "fence_parameter"),
        (one, &[], &[], "fence_parameter"),
        // A type in which another tenant is the same.
        (one, &[18], &[own], "fence_parameter"),
        (letter, &[], &[own], "fence_parameter"),
        (letter, &[25], &[own], "allow"),
        ("select $1, id from users where tenant_id = $1", &[], &[own], "fence_parameter"),
        ("select $1::text, id from users where tenant_id = $1", &[], &[own], "allow"),
        (named, &[], &[own], "fence_parameter"),
        (two, &[], &[own, own], "allow"),
        (two, &[], &[own, other], "fence_parameter"),
        (rows, &[], &[own, other, own, other], "allow"),
        (rows, &[], &[own, other, other, own], "fence_parameter"),
        ("update users set tenant_id = $1 where tenant_id = $2", &[], &[other, own], "fence_parameter"),
        ("delete from users where tenant_id in ($2) and id = $1", &[], &[other, own], "allow"),
        (prepare, &[], &[], "allow"),
        (prepare, &[], &[other], "fence_parameter"),
    ] {
        assert_eq!(bound(sql, types, values), expected, "{sql} {types:?} {values:?}");
    }
}

#[test]
fn arguments_of_execute_are_the_tenant() {
    let policy = Policy::parse(POLICY, "t.yaml").unwrap();
    let caller = policy.caller(&Login { user: "shop42", database: "", application: "", tenant: None });
    let say = |sql: &str, body: &'static str| {
        let moment = Moment { binds: Binds::Later, ..Moment::default() };
        let prepared = |_: ByName<'_>| Some(Arc::new(Facts::of_postgres(body.as_bytes())));
        let facts = Facts::of_postgres(sql.as_bytes());
        let decision = policy.decide_at(&caller, &facts, KillLevel::Observe, &moment, &prepared);
        decision.refusal.map_or("allow", |refusal| refusal.reason)
    };
    let plain = "prepare p as select * from users where tenant_id = $1";
    assert_eq!(say(plain, ""), "allow");
    let letter = "prepare p (\"char\") as select * from users where tenant_id = $1";
    for (sql, body, expected) in [
        ("execute p(42)", plain, "allow"),
        ("execute p('42')", plain, "allow"),
        ("execute p(7)", plain, "fence_parameter"),
        ("execute p(40 + 2)", plain, "fence_parameter"),
        ("execute p(null)", plain, "fence_parameter"),
        ("execute p", plain, "fence_parameter"),
        ("execute p('42')", letter, "fence_parameter"),
        ("execute p('42')", "select * from users where tenant_id = $1", "fence_parameter"),
        ("explain analyze execute p(7)", plain, "fence_parameter"),
        ("explain execute p(7)", plain, "fence_statement"),
    ] {
        assert_eq!(say(sql, body), expected, "{sql} {body}");
    }
    assert_eq!(say(&format!("{plain}; execute p(42)"), ""), "allow");
    assert_eq!(say(&format!("{plain}; execute p(7)"), ""), "fence_parameter");
}
