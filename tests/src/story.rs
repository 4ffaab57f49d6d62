//! What many stories share: their policies, and how they read refusals and bundles. A story that cannot go on panics.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::missing_panics_doc,
    reason = "only tests call this, and a test that cannot go on has failed"
)]

use serde_json::Value;
use std::path::Path;
use tokio_postgres::error::DbError;

/// What the gate or the server answered to a statement that it refused.
pub fn refusal(error: tokio_postgres::Error) -> DbError {
    error.as_db_error().cloned().unwrap_or_else(|| panic!("no answer of the server: {error}"))
}

/// A policy with every first guard, enforced.
pub const STRICT: &str = "\
name: journey
version: 3
mode: enforce
evidence: strict
rules:
  - id: no-drop
    deny_verbs: [drop, truncate]
  - id: where
    require_where: true
  - id: secrets
    deny_tables: [secrets]
  - id: one
    single_statement: true
    when: {application: journey-one}
  - id: lock
    session_lock: true
";

/// The same rules, in shadow and with evidence that nobody waits for.
pub fn shadow() -> String {
    STRICT.replace("mode: enforce", "mode: shadow").replace("evidence: strict", "evidence: async")
}

/// The entries of a bundle, read by an outsider's zip reader.
pub fn entries(bundle: &Path) -> Vec<Value> {
    let script =
        "import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read('entries.jsonl'))";
    let output = std::process::Command::new("python3").arg("-c").arg(script).arg(bundle).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The receipts of a bundle.
pub fn receipts(bundle: &Path) -> Vec<Value> {
    entries(bundle).into_iter().filter(|entry| entry["kind"] == "receipt").collect()
}
