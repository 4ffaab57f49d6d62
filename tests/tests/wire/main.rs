//! The protocol and PostgreSQL's own tools through the gate: a client must not notice that it is there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod copies;
mod login;
mod relay;
mod replicas;
mod tools;
