//! Attacks over the wire: each is refused by the rule that is there for it, and nothing happened at the server; what is
//! harmless passes. How a statement is judged alone, without sockets, is tested beside the judge.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod corpus;
mod floods;
mod stand;
mod starts;
mod talks;
mod texts;

use corpus::{Attack, Harmless};
use stand::{Caller, Said, Stand};
