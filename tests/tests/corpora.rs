//! What the fuzzers found worth keeping is played again on every run, with the compiler that everybody has. What must
//! hold is said in `fuzz/src`; nothing new is looked for here.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that cannot go on has failed")]

use std::path::Path;

#[expect(
    unreachable_pub,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it is a crate of its own, too, and says by panicking that something does not hold"
)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn everything_kept_holds() {
    kept("startup", fuzz::startup);
    kept("frontend", fuzz::frontend);
    kept("backend", fuzz::backend);
    kept("split_anywhere", fuzz::split_anywhere);
    kept("scram", fuzz::scram);
    kept("sql_facts", fuzz::sql_facts);
    kept("sql_dialects", fuzz::sql_dialects);
}

fn kept(target: &str, verb: fn(&[u8])) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpora/{target}.txt"));
    let lines = std::fs::read_to_string(file).unwrap();
    assert!(lines.lines().count() >= 20, "{target}");
    for line in lines.lines() {
        let bytes: Vec<u8> =
            (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
        verb(&bytes);
    }
}
