//! The judge: rules from YAML, facts of a statement, one decision.

mod caller;
mod decision;
mod error;
mod facts;
mod memo;
mod policy;
pub mod tools;
mod verbs;

pub use caller::{Caller, Login};
pub use decision::{Decision, Refusal};
pub use error::{EvalError, PolicyError};
pub use facts::{Facts, Filter, Problem, Setting, SettingValue, StatementFacts, Target};
pub use memo::FactsMemo;
pub use policy::{Evidence, OnFull, Policy};
pub use verbs::Verbs;
