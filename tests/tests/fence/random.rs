//! Random statements against a real server: what the proof lets pass shows and writes rows of one tenant only.
//!
//! Two schemas hold the same rows of tenant 1; one of them holds those of tenants 2 and 3 as well. A statement that
//! passes must answer the same in both, and leave the rows of 2 and 3 as they were.

use anyhow::Context as _;
use clyra_policy::{Caller, Facts, Login, Policy};
use clyra_spec::{KillLevel, Verdict};
use clyra_tests::{Server, connect};
use fastrand::Rng;
use tokio_postgres::{Client, SimpleQueryMessage};

const POLICY: &str = "
name: fence
version: 1
mode: enforce
rules:
  - id: fence
    tenant_fence: {column: tenant_id, tables: [users, orders, notes], shared: [products]}
";

const SCHEMA: &str = "
create table users (id int, tenant_id int, ref int, mark text);
create table orders (id int, tenant_id int, ref int, mark text);
create table notes (id int, tenant_id int, ref int, mark text);
create table products (id int, ref int, mark text);
insert into products select n, n % 3, 'p' || n from generate_series(1, 4) n;";

/// Statements of one seed, and the seeds: 2,000 statements.
const EACH: usize = 100;
const SEEDS: std::ops::Range<u64> = 1..21;

#[tokio::test]
async fn what_passes_shows_and_writes_only_one_tenant() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    let full = session(&server, "full_house", "1, 2, 3").await.unwrap();
    let own = session(&server, "own_house", "1").await.unwrap();
    let policy = Policy::parse(POLICY, "fence.yaml").unwrap();
    let login = Login { user: "postgres", database: "shop", application: "", tenant: Some("1") };
    let caller = policy.caller(&login);
    let (mut passed, mut ran, mut shut, mut would_leak) = (0, 0, 0, 0);
    for seed in SEEDS {
        let mut maker = Maker { rng: Rng::with_seed(seed), names: 0 };
        for place in 0..EACH {
            let sql = maker.statement();
            let here = format!("seed {seed}, statement {place}: {sql}");
            let (all, alone) = (answer(&full, &sql).await.unwrap(), answer(&own, &sql).await.unwrap());
            if passes(&policy, &caller, &sql) {
                passed += 1;
                ran += usize::from(all.0.is_ok());
                assert_eq!(all.0, alone.0, "{here}");
                assert!(all.1, "rows of others changed: {here}");
            } else {
                shut += 1;
                would_leak += usize::from(all.0 != alone.0 || !all.1);
            }
        }
    }
    println!("{passed} passed, {ran} of them ran; {shut} refused, {would_leak} of them for a reason");
    assert!(ran >= 300 && would_leak >= 300, "{ran} {would_leak}: the statements prove too little");
}

fn passes(policy: &Policy, caller: &Caller, sql: &str) -> bool {
    let facts = Facts::of_postgres(sql.as_bytes());
    assert!(facts.problem.is_none(), "{sql}: {:?}", facts.problem);
    policy.decide(caller, &facts, KillLevel::Observe, &|_| None).verdict == Verdict::Allow
}

async fn session(server: &Server, schema: &str, tenants: &str) -> anyhow::Result<Client> {
    let client = connect(server.addr, "").await?;
    client.batch_execute(&format!("create schema {schema}; set search_path = {schema};{SCHEMA}")).await?;
    for table in ["users", "orders", "notes"] {
        let rows = format!(
            "insert into {table} select n + t * 4 - 4, t, n % 3, 'T' || t || n from unnest(array[{tenants}]) t, \
             generate_series(1, 4) n"
        );
        client.batch_execute(&rows).await?;
    }
    Ok(client)
}

/// What a statement shows, sorted, or its SQLSTATE; and whether it left the rows of others alone.
async fn answer(client: &Client, sql: &str) -> anyhow::Result<(Result<Vec<String>, String>, bool)> {
    let others = "select coalesce(string_agg(t::text, ',' order by t::text), '') from (select * from users \
                  where tenant_id is distinct from 1 union all select * from orders where tenant_id is distinct \
                  from 1 union all select * from notes where tenant_id is distinct from 1) t";
    let before = shown(&client.simple_query(others).await?);
    client.batch_execute("begin").await?;
    let said = client.simple_query(sql).await;
    let same = said.is_err() || shown(&client.simple_query(others).await?) == before;
    client.batch_execute("rollback").await?;
    match said {
        Ok(messages) => Ok((Ok(shown(&messages)), same)),
        Err(error) => {
            let code = error.as_db_error().context("the server answers")?.code().code().to_owned();
            Ok((Err(code), same))
        }
    }
}

fn shown(messages: &[SimpleQueryMessage]) -> Vec<String> {
    let mut rows: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("~")).collect::<Vec<_>>().join("|"))
            }
            SimpleQueryMessage::CommandComplete(count) => Some(format!("{count} rows")),
            _ => None,
        })
        .collect();
    rows.sort();
    rows
}

/// Makes statements, most of them nearly right.
struct Maker {
    rng: Rng,
    names: usize,
}

