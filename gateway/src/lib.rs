//! Under construction.

pub mod draft;
mod outbox;
