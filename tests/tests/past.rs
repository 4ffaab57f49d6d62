//! Recorded decisions over the whole house: what a report counts is what the metrics counted, and what a backtest foretells
//! is what happens when the policy is enforced.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use clyra_tests::House;
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio_postgres::Client;

const SHADOW: &str = "\
name: shop
version: 1
mode: shadow
unknown_names: allow
callers:
  - match: {user: \"agent*\"}
    kind: agent
rules:
  - id: where
    require_where: true
  - id: agents-read
    when: {kind: agent}
    read_only: true
  - id: bounded
    max_rows_returned: 4
  - id: never
    deny_tables: [nothing_here]
";

/// What is said, and whether each is refused when the policy is enforced.
const SAID: [(&str, bool); 8] = [
    ("SELECT 1", false),
    ("UPDATE shelf SET note = 'x' WHERE id = 1", false),
    ("UPDATE shelf SET note = 'y'", true),
    ("DELETE FROM shelf WHERE true", true),
    ("SELECT * FROM generate_series(1, 3)", false),
    ("SELECT * FROM generate_series(1, 5)", true),
    ("INSERT INTO shelf SELECT 7, 'z'", false),
    ("BEGIN; UPDATE shelf SET note = 'q'; COMMIT", true),
];

async fn say(client: &Client) -> Vec<bool> {
    let mut refused = Vec::new();
    for (sql, _) in SAID {
        let answer = client.simple_query(sql).await;
        refused.push(
            answer.is_err_and(|error| error.as_db_error().unwrap().message().starts_with("clyra: rule")),
        );
    }
    refused
}

/// Exit code and JSON of a command.
fn clyra(words: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(clyra_tests::program("clyra").unwrap()).args(words).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_str(&text).unwrap_or(Value::String(text + &errors)))
}

/// A counter of the metrics page, with these labels.
fn counter(house: &House, labels: &[&str]) -> u64 {
    let mut stream = TcpStream::connect(house.addr("metrics").unwrap()).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: house\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page.lines().find(|line| {
        line.starts_with("clyra_decisions_total{") && labels.iter().all(|label| line.contains(label))
    });
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn rule<'v>(report: &'v Value, id: &str) -> &'v Value {
    report["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap()
}

/// Another policy is asked of the facts alone, and says the same of them where it has the same rules.
fn foretold_by_facts(house: &House, log: &str, foretold: usize) {
    let other = house.path("other.yaml");
    std::fs::write(
        &other,
        SHADOW.replace("shadow", "enforce").replace("max_rows_returned: 4", "max_rows_returned: 3"),
    )
    .unwrap();
    let (code, told) = anew(&other, log);
    assert_eq!(
        (code, &told["result"]["changes"]["allow_to_deny"]),
        (Some(1), &Value::from(foretold)),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_foretold_happens() {
    let mut house = House::start(SHADOW).await.unwrap();
    house
        .directly()
        .await
        .unwrap()
        .batch_execute("CREATE TABLE shelf (id int, note text); GRANT ALL ON shelf TO PUBLIC")
        .await
        .unwrap();
    let client = house.through("").await.unwrap();
    assert!(say(&client).await.iter().all(|refused| !refused), "shadow refuses nothing");
    drop(client);
    let log = house.data().display().to_string();
    let file = house.path("policy.yaml").display().to_string();
    published(&house, &file, &log, SAID.len()).await;

    // What the report counts is what the metrics counted.
    let page = house.path("report.html").display().to_string();
    let report = ["policy", "report", "--log", &log, "--policy", &file, "--html", &page, "--json"];
    let (code, told) = clyra(&report);
    assert_eq!(code, Some(1), "{told}");
    for (id, number) in [("where", 3), ("bounded", 1), ("agents-read", 0), ("never", 0)] {
        assert_eq!(rule(&told, id)["would_be"], number, "{id}: {told}");
        let label = format!("rule=\"{id}\"");
        assert_eq!(counter(&house, &[&label, "enforced=\"false\""]), number, "{id}");
    }
    assert_eq!(rule(&told, "where")["advice"], "look_first");
    assert_eq!(rule(&told, "never")["advice"], "too_early");
    assert_eq!((&told["source"]["checked"], &told["source"]["holes"]), (&Value::from(true), &Value::from(0)));
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("<rect") && !page.contains("<script") && !page.contains("http"), "{page}");
    let (code, _) = clyra(&["policy", "report", "--log", &log, "--policy", &file, "--quiet", "1s", "--json"]);
    assert_eq!(code, Some(1));

    // The same policy changes nothing; enforced, it refuses what it marked.
    let backtest = ["policy", "backtest", "--log", &log, "--policy", &file, "--json"];
    let (code, told) = clyra(&backtest);
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = clyra(&[&backtest[..], &["--mode", "enforce"]].concat());
    let foretold = SAID.iter().filter(|(_, refused)| *refused).count();
    assert_eq!(
        (code, &told["result"]["changes"]["allow_to_deny"]),
        (Some(1), &Value::from(foretold)),
        "{told}"
    );
    assert_eq!(told["result"]["changes"].as_object().unwrap().len(), 1, "{told}");
    assert_eq!(told["result"]["by_rule"]["where"]["allow_to_deny"], 3);
    assert!(told["result"]["by_table"]["shelf"].is_object());
    assert_eq!(told["result"]["examples"].as_array().unwrap().len(), foretold);

    foretold_by_facts(&house, &log, foretold);

    // And so it comes.
    std::fs::write(house.path("policy.yaml"), SHADOW.replace("shadow", "enforce")).unwrap();
    house.stop().await.unwrap();
    house.up().await.unwrap();
    let client = house.through("").await.unwrap();
    assert_eq!(say(&client).await, SAID.map(|(_, refused)| refused));
    drop(client);
    published(&house, &file, &log, 2 * SAID.len()).await;

    // From the refusals, the way back is seen too.
    let loose = house.path("loose.yaml");
    std::fs::write(
        &loose,
        "name: loose\nversion: 1\nmode: enforce\nrules:\n  - id: one\n    deny_verbs: [drop]\n",
    )
    .unwrap();
    let (_, told) = anew(&loose, &log);
    assert_eq!(told["result"]["changes"]["deny_to_allow"], foretold, "{told}");

    // A log that was tampered with is none, and nothing is said of it.
    house.stop().await.unwrap();
    spoil(&house.data().join("recorder/log/tile/entries"));
    let (code, told) = clyra(&backtest);
    assert_eq!(code, Some(5), "{told}");
}

/// Waits until the log shows so many messages: what is acknowledged is published within a second or so.
async fn published(house: &House, policy: &str, log: &str, messages: usize) {
    house.settled().await.unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (_, told) = anew(Path::new(policy), log);
        if told["source"]["messages"] == messages {
            return;
        }
        assert!(Instant::now() < deadline, "{told}");
        ticks.tick().await;
    }
}

fn anew(policy: &Path, log: &str) -> (Option<i32>, Value) {
    clyra(&["policy", "backtest", "--log", log, "--policy", &policy.display().to_string(), "--json"])
}

/// Changes one letter of an entry.
fn spoil(folder: &Path) {
    let mut files = vec![folder.to_owned()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes).replacen("\"shelf\"", "\"shelv\"", 1);
        std::fs::write(
            &path,
            if bytes.len() == text.len() {
                text.into_bytes()
            } else {
                [&bytes[..2], b" ", &bytes[3..]].concat()
            },
        )
        .unwrap();
    }
}
