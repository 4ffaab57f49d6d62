//! The fence by row-level security through the gateway: sessions are pinned, stay pinned, and begin only where the pin
//! holds.

use super::reason;
use clyra_tests::{House, refusal};
use tokio_postgres::{Client, NoTls};

const POLICY: &str = "
name: rows
version: 1
mode: enforce
callers:
  - match: {user: 'own*'}
    tenant: '42'
  - match: {user: 'other*'}
    tenant: '43'
  - match: {user: [big, sly, lord, postgres]}
    tenant: '42'
rules:
  - id: rows
    tenant_fence: {style: session, setting: app.tenant_id, tables: [deals]}
";

const SCHEMA: &str = "
create table deals (id int, tenant_id text);
insert into deals select n, (42 + n % 2)::text from generate_series(0, 9) n;
alter table deals enable row level security;
alter table deals force row level security;
create policy own on deals using (tenant_id = current_setting('app.tenant_id', true));
create role own login; create role other login; create role nobody login;
create role big login superuser; create role sly login bypassrls;
create role lord login; create role lords; grant lords to lord;
grant select, insert, truncate on deals to public;";

async fn connect(house: &House, user: &str) -> Result<Client, tokio_postgres::Error> {
    let addr = house.addr("listen").unwrap();
    let config = format!("host={} port={} user={user} dbname=shop", addr.ip(), addr.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    tokio::spawn(async move {
        // The test sees a broken connection at its next statement.
        let _ = connection.await;
    });
    Ok(client)
}

async fn house() -> (House, Client) {
    let house = House::start(POLICY).await.unwrap();
    let owner = house.directly().await.unwrap();
    owner.batch_execute(SCHEMA).await.unwrap();
    (house, owner)
}

async fn count(client: &Client) -> i64 {
    client.query_one("select count(*) from deals", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_session_sees_its_tenant_and_keeps_its_pin() {
    let (house, _owner) = house().await;
    let own = connect(&house, "own").await.unwrap();
    assert_eq!(count(&own).await, 5);
    let said = own.query_one("select string_agg(distinct tenant_id, ',') from deals", &[]).await.unwrap();
    assert_eq!(said.get::<_, String>(0), "42");
    for (sql, expected) in [
        ("set app.tenant_id = '43'", "setting_locked"),
        ("set local app.tenant_id = '43'", "setting_locked"),
        ("reset app.tenant_id", "setting_locked"),
        ("reset all", "session_reset"),
        ("discard all", "session_reset"),
        ("set role nobody", "setting_locked"),
        ("set session authorization nobody", "setting_locked"),
        ("select set_config('app.tenant_id', '43', false) from deals", "setting_locked"),
        ("select set_config('app.' || 'tenant_id', '43', false)", "setting_unknown"),
        ("do $$ begin perform set_config('app.tenant_id', '43', false); end $$", "opaque_code"),
        ("truncate deals", "fence_whole"),
        (
            "create function f() returns int language sql set app.tenant_id = '43' as 'select 1'",
            "setting_locked",
        ),
    ] {
        assert_eq!(reason(own.batch_execute(sql).await.unwrap_err()), expected, "{sql}");
    }
    assert_eq!(count(&own).await, 5);
    assert!(
        own.execute("insert into deals values (1, '43')", &[]).await.is_err(),
        "row-level security says no"
    );
    let other = connect(&house, "other").await.unwrap();
    assert_eq!((count(&other).await, count(&own).await), (5, 5));
}

#[tokio::test]
async fn a_session_that_the_pin_does_not_hold_does_not_begin() {
    let (house, owner) = house().await;
    for (before, user, why) in [
        ("", "big", "role `big` is a superuser"),
        ("", "sly", "role `sly` may bypass row-level security"),
        ("", "nobody", "the caller has no tenant"),
        ("alter table deals owner to lords", "lord", "`public.deals` belongs to"),
        (
            "alter table deals owner to postgres; alter table deals no force row level security",
            "own",
            "does not force",
        ),
        ("alter table deals disable row level security", "own", "has no row-level security"),
        (
            "alter table deals enable row level security; alter table deals force row level security; \
             create table late () inherits (deals)",
            "own",
            "`public.late` has no row-level security",
        ),
    ] {
        owner.batch_execute(before).await.unwrap();
        let Err(error) = connect(&house, user).await else { panic!("a session of {user} begins") };
        let refused = refusal(error);
        assert!(refused.message().contains(why), "{user}: {}", refused.message());
        assert_eq!(refused.code().code(), "42501");
    }
    owner.batch_execute("drop table late").await.unwrap();
    assert_eq!(count(&connect(&house, "own").await.unwrap()).await, 5);
}