impl Maker {
    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        self.rng.choice(all).copied().unwrap_or_default()
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("a{}", self.names)
    }

    fn statement(&mut self) -> String {
        match self.rng.u8(0..10) {
            0 => self.update(),
            1 => self.delete(),
            2 => self.insert(),
            3 => self.merge(),
            _ => self.query(2),
        }
    }

    fn table(&mut self) -> &'static str {
        self.pick(&["users", "orders", "notes", "users", "orders", "products"])
    }

    /// A condition on these aliases.
    fn condition(&mut self, names: &[String], depth: u8) -> String {
        let one = self.rng.choice(names).cloned().unwrap_or_else(|| "a0".into());
        let other = self.rng.choice(names).cloned().unwrap_or_else(|| "a0".into());
        match self.rng.u8(0..16) {
            0..=3 => format!("{one}.tenant_id = 1"),
            4 => format!("1 = {one}.tenant_id"),
            5 | 6 => format!("{one}.tenant_id = {other}.tenant_id"),
            7 => format!("{one}.tenant_id in (1{})", self.pick(&["", ", 2"])),
            8 => format!("{one}.tenant_id {} 2", self.pick(&["=", "<", "<>", "is distinct from"])),
            9 => "tenant_id = 1".into(),
            10 => format!("{one}.ref = {other}.id"),
            11 => format!("({one}.id > 3 or {})", self.condition(names, depth)),
            12 => format!("not ({})", self.condition(names, depth)),
            13 if depth > 0 => format!("{one}.id in (select ref from ({}) s)", self.query(depth - 1)),
            14 if depth > 0 => format!("exists ({})", self.query(depth - 1)),
            _ => format!("{one}.mark {}", self.pick(&["is not null", "like '%1'", "is null"])),
        }
    }

    /// Conditions joined by AND; each alias is fenced in most of them.
    fn conditions(&mut self, names: &[String], depth: u8) -> String {
        let mut all = Vec::new();
        for name in names {
            if self.chance(60) {
                all.push(format!("{name}.tenant_id = 1"));
            }
        }
        for _ in 0..self.rng.u8(0..3) {
            all.push(self.condition(names, depth));
        }
        if all.is_empty() { "true".into() } else { all.join(self.pick(&[" and ", " and ", " and ", " or "])) }
    }

    /// An item of FROM; its aliases are added to `names`.
    fn item(&mut self, names: &mut Vec<String>, depth: u8) -> String {
        let kind = self.rng.u8(0..10);
        if kind < 3 && depth > 0 {
            let mut inside = Vec::new();
            let left = self.item(&mut inside, depth - 1);
            let right = self.item(&mut inside, depth - 1);
            let join = self.pick(&["join", "left join", "right join", "full join"]);
            let on = self.conditions(&inside, 0);
            names.extend(inside);
            return format!("({left} {join} {right} on {on})");
        }
        let name = self.name();
        names.push(name.clone());
        if kind == 3 && depth > 0 {
            return format!("{} ({}) {name}", self.pick(&["", "lateral"]), self.query(depth - 1));
        }
        let renamed = if self.chance(4) { "(tenant_id, id)" } else { "" };
        format!("{} as {name}{renamed}", self.table())
    }

    /// A query with the columns id, tenant_id, ref and mark, or fewer.
    fn query(&mut self, depth: u8) -> String {
        let mut names = Vec::new();
        let mut from = self.item(&mut names, depth);
        if self.chance(35) {
            let second = self.item(&mut names, depth);
            from = format!("{from}, {second}");
        }
        let filter = self.conditions(&names, depth);
        let one = self.rng.choice(&names).cloned().unwrap_or_default();
        let columns = match self.rng.u8(0..8) {
            0 => "count(*) as id, 1 as tenant_id, 0 as ref, max(".to_owned() + &one + ".mark) as mark",
            1 => format!("{one}.id, 1 as tenant_id, {one}.ref, {one}.mark"),
            _ => format!("{one}.id, {one}.id as tenant_id, {one}.ref, {one}.mark"),
        };
        let block = format!("select {columns} from {from} where {filter}");
        match self.rng.u8(0..12) {
            0 if depth > 0 => {
                format!("{block} {} ({})", self.pick(&["union all", "except"]), self.query(depth - 1))
            }
            1 if depth > 0 => {
                let cte = self.pick(&["users", "c", "orders"]);
                let inner = self.query(depth - 1);
                format!("with {cte} as ({inner}) select * from {cte} where tenant_id = 1")
            }
            _ => block,
        }
    }

    fn update(&mut self) -> String {
        let (mut names, table) = (vec![self.name()], self.table());
        let target = names.concat();
        let from =
            if self.chance(40) { format!(" from {}", self.item(&mut names, 1)) } else { String::new() };
        let set = self.pick(&["mark = 'x'", "mark = 'x'", "tenant_id = 1", "tenant_id = 2"]);
        format!("update {table} {target} set {set}{from} where {}", self.conditions(&names, 1))
    }

    fn delete(&mut self) -> String {
        let (mut names, table) = (vec![self.name()], self.table());
        let target = names.concat();
        let using =
            if self.chance(40) { format!(" using {}", self.item(&mut names, 1)) } else { String::new() };
        let filter = self.conditions(&names, 1);
        format!("delete from {table} {target}{using} where {filter} returning {target}.mark")
    }

    fn insert(&mut self) -> String {
        let columns = self.pick(&["id, tenant_id", "tenant_id, id", "id, ref"]);
        let rows = match self.rng.u8(0..3) {
            0 => "values (1, 1), (1, 1)".to_owned(),
            1 => format!("values (1, {})", self.pick(&["1", "2", "1 + 1", "default"])),
            _ => format!("select 1, id from ({}) s", self.query(1)),
        };
        format!("insert into {} ({columns}) {rows} returning mark", self.table())
    }

    fn merge(&mut self) -> String {
        let (target, source) = (self.name(), self.name());
        let names = [target.clone(), source.clone()];
        let table = self.table();
        let using = format!("({}) {source}", self.query(1));
        let on = format!("{target}.id = {source}.id and {}", self.conditions(&names, 0));
        let action = self.pick(&["update set mark = 'x'", "delete", "update set tenant_id = 1"]);
        let value = self.pick(&["1", "1", "2"]);
        format!(
            "merge into {table} {target} using {using} on {on} when matched then {action} \
             when not matched then insert (id, tenant_id) values (9, {value})"
        )
    }
}
