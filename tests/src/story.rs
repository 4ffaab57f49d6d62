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

/// Python that begins a program which speaks PostgreSQL under TLS by hand, with the port and the roots as its words: `connect`,
/// `exactly` and `hear`.
pub const SPEAKS_TLS: &str = r#"
import base64, hashlib, hmac, os, socket, ssl, struct, sys, threading, time
port, roots = int(sys.argv[1]), sys.argv[2]
def connect():
    plain = socket.create_connection(('127.0.0.1', port), 30)
    plain.sendall(struct.pack('!II', 8, 80877103))
    assert plain.recv(1) == b'S'
    return ssl.create_default_context(cafile=roots).wrap_socket(plain, server_hostname='localhost')
def exactly(stream, count):
    got = b''
    while len(got) < count:
        more = stream.recv(count - len(got))
        assert more, got
        got += more
    return got
def hear(stream):
    tag, length = struct.unpack('!cI', exactly(stream, 5))
    return tag, exactly(stream, length - 4)
"#;
