//! Drivers' own suites pass the same tests through the gateway as directly, and applications over an ORM see and leave the
//! same. How they are run and compared stands in `clients/run.py` and `apps/run.py`; this file chooses the ones that are
//! fast enough to run every time, and never judges itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn psycopg2_passes_the_same_tests() {
    check(&["--suite", "psycopg2", "--setup", "enforce", "--at-least", "700"]);
}

#[test]
fn asyncpg_passes_the_same_tests() {
    let rooms =
        ["cancellation", "copy", "cursor", "execute", "introspection", "listeners", "prepare", "transaction"];
    let files = rooms.map(|room| format!("tests/test_{room}.py"));
    let mut words = vec!["--suite", "asyncpg", "--setup", "shadow", "--at-least", "100"];
    files.iter().for_each(|file| words.extend(["--only", file]));
    check(&words);
}

#[test]
fn psycopg3_says_and_hears_the_same() {
    check(&["--suite", "own_psycopg3", "--at-least", "21"]);
}

#[test]
fn django_comes_out_the_same_in_enforce() {
    run("apps/run.py", &["django"]);
}

#[test]
fn sqlalchemy_comes_out_the_same_in_enforce() {
    run("apps/run.py", &["sqlalchemy"]);
}

fn check(words: &[&str]) {
    run("clients/run.py", words);
}

fn run(script: &str, words: &[&str]) {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let clyra = clyra_tests::program("clyra").unwrap();
    let ran = Command::new("python3").arg(runner).args(words).arg("--clyra").arg(clyra).output().unwrap();
    assert!(
        ran.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}
