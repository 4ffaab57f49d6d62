//! The ear: the PostgreSQL wire protocol, version 3, without sockets, clocks or rules.
//!
//! Bytes go in, *moves* come out, and the one who drives the session obeys: ask the gate, pass bytes on unchanged,
//! swallow them, say something instead. The session follows both directions, so that it always knows which answer
//! of the server belongs to which message of the client; nothing else here decides anything.
//!
//! ```text
//! client bytes ─▶ Session::client ─▶ Step { Ask | Forward | Drop | Answer | Tell | Hold | More }
//! server bytes ─▶ Session::server ─▶ Heard { Forward | Drop | Replace | Tell | Full | Completed | More }  + Session::ended
//! ```
//!
//! A refused message inside a transaction or a pipeline is replaced by one that no server can parse, so that the
//! server itself aborts and skips, exactly as after any other error; the error it answers is replaced by ours.
//!
//! ```
//! use clyra_wire::{Ask, Session, Step};
//! let mut session: Session<u32, u32> = Session::new("token".into());
//! session.server(b"Z\0\0\0\x05I").unwrap(); // the server is ready
//! match session.client(b"Q\0\0\0\x0dselect 1\0").unwrap() {
//!     Step::Ask(Ask::Query(sql)) => assert_eq!(sql, b"select 1"),
//!     other => panic!("{other:?}"),
//! }
//! session.allow_query(7);
//! assert!(matches!(session.client(b"Q\0\0\0\x0dselect 1\0").unwrap(), Step::Forward(14)));
//! ```

mod answer;
mod backend;
mod bind;
mod error;
mod frame;
mod frontend;
mod session;
mod startup;

pub use answer::{
    Refusal, command_complete, error_response, fatal_response, notice_response, ready_for_query,
};
pub use bind::{BoundValue, bound_values, values};
pub use error::WireError;
pub use frame::cstr;
pub use session::{
    Answered, Ask, Completion, End, Far, Heard, OwnAnswer, OwnError, OwnQuestion, Prelude, Refer, Refused,
    Session, Step,
};
pub use startup::{Opening, Startup, opening};

#[cfg(test)]
mod tests;
