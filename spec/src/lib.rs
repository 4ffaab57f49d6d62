//! The words of the house: what an entry of the log looks like, how things are called, how big they may be.
//!
//! No hashing, no signing, no clock, no I/O: makers ([`clyra-seal`]) and the doubter ([`clyra-verifier`]) each
//! bring their own hand, and these words are all that they share.
//!
//! ```text
//! Receipt ┐
//! RunOpen │  one JCS object each, fields declared in byte order,
//! Switch  ├─ so that plain serialisation *is* the canonical form
//! Policy  │
//! Gap …   ┘
//! ```
//!
//! ```
//! use clyra_spec::{Verb, Verdict};
//! assert_eq!(Verb::Delete.as_str(), "delete");
//! assert!(Verb::Delete.is_write());
//! assert_eq!(Verdict::Deny.as_str(), "deny");
//! ```
//!
//! [`clyra-seal`]: https://docs.rs/clyra-seal
//! [`clyra-verifier`]: https://docs.rs/clyra-verifier

mod entry;
mod kill;
pub mod limits;
pub mod media;
mod verb;
mod words;

pub use entry::{
    Action, Approval, ApprovalRevoked, BatchHeader, Caller, Decision, Dsse, DsseSignature, Gap, Heartbeat,
    Key, Outcome, Policy, Receipt, RuleVerdict, Run, RunClose, RunOpen, Stream, Switch, Target,
};
pub use kill::{KillCause, KillClass, KillLevel, KillScope};
pub use verb::Verb;
pub use words::{ActorKind, Auth, KeyState, Mode, Phase, Protocol, Status, Verdict};
