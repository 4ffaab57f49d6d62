//! Conditions that the gateway adds: queries by text and prepared ones see the caller's rows only.

use super::reason;
use clyra_tests::House;

const POLICY: &str = "
name: fence
version: 1
mode: enforce
callers:
  - match: {user: postgres}
    tenant: '42'
rules:
  - id: fence
    tenant_fence: {column: tenant_id, tables: [deals, notes], rewrite: [deals]}
";

const SCHEMA: &str = "
create table deals (id int, tenant_id int);
create table notes (id int, tenant_id int);
insert into deals select n, 42 + n % 2 from generate_series(0, 9) n;";

#[tokio::test]
async fn what_lacks_the_condition_gets_it() {
    let house = House::start(POLICY).await.unwrap();
    let owner = house.directly().await.unwrap();
    owner.batch_execute(SCHEMA).await.unwrap();
    let client = house.through("").await.unwrap();
    assert_eq!(client.simple_query("select * from deals where id < 4 or true").await.unwrap().len(), 7);
    assert_eq!(client.query("select * from deals where id < $1", &[&4]).await.unwrap().len(), 2);
    let again = client.prepare("select count(*) from deals where id < $1").await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.query_one(&again, &[&100]).await.unwrap().get::<_, i64>(0), 5);
    }
    client.batch_execute("begin").await.unwrap();
    assert_eq!(client.execute("update deals set id = id + 100", &[]).await.unwrap(), 5);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(
        owner.query("select from deals where id >= 100 and tenant_id <> 42", &[]).await.unwrap().len(),
        0
    );
    assert_eq!(client.execute("delete from deals", &[]).await.unwrap(), 5);
    assert_eq!(owner.query("select from deals", &[]).await.unwrap().len(), 5, "those of the other tenant");
    let left = "select * from deals d left join deals e on e.id = d.id";
    for sql in ["select * from notes", left, "insert into deals (id) values (1)"] {
        let refused = reason(client.query(sql, &[]).await.unwrap_err());
        assert!(["fence_unproven", "fence_write"].contains(&refused.as_str()), "{sql}: {refused}");
    }
}
