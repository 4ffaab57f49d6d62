//! What outsiders hold against a log: daily rollups and witnesses, made by the real programs and found out where they lie.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod kills;
mod rollups;
mod witnesses;

use clyra_tests::program;
use serde_json::Value;
use std::process::Command;

/// What `clyra-verify` says to these words: its exit code, the first check that did not pass, all of it.
fn doubt(words: &[&str]) -> (Option<i32>, String, Value) {
    let ran = Command::new(program("clyra-verify").unwrap()).args(words).arg("--json").output().unwrap();
    let said: Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    let checks = said["checks"].as_array().cloned().unwrap_or_default();
    let first = checks
        .iter()
        .find(|check| check["outcome"] == "FAIL")
        .or_else(|| checks.iter().find(|check| check["outcome"] != "PASS"));
    (
        ran.status.code(),
        first.map(|check| check["name"].as_str().unwrap().to_owned()).unwrap_or_default(),
        said,
    )
}
