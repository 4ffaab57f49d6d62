//! The doubt of the house: it checks evidence from the spec alone, offline, with its own hand.
//!
//! A bundle tells what one run did. This crate believes nothing in it: it rebuilds the container, checks both
//! signatures against keys that the reader brought along, walks every inclusion path, counts every receipt again
//! and compares what it finds with what the manifest claims. It shares no code with those who make evidence, only
//! the written spec and its vectors.
//!
//! There are three answers. `PASS`: every check held. `FAIL`: something is not as its makers signed it, and the
//! first check that failed says what. `UNABLE`: nothing is wrong, yet the whole story is not there (the run was
//! never closed, an outcome is missing), so that nobody may call it complete.
//!
//! ```text
//!  bundle ─ read/ ─ container, strict JSON, notes, envelopes, trees
//!             │
//!          check/ ─ nineteen named questions, in order ── Report ── PASS | FAIL | UNABLE
//!             │
//!   trust ────┘  keys from outside the bundle, never from inside
//! ```
//!
//! ```
//! use clyra_verifier::{Outcome, Trust, verify_bundle};
//!
//! let trust: Trust = include_str!("../../spec/vectors/trust.txt").parse()?;
//! let bundle = include_bytes!("../../spec/vectors/good/closed.pef.zip");
//! assert_eq!(verify_bundle(bundle, &trust).outcome(), Outcome::Pass);
//!
//! let mut flipped = bundle.to_vec();
//! flipped[4000] ^= 1;
//! let report = verify_bundle(&flipped, &trust);
//! assert_eq!(report.outcome(), Outcome::Fail);
//! assert_eq!(report.first_failed(), Some("container"));
//! # Ok::<(), clyra_verifier::Error>(())
//! ```

mod check;
mod error;
mod json;
mod name;
mod quorum;
mod read;
mod report;
mod rollup;
mod say;
#[cfg(test)]
mod tests;
mod trust;
mod walk;
pub mod witness;

pub use check::{BUNDLE_BYTES_MAX, ENTRIES_MAX, verify_bundle};
pub use error::Error;
pub use name::Name;
pub use report::{Check, Outcome, Report, StreamSummary, Summary, SwitchSummary};
pub use rollup::{ROLLUP_CHECKS, verify_rollups};
pub use trust::Trust;
pub use walk::{LOG_CHECKS, verify_log};
