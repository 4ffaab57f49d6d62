//! Journeys over the whole house: the real programs, a real PostgreSQL, real clients, evidence checked at the end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod bundles;
mod crash;
mod faults;
mod login;
mod recorder;
mod refusals;
mod relay;
mod switch;
mod tools;

use tokio_postgres::error::DbError;

/// What the gate or the server answered to a statement that it refused.
fn refusal(error: tokio_postgres::Error) -> DbError {
    error.as_db_error().cloned().unwrap_or_else(|| panic!("no answer of the server: {error}"))
}

/// A policy with every first guard, enforced.
const STRICT: &str = "\
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
fn shadow() -> String {
    STRICT.replace("mode: enforce", "mode: shadow").replace("evidence: strict", "evidence: async")
}
