//! PostgreSQL's own tools through the gate: what they print and leave behind is what they would directly.

use clyra_tests::{House, STRICT, shadow};
use std::{net::SocketAddr, process::Command};

/// Meta commands of psql that read the catalog in long statements.
const BACKSLASHES: &str = r"
\d
\d orders
\d+ orders
\dt+
\dn+
\df *size*
\du
\l
\dv
\di+
\dx
\dp
\dT
\sf pg_catalog.pg_get_viewdef(oid)
select 1 as one \gdesc
select id, status from orders order by id limit 3;
\copy (select id from orders order by id limit 3) to stdout
select generate_series(1, 1000) \g /dev/null
\set FETCH_COUNT 2
select id from orders order by id limit 5;
";

#[tokio::test]
async fn psql_prints_the_same() {
    for policy in [shadow(), STRICT.to_owned()] {
        let house = House::start(&policy).await.unwrap();
        let through = psql(house.addr("listen").unwrap(), BACKSLASHES);
        let directly = psql(house.upstream().unwrap(), BACKSLASHES);
        assert_eq!(through, directly);
        assert!(through.lines().count() > 100, "{through}");
    }
}

#[tokio::test]
async fn pgbench_runs_in_every_protocol() {
    for policy in [shadow(), ALLOW_PGBENCH.to_owned()] {
        let house = House::start(&policy).await.unwrap();
        let gate = house.addr("listen").unwrap();
        run(gate, "pgbench", &["-i", "-s", "1", "-q"]);
        for protocol in ["simple", "extended", "prepared"] {
            for script in ["tpcb-like", "select-only"] {
                let words = ["-n", "-M", protocol, "-b", script, "-c", "4", "-t", "50"];
                let said = run(gate, "pgbench", &words);
                assert!(said.contains("number of transactions actually processed: 200/200"), "{said}");
            }
        }
        let client = house.directly().await.unwrap();
        let history: i64 =
            client.query_one("select count(*) from pgbench_history", &[]).await.unwrap().get(0);
        assert_eq!(history, 600);
    }
}

#[tokio::test]
async fn a_dump_through_the_gate_restores_the_same_database() {
    let house = House::start(&shadow()).await.unwrap();
    let gate = house.addr("listen").unwrap();
    let through = run(gate, "pg_dump", &[]);
    assert!(same_dump(&through, &run(house.upstream().unwrap(), "pg_dump", &[])));
    run(gate, "createdb", &["copy"]);
    let dump = house.path("dump.sql");
    std::fs::write(&dump, &through).unwrap();
    run(gate, "psql", &["-q", "-v", "ON_ERROR_STOP=1", "-d", "copy", "-f", &dump.display().to_string()]);
    assert!(same_dump(&run(house.upstream().unwrap(), "pg_dump", &["-d", "copy"]), &through));
}

/// Equal but for the token that pg_dump makes up each time against hostile dumps.
fn same_dump(one: &str, other: &str) -> bool {
    let lines = |dump: &str| -> Vec<String> {
        dump.lines().filter(|line| !line.contains("restrict ")).map(str::to_owned).collect()
    };
    lines(one).len() > 300 && lines(one) == lines(other)
}

fn psql(addr: SocketAddr, script: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    run(addr, "psql", &["-X", "-v", "ON_ERROR_STOP=1", "-f", &file.path().display().to_string()])
}

/// Runs a tool as `postgres` on the database `shop`, unless the words say otherwise; what it printed.
fn run(addr: SocketAddr, tool: &str, words: &[&str]) -> String {
    let output = Command::new(tool)
        .env("PGDATABASE", "shop")
        .env("PGOPTIONS", "")
        .args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string(), "-U", "postgres"])
        .args(words)
        .output()
        .unwrap_or_else(|err| panic!("{tool}: {err}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{tool} {words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// What pgbench needs: it truncates and drops its own tables, and sends several statements in one message.
const ALLOW_PGBENCH: &str = "\
name: pgbench
version: 1
mode: enforce
rules:
  - id: no-drop
    deny_verbs: [grant, server]
  - id: where
    require_where: {verbs: [update, delete]}
  - id: secrets
    deny_tables: [secrets]
  - id: lock
    session_lock: true
";
