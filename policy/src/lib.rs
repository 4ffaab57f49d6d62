//! The judge: rules from YAML, facts of a statement, one decision.

mod caller;
mod decision;
mod error;
mod facts;
mod policy;
pub mod tools;

pub use caller::{Caller, Login};
pub use decision::{Decision, Refusal};
pub use error::{EvalError, PolicyError};
pub use facts::{Facts, FactsMemo, Problem, StatementFacts};
pub use policy::{Evidence, OnFull, Policy};
