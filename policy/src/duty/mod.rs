//! Duties: what the gateway must do for a rule when it lets a message pass; nothing is carried out here.
//!
//! A rule that no text can settle (how many rows a change will touch, what an answer will hold, what was spent before)
//! passes the message and leaves a duty with it. A new duty is a variant of [`Charge`], an arm of
//! [`Guard::charge`](crate::guard::Guard::charge), and a place in the gateway's `duty` room.

mod cap;
mod once;
mod unseen;

pub use cap::{Cap, Limit, Per, Unit};
pub use once::{Once, is_key};
pub(crate) use unseen::{cannot_undo, finding};

use crate::detail::{Answer, Plan, Written};
use crate::guard::may_write;
use crate::{StatementFacts, Verbs};
use clyra_spec::Verb;
use std::sync::Arc;

/// One thing that the gateway must do when it lets a message pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// Id of the rule that asks for it.
    pub rule: Box<str>,
    /// Whether its verdict is carried out; a duty in shadow mode only looks on, and what it finds is recorded.
    pub enforced: bool,
    /// The statements of the message that it is about.
    pub statements: Places,
    /// What is to be done.
    pub charge: Charge,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Each of the statements may write so many rows at most; more must be undone.
    RowsWritten(u64),
    /// Each of the statements may answer with so many rows at most; the answer is cut off there.
    RowsReturned(u64),
    /// The planner may expect each of the statements to cost so much at most; what costs more is not run.
    Cost {
        /// Most, in the planner's units.
        max: u64,
        /// Statements whose plan cannot be asked for pass.
        unexplained: bool,
    },
    /// What the statements use is taken from a budget that others use, too.
    Velocity(Arc<Cap>),
    /// Each of the statements is one change, known by a key: asked for again, it is not done again.
    Once(Arc<Once>),
}

/// Which statements of a message, by their place in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places(u64);

impl Places {
    /// Adds a place. From the 64th on, all places are one.
    pub(crate) fn add(&mut self, place: usize) {
        self.0 |= 1 << place.min(LAST);
    }

    /// Whether the statement at `place` is among them.
    pub fn contains(self, place: usize) -> bool {
        self.0 & (1 << place.min(LAST)) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Charge {
    /// What went too far is undone.
    pub(crate) fn undoes(&self) -> bool {
        match self {
            Self::RowsWritten(_) | Self::RowsReturned(_) => true,
            Self::Cost { .. } | Self::Once(_) => false,
            Self::Velocity(cap) => cap.of != Unit::Statements,
        }
    }

    /// Whether a statement that its rule selects is one that this is about.
    pub(crate) fn is_about(&self, statement: &StatementFacts, runs: bool) -> bool {
        let details = &statement.details;
        match self {
            _ if statement.verb == Verb::Empty => false,
            Self::Velocity(cap) if cap.of == Unit::Statements => true,
            // What is only prepared changes nothing yet; an EXECUTE brings the body with it.
            Self::Once(_) => (statement.prepares.is_none() || runs) && changes(statement),
            // What a PREPARE keeps for later is counted when it runs; its EXECUTE brings the body with it.
            _ if statement.executes.is_some() || (statement.prepares.is_some() && !runs) => false,
            Self::RowsWritten(_) => details.written == Written::Counted,
            Self::RowsReturned(_) => returns(statement),
            Self::Cost { .. } => details.plan == Plan::Whole,
            Self::Velocity(cap) => match cap.of {
                Unit::RowsWritten => details.written == Written::Counted,
                Unit::Statements | Unit::RowsReturned | Unit::BytesOut => returns(statement),
            },
        }
    }
}

/// It may change something that others see; what is about the session alone, or its transaction, does not.
fn changes(statement: &StatementFacts) -> bool {
    let session: Verbs = [Verb::Set, Verb::Discard, Verb::Listen, Verb::Begin, Verb::Commit, Verb::Rollback]
        .into_iter()
        .collect();
    statement.verbs.strongest_beyond(session).is_some() && may_write(statement)
}

fn returns(statement: &StatementFacts) -> bool {
    statement.details.answer != Answer::Nothing
}

/// The place that stands for itself and all after it.
const LAST: usize = 63;
